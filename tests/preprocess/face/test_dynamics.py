"""Movements that were planted into blendshapes and pose are found, in any number of pieces."""

import numpy as np
import pytest

from preprocess.face import dynamics

EYES = list(dynamics.EYES)
TIMES = np.arange(0, 20, 0.1, dtype=np.float32)


def still(frames: int = len(TIMES)) -> np.ndarray:
    """A face that does not move, 58 features, half a metre before the camera."""
    features = np.full((frames, 58), 0.1, np.float32)
    features[:, -1] = -50
    return features


@pytest.mark.parametrize("every", [0.5, 1.0, 2.0])
def test_a_blink_is_counted(every: float) -> None:
    features = still()
    features[np.isclose(TIMES % every, 0, atol=0.01) | np.isclose(TIMES % every, every, atol=0.01), 9:11] = 0.9
    found = dynamics.encode(TIMES, features, 0.0)[:, 60]
    assert found == pytest.approx(np.full(len(TIMES), 60 / every), rel=0.25)  # at the ends of a window one more, or one less
    assert found.mean() == pytest.approx(60 / every, rel=0.1)


def test_eyes_that_stay_shut_blink_once_and_trembling_lids_never() -> None:
    features = still()
    features[50:, EYES] = 0.9
    assert dynamics.encode(TIMES, features, 0.0)[:, 60].max() == pytest.approx(60 / 10, rel=0.1)
    features[:, EYES] = 0.4 + 0.09 * np.resize([-1.0, 1.0], len(TIMES))[:, None]
    assert not dynamics.encode(TIMES, features, 0.0)[:, 60].any()


def test_a_smile_that_comes_and_goes_has_a_deviation_where_it_does() -> None:
    features = still()
    features[100:, 44] = 0.1 + 0.3 * np.resize([0.0, 1.0], 100)
    found = dynamics.encode(TIMES, features, 0.0)
    assert found[110:, 44] == pytest.approx(np.full(90, 0.15), abs=0.002)
    assert found[:89, 44] == pytest.approx(np.zeros(89), abs=1e-6)
    assert not np.delete(found, 44, axis=1).any()


def test_the_heads_speed_is_in_radians_and_centimetres_a_second() -> None:
    features = still()
    features[:, 52] = 0.5 * TIMES  # pitch
    features[:, 55] = 3 * TIMES  # to the side
    features[:, 56] = 4 * TIMES
    found = dynamics.encode(TIMES, features, 0.3)
    assert found[5:, 58] == pytest.approx(np.full(195, 0.5), abs=0.01)
    assert found[5:, 59] == pytest.approx(np.full(195, 5.0), abs=0.05)
    assert found[:, 61] == pytest.approx(np.full(len(TIMES), 0.3))


def test_across_a_gap_there_is_no_speed_and_missing_frames_count_for_nothing() -> None:
    features = still()
    features[100:, 55] += 30  # the face is seen again elsewhere
    seen = np.ones(len(TIMES), bool)
    seen[90:100] = False
    assert not dynamics.encode(TIMES[seen], features[seen], 0.0)[:, 59].any()
    assert dynamics.encode(TIMES, features, 0.0)[:, 59].max() > 10


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_a_face_that_was_hardly_seen_does_not_move(frames: int) -> None:
    found = dynamics.encode(TIMES[:frames], still(frames), 0.0)
    assert found.shape == (frames, 62)
    assert not found.any()
