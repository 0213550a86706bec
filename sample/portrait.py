"""A speaker's picture: the photograph with another shape of face, other tones, and another wall behind."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from sample.photograph import HEIGHT, MARGIN, OVAL, WIDTH, Photograph
from sample.speaker import Face, Speaker

BROWS = [70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276]
RIGHT_UPPER, RIGHT_LOWER = [246, 161, 160, 159, 158, 157, 173], [7, 163, 144, 145, 153, 154, 155]
LEFT_UPPER, LEFT_LOWER = [466, 388, 387, 386, 385, 384, 398], [249, 390, 373, 374, 380, 381, 382]
RIGHT_EYE, LEFT_EYE = [33, *RIGHT_UPPER, *RIGHT_LOWER, 133], [263, *LEFT_UPPER, *LEFT_LOWER, 362]
NOSE = [1, 2, 4, 5, 195, 197, 6, 168, 98, 97, 326, 327, 48, 278, 64, 294]
LIPS_OUTSIDE = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409]
LIPS_INSIDE = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324]
LIPS = LIPS_OUTSIDE + LIPS_INSIDE
CHEEKS = [50, 280, 205, 425, 101, 330]
DRIVEN = [*dict.fromkeys(OVAL + BROWS + RIGHT_EYE + LEFT_EYE + NOSE + LIPS + CHEEKS)]

# How far a face differs from the photograph at an amount of 1: shares of the part's own size, or of the face's width.
SHAPES = {
    "width": 0.07,
    "jaw": 0.09,
    "chin": 0.05,
    "eyes_apart": 0.02,
    "eye_size": 0.12,
    "nose_width": 0.14,
    "nose_length": 0.03,
    "mouth_width": 0.10,
    "brow_height": 0.015,
}


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
    moved[NOSE[:5], 1] += height * amount["nose_length"]
    moved[LIPS, 0] += (landmarks[LIPS, 0] - landmarks[LIPS, 0].mean()) * amount["mouth_width"]
    moved[BROWS, 1] -= width * amount["brow_height"]
    return moved


def border(step: int = 8) -> NDArray[np.float64]:
    """(n, 2) points around the film with its margin, which every warp leaves where they are."""
    xs, ys = np.linspace(-MARGIN, WIDTH + MARGIN, step), np.linspace(-MARGIN, HEIGHT + MARGIN, step)
    sides = [(x, y) for x in xs for y in (ys[0], ys[-1])] + [(x, y) for y in ys[1:-1] for x in (xs[0], xs[-1])]
    return np.array(sides)


def _bend(image: NDArray[np.uint8], source: NDArray, target: NDArray) -> NDArray[np.uint8]:
    """The image with its points at `source` moved to `target`, (n, 2) pixels of the film, smoothly in between."""
    fixed = border()
    field = RBFInterpolator(
        np.concatenate([target, fixed]), np.concatenate([source - target, 0 * fixed]), kernel="thin_plate_spline", smoothing=0.5
    )
    height, width = image.shape[:2]
    x, y = np.meshgrid(np.arange(-MARGIN, WIDTH + MARGIN, 4.0), np.arange(-MARGIN, HEIGHT + MARGIN, 4.0))
    coarse = field(np.stack([x.ravel(), y.ravel()], 1)).reshape(*x.shape, 2).astype(np.float32)
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    at = np.stack([xs, ys], 2) / (image.shape[1] / x.shape[1])
    shift = cv2.remap(coarse, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.remap(image, np.stack([xs, ys], 2) + shift * (image.shape[1] / (WIDTH + 2 * MARGIN)), None, cv2.INTER_LINEAR)


def _tone(photograph: Photograph, face: Face) -> NDArray[np.float32]:
    """The photograph in BGR, 0 to 255, with skin, hair and suit shifted in Lab; lightness scales, so shading stays."""
    lab = cv2.cvtColor(photograph.image.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    suit = 1 - photograph.skin - photograph.hair
    for mask, change in ((photograph.skin, face.skin), (photograph.hair, face.hair), (suit, face.suit)):
        lab[..., 0] *= 1 + mask * (change[0] / 75)
        lab[..., 1:] += mask[..., None] * np.array(change[1:], np.float32)
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR), 0, 1) * 255


def wall(speaker: Speaker) -> NDArray[np.uint8]:
    """(240, 320, 3) the wall behind: a shade from top to bottom, and a few soft spots of its own."""
    rng = np.random.default_rng([speaker.number, 3])
    top, bottom = (np.array(colour) for colour in speaker.background)
    shade = np.linspace(0, 1, HEIGHT)[:, None, None]
    spots = cv2.resize(rng.normal(0, 14, (5, 7)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(top * (1 - shade) + bottom * shade + spots[..., None], 0, 255).astype(np.uint8)
