"""Smooth fields over the picture: how far each point of it moves."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from sample.photograph import HEIGHT, MARGIN, WIDTH

STEP = 2  # pixels of the film between the points of a field
ROUNDS, STRIDE = 6, 0.7  # of the iteration that inverts a field; with a shorter stride it also converges for steeper fields

Field = NDArray[np.float32]  # (HEIGHT / STEP, WIDTH / STEP, 2), pixels of the film


def _grid() -> Field:
    """The points of the film at which fields are known."""
    x, y = np.meshgrid(np.arange(0, WIDTH, STEP), np.arange(0, HEIGHT, STEP))
    return np.stack([x, y], 2).astype(np.float32) + (STEP - 1) / 2


GRID = _grid()


def spline(points: NDArray, values: NDArray, smoothing: float = 0.5) -> RBFInterpolator:
    """The smoothest surface through (n, k) values at (n, 2) points of the film; it is 0 on the film's margin."""
    border = _border()
    all_points, zeros = np.concatenate([points, border]), np.zeros((len(border), values.shape[1]))
    return RBFInterpolator(all_points, np.concatenate([values, zeros]), kernel="thin_plate_spline", smoothing=smoothing)


def _border(count: int = 8) -> NDArray[np.float64]:
    """(n, 2) points around the film with its margin."""
    xs, ys = np.linspace(-MARGIN, WIDTH + MARGIN, count), np.linspace(-MARGIN, HEIGHT + MARGIN, count)
    return np.array([(x, y) for x in xs for y in (ys[0], ys[-1])] + [(x, y) for y in ys[1:-1] for x in (xs[0], xs[-1])])


def on_grid(surface: RBFInterpolator) -> Field:
    """The surface's values at the points of GRID."""
    return surface(GRID.reshape(-1, 2)).reshape(*GRID.shape[:2], -1).astype(np.float32)


def look_up(field: Field, places: Field) -> Field:
    """The field's values at these places, pixels of the film."""
    at = (places - (STEP - 1) / 2) / STEP
    return cv2.remap(field, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def inverse(shift: Field) -> Field:
    """The field that undoes `shift`: for each place, how far back the point is that was moved there."""
    back = -shift
    for _ in range(ROUNDS):
        back -= STRIDE * (back + look_up(shift, GRID + back))
    return back
