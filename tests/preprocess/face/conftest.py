"""People of the sample corpus who open their mouths when they are told to."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from sample.face import MovingFace, Pose
from sample.movement import MOVES
from sample.photograph import take
from sample.portrait import paint
from sample.speaker import people

Person = Callable[[float], np.ndarray]  # how far the mouth is open, 0 to 1, to a picture (240, 320, 3) uint8 RGB


@pytest.fixture(scope="session")
def model(models: Path) -> Path:
    """The folder of MediaPipe's task."""
    return models / "face"


@pytest.fixture(scope="session")
def persons(model: Path) -> list[Person]:
    """Three people who differ in hair, skin and the wall behind."""
    photograph = take(model / "face_landmarker.task")
    shown = [MovingFace(paint(photograph, person)) for person in people(7, 16)[:3]]
    return [lambda opening, face=face: _picture(face, opening) for face in shown]


def _picture(face: MovingFace, opening: float) -> np.ndarray:
    pose = Pose(moves=np.zeros(len(MOVES)), opening=opening, lids=0.0, head=(0.0, 0.0, 0.0, 1.0))
    return cv2.cvtColor(face.before_wall(pose), cv2.COLOR_BGR2RGB)
