"""Who is the same person in different shots."""

from pathlib import Path

import numpy as np
import pytest

from preprocess.face import landmarks, people
from preprocess.face.tracklets import Tracklet
from tests.preprocess.face.conftest import Person
from tests.preprocess.face.films import SETTINGS, paste

WALL = np.full((360, 640, 3), 90, np.uint8)


def look_of(person: Person, model: Path, height: int, brightness: float = 1.0) -> np.ndarray:
    """The look of a person in a picture of theirs of some height before a dark wall."""
    picture = (paste(WALL, person(0.4), 40, 10, height) * brightness).astype(np.uint8)
    with landmarks.landmarker(model, SETTINGS.faces) as network:
        return people.look([people.patch(picture, landmarks.see(network, 0.0, picture)[0])])


def frames(*numbers: int) -> Tracklet:
    return Tracklet(frames=list(numbers), sides=[100.0] * len(numbers))


@pytest.mark.parametrize(("height", "brightness"), [(340, 1.0), (180, 1.0), (240, 0.95)])
def test_a_face_is_the_same_at_another_distance_and_others_are_not(
    persons: list[Person], model: Path, height: int, brightness: float
) -> None:
    tracklets = [frames(i) for i in range(4)]
    looks = [*(look_of(person, model, 240) for person in persons), look_of(persons[1], model, height, brightness)]
    assert people.join(tracklets, np.array(looks), set()) == [[tracklets[0]], [tracklets[1], tracklets[3]], [tracklets[2]]]


def test_faces_of_the_same_frame_are_two_people_however_alike() -> None:
    patches = np.zeros((3, people.PATCH, people.PATCH, 3))
    together, later = [frames(0, 1), frames(1, 2)], frames(3)
    joined = people.join([*together, later], patches, set())
    assert len(joined) == 2
    assert [person[0] for person in joined] == together


def test_a_face_at_its_place_before_the_same_camera_is_the_same_in_any_light() -> None:
    patches = np.stack([np.full((people.PATCH, people.PATCH, 3), value) for value in (0.0, 60.0, 120.0)])
    first, other, again = frames(0), frames(1), frames(2)
    assert people.join([first, other, again], patches, {(0, 2)}) == [[first, again], [other]]
