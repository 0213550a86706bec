"""Crops of faces: every pixel is the mean of what it covers."""

import numpy as np
import pytest

from preprocess.face.crops import crop
from preprocess.face.track import Face
from tests.preprocess.face.films import SETTINGS

FACES = SETTINGS.faces.model_copy(update={"crop_size": 112, "crop_margin": 0.0})


def face(left: float, top: float, side: float) -> Face:
    """A face whose square has its upper left corner there, pixels."""
    landmarks = np.full((478, 3), (left, top, 0), np.float32)
    landmarks[1, :2] += side
    return Face(landmarks, np.zeros(52, np.float32), np.eye(4, dtype=np.float32))


@pytest.mark.parametrize("side", [150, 337, 500, 1100])
def test_noise_is_averaged_over_the_area_that_a_pixel_covers(side: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (side + 40, side + 40, 3), np.uint8)
    assert crop(noise, face(20, 20, side), FACES).std() < 1.1 * noise.std() * 112 / side


@pytest.mark.parametrize("side", [56, 112, 150, 337, 500, 1100])
@pytest.mark.parametrize("corner", [(20.0, 20.0), (31.4, 22.7)])
def test_a_crop_shows_what_lies_in_its_square_to_a_fraction_of_a_pixel(side: int, corner: tuple[float, float]) -> None:
    """Of a picture whose values rise evenly to the right and down, a pixel of the crop has that of its own middle."""
    size = side + 60
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    picture = np.dstack([x, y, 0 * x]) * 255 / size
    middles = (np.arange(112) + 0.5) * side / 112
    made = crop(picture.round().astype(np.uint8), face(*corner, side), FACES).astype(float) * size / 255
    assert np.abs(made[..., 0] - corner[0] - middles).max() < size / 255 + 0.5
    level = size / 255  # pixels
    assert abs((made[..., 0] - corner[0] - middles).mean()) < 0.5 * level
    assert abs((made[..., 1] - corner[1] - middles[:, None]).mean()) < 0.5 * level


def test_beyond_the_picture_and_without_a_face_a_crop_is_black() -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    assert not crop(white, None, FACES).any()
    beyond = crop(white, face(50, 0, 100), FACES)
    assert beyond[1:-1, :55].min() == 255
    assert not beyond[:, 58:].any()
