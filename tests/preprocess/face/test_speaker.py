"""Faces followed from frame to frame, and which of them speaks."""

import numpy as np
import pytest

from preprocess.face import speaker
from preprocess.face.speaker import Tracklet, choose, follow

TIMES = np.arange(40) / 10
VOICE = np.where(np.sin(TIMES * 5) > 0, 1.0, -2.0)  # a level that rises and falls


def face(x: float, side: float = 100, opening: float = 0.0) -> np.ndarray:
    """Landmarks of an upright face whose box has its upper left corner at (x, 50), pixels."""
    points = np.zeros((478, 3), np.float32)
    points[:] = [x + side / 2, 50 + side / 2, 0]
    points[0, :2], points[1, :2] = (x, 50), (x + side, 50 + side)
    points[speaker.FOREHEAD, 1], points[speaker.CHIN, 1] = 50, 50 + side
    points[speaker.LOWER_LIP, 1] += opening * side
    return points


def tracklets(*frames: list[np.ndarray]) -> list[Tracklet]:
    followed: list[Tracklet] = []
    for i, faces in enumerate(frames):
        follow(followed, i, faces)
    return followed


def mouths(*openings: np.ndarray, sides: tuple[int, ...] = (100, 100, 100)) -> list[Tracklet]:
    """Faces side by side that stay where they are."""
    count = len(openings)
    return tracklets(*([face(200 * k, sides[k], openings[k][i]) for k in range(count)] for i in range(len(TIMES))))


def test_faces_that_cross_the_picture_in_any_order_stay_themselves() -> None:
    followed = tracklets(*([face(300 - 5 * i), face(5 * i)][:: (-1) ** i] for i in range(20)))
    assert [tracklet.frames for tracklet in followed] == [list(range(20))] * 2
    assert followed[0].centre[0] < followed[1].centre[0] + 200


def test_a_face_that_leaves_and_returns_to_its_place_goes_on() -> None:
    followed = tracklets(*([face(0), face(300)] if not 5 <= i < 15 else [face(0)] for i in range(20)))
    assert len(followed) == 2
    assert followed[1].frames == [*range(5), *range(15, 20)]


def test_a_face_somewhere_else_is_another_one() -> None:
    assert len(tracklets([face(0)], [face(500)], [])) == 2


def test_the_speaker_is_who_moves_with_the_sound_however_small() -> None:
    still, chewing = np.full(40, 0.02), 0.03 + 0.03 * np.sin(TIMES * 13)
    choice = choose(mouths(chewing, still, 0.02 + 0.02 * (VOICE > 0), sides=(180, 150, 60)), VOICE)
    assert (choice.faces, choice.track, choice.by) == (3, 2, "sound")
    assert choice.correlation == pytest.approx(1, abs=0.01)
    assert choice.margin > 0.5


def test_a_mouth_that_moves_while_there_is_sound_speaks_whatever_its_mean_opening() -> None:
    babble = np.where(VOICE > 0, 0.05 * (np.arange(40) % 2), 0.025)
    assert choose(mouths(np.full(40, 0.1), babble), VOICE).track == 1


@pytest.mark.parametrize("energy", [None, np.full(40, -3.0), VOICE])
def test_where_no_mouth_moves_with_the_sound_the_largest_face_is_taken(energy: np.ndarray | None) -> None:
    still = np.full(40, 0.02)
    choice = choose(mouths(still, still, sides=(80, 160)), energy)
    assert (choice.track, choice.by, choice.margin) == (1, "size", pytest.approx(1 / 3, abs=0.001))


def test_a_face_seen_in_two_frames_proves_nothing() -> None:
    steady = mouths(0.02 + 0.02 * (VOICE > 0) + 0.01 * np.sin(TIMES * 17))
    brief = Tracklet([0, 7], [0.0, 0.1], [100, 100])
    assert choose([brief, *steady], VOICE).track == 1


def test_a_single_face_needs_no_sound() -> None:
    assert choose(mouths(np.zeros(40)), None).by == "only"
