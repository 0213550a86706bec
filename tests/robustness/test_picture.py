"""What a corruption of pictures does is what was asked for: measured on known pictures."""

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
import pytest

from robustness import picture
from robustness.kinds import KINDS
from robustness.picture import Picture, Timed

PICTURES = [name for name, kind in KINDS.items() if kind.modality == "vision"]
COUNT, RATE = 20, 10.0
CLIP = [(i / RATE, np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8)) for i in range(COUNT)]


def corrupted(kind: str, strength: float, clip: list[Timed] = CLIP, seed: int = 0) -> list[Timed]:
    return list(picture.corrupted(clip, COUNT / RATE, kind, strength, np.random.default_rng(seed)))


@pytest.mark.parametrize("kind", PICTURES)
def test_a_corruption_keeps_times_and_form_and_repeats(kind: str) -> None:
    for level in (1, 5):
        found = corrupted(kind, KINDS[kind].strength(level))
        assert {time for time, _ in found} <= {time for time, _ in CLIP}
        assert len(found) == COUNT or kind == "lost_frames"
        assert all(x.shape == (48, 64, 3) and x.dtype == np.uint8 for _, x in found)
        again = corrupted(kind, KINDS[kind].strength(level))
        assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(found, again, strict=True))


@pytest.mark.parametrize("kind", ["blur", "resolution", "compression", "darkness"])
def test_every_level_leaves_less_than_the_one_before(kind: str) -> None:
    smooth = cv2.resize(CLIP[0][1][:12, :16], (96, 72), interpolation=cv2.INTER_CUBIC)
    lost = [np.square(corrupted(kind, x, [(0.0, smooth)])[0][1] - smooth.astype(float)).mean() for x in strengths(kind)]
    assert lost == sorted(lost)
    assert lost[-1] > 2 * lost[0] > 0


def strengths(kind: str) -> list[float]:
    """In pictures of 72 rows, half of what `resolution` leaves is as much as a level of pictures of 144."""
    return [x / (2 if kind == "resolution" else 1) for x in KINDS[kind].strengths]


def test_a_blur_wider_than_the_picture_is_possible() -> None:
    assert corrupted("blur", 1.0, [(0.0, np.zeros((5, 4, 3), np.uint8))])[0][1].shape == (5, 4, 3)


def test_a_picture_with_fewer_pixels_than_are_left_stays() -> None:
    assert np.array_equal(corrupted("resolution", 120.0)[0][1], CLIP[0][1])


@pytest.mark.parametrize("share", KINDS["darkness"].strengths)
def test_so_much_of_the_brightness_is_left(share: float) -> None:
    assert corrupted("darkness", share)[0][1].mean() == pytest.approx(share * 127.5, rel=0.1)


@pytest.mark.parametrize("share", KINDS["occlusion"].strengths)
def test_so_much_of_the_picture_is_covered_at_the_same_place_throughout(share: float) -> None:
    covered = [(x == y).all(axis=2) for (_, x), (_, y) in zip(corrupted("occlusion", share), CLIP, strict=True)]
    assert 1 - covered[0].mean() == pytest.approx(share, abs=0.03)
    boxes = {tuple((edge.min(), edge.max()) for edge in (~x).nonzero()) for x in covered}
    assert len(boxes) == 1


@pytest.mark.parametrize("share", KINDS["frozen"].strengths)
def test_the_picture_stands_still_for_so_much_of_the_time(share: float) -> None:
    still = sum(np.array_equal(a, b) for a, b in pairs(corrupted("frozen", share)))
    assert still == pytest.approx(share * COUNT - 1, abs=1)


def pairs(found: list[Timed]) -> Iterator[tuple[Picture, Picture]]:
    return ((a, b) for (_, a), (_, b) in pairwise(found))


@pytest.mark.parametrize("share", KINDS["lost_frames"].strengths)
def test_so_many_frames_are_lost_and_the_others_are_as_they_were(share: float) -> None:
    found = corrupted("lost_frames", share)
    assert COUNT - len(found) == pytest.approx(share * COUNT, abs=2)
    before = dict(CLIP)
    assert all(np.array_equal(x, before[time]) for time, x in found)
