"""A speaker's picture: the photograph with another shape of face, other tones, and another wall behind."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sample.landmark import BROWS, DRIVEN, LEFT_EYE, LIPS, NOSE, NOSE_TIP, OVAL, RIGHT_EYE
from sample.photograph import DETAIL, HEIGHT, MARGIN, WIDTH, Photograph
from sample.speaker import SHAPES, Face, Speaker
from sample.warp import spline

COARSE = 4  # pixels of the film between the points at which a shape's field is known


@dataclass(frozen=True)
class Portrait:
    """image: (H, W, 4) uint8, BGR times opacity, and opacity; landmarks: (478, 3) pixels of the film;
    background: (240, 320, 3) uint8, BGR."""

    image: NDArray[np.uint8]
    landmarks: NDArray[np.float64]
    background: NDArray[np.uint8]


def paint(photograph: Photograph, speaker: Speaker) -> Portrait:
    landmarks = reshape(photograph.landmarks, speaker.face.shape)
    toned = _tone(photograph, speaker.face)
    opaque = np.dstack([toned * photograph.person[..., None], 255 * photograph.person])
    bent = _bend(opaque.astype(np.uint8), photograph.landmarks[DRIVEN, :2], landmarks[DRIVEN, :2])
    return Portrait(bent, landmarks, wall(speaker))


def reshape(landmarks: NDArray[np.float64], shape: dict[str, float]) -> NDArray[np.float64]:
    """(478, 3) landmarks of a face that differs from the photograph's by these amounts of SHAPES."""
    amount = {name: SHAPES[name] * value for name, value in shape.items()}
    moved = landmarks.copy()
    centre, (width, height) = landmarks[OVAL, :2].mean(0), np.ptp(landmarks[OVAL, :2], axis=0)
    low = np.clip((landmarks[:, 1] - centre[1]) / (0.5 * height), 0, 1)
    moved[:, 0] += (landmarks[:, 0] - centre[0]) * (amount["width"] + amount["jaw"] * low)
    moved[:, 1] += height * amount["chin"] * np.clip(low - 0.4, 0, 1)
    for eye, side in ((RIGHT_EYE, -1), (LEFT_EYE, 1)):
        moved[eye, :2] += (landmarks[eye, :2] - landmarks[eye, :2].mean(0)) * amount["eye_size"]
        moved[eye, 0] += side * width * amount["eyes_apart"]
    moved[NOSE, 0] += (landmarks[NOSE, 0] - landmarks[NOSE, 0].mean()) * amount["nose_width"]
    moved[NOSE_TIP, 1] += height * amount["nose_length"]
    moved[LIPS, 0] += (landmarks[LIPS, 0] - landmarks[LIPS, 0].mean()) * amount["mouth_width"]
    moved[BROWS, 1] -= width * amount["brow_height"]
    return moved


def _bend(image: NDArray[np.uint8], source: NDArray, target: NDArray) -> NDArray[np.uint8]:
    """The image with its points at `source` moved to `target`, (n, 2) pixels of the film, smoothly in between."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(-MARGIN, WIDTH + MARGIN, COARSE), np.arange(-MARGIN, HEIGHT + MARGIN, COARSE))
    shift = spline(target, source - target)(np.stack([x.ravel(), y.ravel()], 1).astype(float)).reshape(*x.shape, 2)
    at = np.stack(np.meshgrid(np.arange(width), np.arange(height)), 2).astype(np.float32)
    here = cv2.remap(shift.astype(np.float32), at / (COARSE * DETAIL), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.remap(image, at + here * DETAIL, None, cv2.INTER_LINEAR)


def _tone(photograph: Photograph, face: Face) -> NDArray[np.float32]:
    """The photograph in BGR, 0 to 255, with skin, hair and suit shifted in Lab; lightness scales, so shading stays."""
    lab = cv2.cvtColor(photograph.image.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    suit = 1 - photograph.skin - photograph.hair
    for mask, change in ((photograph.skin, face.skin), (photograph.hair, face.hair), (suit, face.suit)):
        lab[..., 0] *= 1 + mask * (change[0] / 75)
        lab[..., 1:] += mask[..., None] * np.array(change[1:], np.float32)
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR), 0, 1) * 255


def wall(speaker: Speaker) -> NDArray[np.uint8]:
    """(240, 320, 3) the wall behind the speaker: a colour gradient from top to bottom, and a few soft spots."""
    rng = np.random.default_rng([speaker.number, 3])
    top, bottom = (np.array(colour) for colour in speaker.background)
    shade = np.linspace(0, 1, HEIGHT)[:, None, None]
    spots = cv2.resize(rng.normal(0, 14, (5, 7)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(top * (1 - shade) + bottom * shade + spots[..., None], 0, 255).astype(np.uint8)
