"""The single movements that a face can make, as shifts of its landmarks at an amount of 1.

Each function gets (478, 2) shifts to fill in and (478, 3) landmarks, both in units of the face's width.
"""

import numpy as np
from numpy.typing import NDArray

from sample.landmark import (
    CHEEKS,
    CHIN,
    INNER_BROWS,
    INSIDE_CORNERS,
    JAW,
    LIPS,
    LIPS_OUTSIDE,
    LOWER_LIDS,
    LOWER_LIP,
    MOUTH_CORNERS,
    NOSE_BASE,
    NOSE_BRIDGE,
    NOSTRILS,
    OUTER_BROWS,
    OVAL,
    UPPER_LIDS,
    UPPER_LIP,
)


def _side(points: NDArray, indices: list[int]) -> NDArray:
    """-1 at the mouth's right corner, 0 in its middle, 1 at its left corner."""
    middle, half = points[list(MOUTH_CORNERS), 0].mean(), np.ptp(points[list(MOUTH_CORNERS), 0]) / 2
    return (points[indices, 0] - middle) / half


def _smile(shift: NDArray, points: NDArray) -> None:
    side = _side(points, LIPS)
    shift[LIPS, 0] = 0.045 * side
    shift[LIPS, 1] = -0.05 * side**2 + 0.02
    shift[CHEEKS, 1] = -0.015


def _brow_inner(shift: NDArray, points: NDArray) -> None:
    shift[INNER_BROWS, 1] = -0.06
    shift[OUTER_BROWS, 1] = 0.005


def _brow_outer(shift: NDArray, points: NDArray) -> None:
    shift[OUTER_BROWS, 1] = -0.055
    shift[INNER_BROWS, 1] = -0.03


def _brow_down(shift: NDArray, points: NDArray) -> None:
    shift[INNER_BROWS, 1], shift[OUTER_BROWS, 1] = 0.05, 0.025
    shift[INNER_BROWS, 0] = np.sign(points[NOSE_BRIDGE[-1], 0] - points[INNER_BROWS, 0]) * 0.025


def _eyes_wide(shift: NDArray, points: NDArray) -> None:
    shift[UPPER_LIDS, 1] = -0.022
    shift[LOWER_LIDS, 1] = 0.010


def _squint(shift: NDArray, points: NDArray) -> None:
    shift[LOWER_LIDS, 1] = -0.018
    shift[UPPER_LIDS, 1] = 0.010
    shift[CHEEKS, 1] = -0.02


def _sneer(shift: NDArray, points: NDArray) -> None:
    """Disgust's raised upper lip and wrinkled nose."""
    shift[UPPER_LIP, 1] = -0.045 * (1 - 0.5 * np.abs(_side(points, UPPER_LIP)))
    shift[NOSTRILS, 1] = -0.04
    shift[NOSE_BASE, 1] = -0.02
    shift[INNER_BROWS, 1] = 0.03


def _press(shift: NDArray, points: NDArray) -> None:
    """Thin lips: their outer edges come nearer to the line between them."""
    line = points[list(INSIDE_CORNERS), 1].mean()
    shift[LIPS_OUTSIDE, 1] = -0.45 * (points[LIPS_OUTSIDE, 1] - line) * (1 - _side(points, LIPS_OUTSIDE) ** 2).clip(0)


def _stretch(shift: NDArray, points: NDArray) -> None:
    """Fear's mouth, wide and drawn down at its corners."""
    side = _side(points, LIPS)
    shift[LIPS, 0] = 0.06 * side
    shift[LIPS, 1] = 0.03 * side**2


def _pucker(shift: NDArray, points: NDArray) -> None:
    shift[LIPS, 0] = -0.07 * _side(points, LIPS)


def _jaw(shift: NDArray, points: NDArray) -> None:
    """The chin goes down, and with it the jaw's edge and the lower lip."""
    shift[JAW, 1] = 0.12 * np.clip(1 - np.abs(points[JAW, 0] - points[CHIN, 0]) / 0.45, 0, 1)
    shift[LOWER_LIP, 1] = 0.05 * (1 - _side(points, LOWER_LIP) ** 2).clip(0)


def _yaw(shift: NDArray, points: NDArray) -> None:
    """A turn to the side; linear, so for small angles (radians)."""
    shift[:, 0] = points[OVAL, 2].mean() - points[:, 2]


def _pitch(shift: NDArray, points: NDArray) -> None:
    shift[:, 1] = points[OVAL, 2].mean() - points[:, 2]


MOVES = {
    "smile": _smile,
    "brow_inner": _brow_inner,
    "brow_outer": _brow_outer,
    "brow_down": _brow_down,
    "eyes_wide": _eyes_wide,
    "squint": _squint,
    "sneer": _sneer,
    "press": _press,
    "stretch": _stretch,
    "pucker": _pucker,
    "jaw": _jaw,
    "yaw": _yaw,
    "pitch": _pitch,
}
REST = {"smile": -1.1, "press": 0.1}  # what makes the photograph's smile a neutral face


def shifts(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """(478, len(MOVES), 2): how far each movement at an amount of 1 takes each landmark, in pixels of the film."""
    width = np.ptp(landmarks[OVAL, 0])
    moved = np.zeros((len(landmarks), len(MOVES), 2))
    for number, move in enumerate(MOVES.values()):
        move(moved[:, number], landmarks / width)
    return moved * width
