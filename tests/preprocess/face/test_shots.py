"""Where a film is cut."""

import numpy as np
import pytest

from preprocess.face.shots import Shots

RNG = np.random.default_rng(3)


def scene(seed: int) -> np.ndarray:
    """A picture of soft spots, wide enough for a camera to pan over."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 64, 3))
    return np.repeat(np.repeat(coarse, 20, axis=0), 20, axis=1).astype(np.uint8)


def starts(pictures: list[np.ndarray]) -> list[int]:
    shots = Shots()
    begun = [shots.add(picture) for picture in pictures]
    assert [shot.start for shot in shots.items] == np.flatnonzero(begun).tolist()
    assert [shot.end for shot in shots.items] == [*np.flatnonzero(begun)[1:], len(pictures)]
    return np.flatnonzero(begun).tolist()


def test_a_cut_begins_a_shot_and_noise_does_not() -> None:
    pictures = [scene(i // 10)[:, :320] for i in range(30)]
    noisy = [np.clip(picture + RNG.normal(0, 20, picture.shape), 0, 255).astype(np.uint8) for picture in pictures]
    assert starts(noisy) == [0, 10, 20]


@pytest.mark.parametrize("speed", [1, 3, 10, 20])
def test_a_camera_that_pans_makes_no_cuts(speed: int) -> None:
    """But for the moment in which it begins to move fast."""
    still, moving = [scene(1)[:, :320]] * 5, [scene(1)[:, i * speed : i * speed + 320] for i in range(40)]
    assert len(starts([*still, *moving])) <= 1 + (speed > 1)
    assert starts(moving) in ([0], [0, 1])


def test_a_shot_resumes_the_last_one_of_the_same_camera() -> None:
    shots = Shots()
    for i in range(30):
        shots.add(scene(i // 10 % 2)[:, :320])
    first, second, third = shots.items
    assert third.resumes(first)
    assert not second.resumes(first)
    assert not third.resumes(second)
