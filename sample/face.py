"""A face that moves: a portrait warped into any mixture of movements, with lips and lids that open and close.

The smooth part is a sum of fields, one for each movement, computed once for a portrait. Lips and lids are cuts: what
lies under a lid or between the lips appears and disappears instead of being stretched.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from sample.photograph import CHIN, HEIGHT, OVAL, WIDTH, to_detail
from sample.portrait import (
    CHEEKS,
    DRIVEN,
    LEFT_LOWER,
    LEFT_UPPER,
    LIPS,
    LIPS_OUTSIDE,
    RIGHT_LOWER,
    RIGHT_UPPER,
    Portrait,
    border,
)

STEP = 2  # pixels of the film between the points of a field
ROUNDS, STRIDE = 6, 0.7  # of the iteration that inverts the smooth part; shorter strides stand steeper fields

MOVES = (
    "smile",
    "brow_inner",
    "brow_outer",
    "brow_down",
    "eyes_wide",
    "squint",
    "sneer",
    "press",
    "stretch",
    "pucker",
    "jaw",
    "yaw",
    "pitch",
)
REST = {"smile": -1.1, "press": 0.1}  # what makes the photograph's smile a neutral face
INNER_BROWS, OUTER_BROWS = [107, 66, 55, 65, 336, 296, 285, 295], [70, 63, 46, 53, 105, 52, 300, 293, 276, 283, 334, 282]
INSIDE_TOP = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308]
INSIDE_BOTTOM = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308]
GAPE = 0.11  # widths of the face by which the lips part at an opening of 1
MOUTH_DARK = np.array([24, 20, 48], np.float32)  # BGR

Field = NDArray[np.float32]  # (HEIGHT / STEP, WIDTH / STEP, 2), pixels of the film


@dataclass(frozen=True)
class Pose:
    """One picture of a film."""

    moves: NDArray[np.float64]  # (13,) amounts of MOVES
    opening: float  # of the lips, 0 to 1
    lids: float  # how far they are closed, 0 to 1
    head: tuple[float, float, float, float]  # shift in pixels right and down, tilt in radians, scale


@dataclass(frozen=True)
class _Cut:
    """Two curves over x, between which a portrait can be opened or closed; all in pixels of the film."""

    x: NDArray[np.float64]
    top: NDArray[np.float64]
    bottom: NDArray[np.float64]
    reach: float  # how far beyond the curves the skin goes along

    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of everything that the cut moves."""
        return self.x[0], self.top.min() - self.reach, self.x[-1], self.bottom.max() + self.reach


class MovingFace:
    """Pictures of one portrait."""

    def __init__(self, portrait: Portrait, mirrored: bool = False) -> None:
        self.portrait, self.mirrored = portrait, mirrored
        self.width = float(np.ptp(portrait.landmarks[OVAL, 0]))
        self.fields = _fields(portrait.landmarks)
        self.mouth = _cut(portrait.landmarks, INSIDE_TOP, INSIDE_BOTTOM, 0.22 * self.width)
        self.lids = [
            _cut(portrait.landmarks, [33, *RIGHT_UPPER, 133], [33, *RIGHT_LOWER, 133], 0.09 * self.width),
            _cut(portrait.landmarks, [362, *LEFT_UPPER[::-1], 263], [362, *LEFT_LOWER[::-1], 263], 0.09 * self.width),
        ]
        self.neck = portrait.landmarks[CHIN, :2] + [0, 0.1 * self.width]

    def picture(self, pose: Pose, turned: Field | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(240, 320, 3) BGR times opacity, and (240, 320) opacity; `turned` as turn() gives it."""
        shift = (pose.moves.astype(np.float32) @ self.fields).reshape(GRID.shape)
        at = _inverse(shift, self._places(pose, turned))
        at = cv2.resize(at, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        for cut in self.lids:
            _close(at, cut, pose.lids)
        rows, columns, dark = _open(at, self.mouth, pose.opening * GAPE * self.width)
        picture = cv2.remap(self.portrait.image, to_detail(at), None, cv2.INTER_LINEAR, borderValue=(0, 0, 0, 0))
        mouth = picture[rows, columns, :3]
        mouth[:] = (mouth * (1 - dark) + MOUTH_DARK * dark).astype(np.uint8)
        return cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR), cv2.extractChannel(picture, 3)

    def before_wall(self, pose: Pose, turned: Field | None = None) -> NDArray[np.uint8]:
        """(240, 320, 3) BGR: the person before the wall."""
        person, opacity = self.picture(pose, turned)
        if self.mirrored:
            person, opacity = cv2.flip(person, 1), cv2.flip(opacity, 1)
        through = cv2.multiply(self.portrait.background, cv2.cvtColor(255 - opacity, cv2.COLOR_GRAY2BGR), scale=1 / 255)
        return cv2.add(person, through)

    def box(self, pose: Pose) -> NDArray[np.float64]:
        """(4,) left, top, width and height of the face in a picture, a turn apart."""
        oval = self.portrait.landmarks[OVAL, :2] + pose.head[:2]
        (left, top), (width, height) = oval.min(0), np.ptp(oval, axis=0)
        return np.array([WIDTH - left - width if self.mirrored else left, top, width, height])

    def _places(self, pose: Pose, turned: Field | None) -> Field:
        """Where on the unmoved head each point of the film lies: the head's shift, tilt and turn undone."""
        right, down, tilt, scale = pose.head
        onto = cv2.getRotationMatrix2D((float(self.neck[0]), float(self.neck[1])), np.degrees(tilt), scale)
        back = cv2.invertAffineTransform(onto + np.array([[0, 0, right], [0, 0, down]])).astype(np.float32)
        places = GRID @ back[:, :2].T + back[:, 2]
        return places if turned is None else places + _look_up(turned, places)

    def turn(self, yaw: float, pitch: float) -> Field:
        """The field that turns the head by these angles (radians; to its left, and down)."""
        points = self.portrait.landmarks
        centre = points[OVAL].mean(0) + np.array([0, 0, 0.25 * self.width])
        turned = (points - centre) @ _rotation(yaw, pitch).T + centre
        kept = _visible(turned, points)
        target, source = turned[kept, :2], points[kept, :2]
        fixed = border()
        field = RBFInterpolator(
            np.concatenate([target, fixed]),
            np.concatenate([source - target, 0 * fixed]),
            kernel="thin_plate_spline",
            smoothing=1.0,
        )
        return field(GRID.reshape(-1, 2)).reshape(GRID.shape).astype(np.float32)


def _grid() -> Field:
    """The points of the film at which fields are known."""
    x, y = np.meshgrid(np.arange(0, WIDTH, STEP), np.arange(0, HEIGHT, STEP))
    return np.stack([x, y], 2).astype(np.float32) + (STEP - 1) / 2


GRID = _grid()


def _look_up(field: Field, places: Field) -> Field:
    """The field's values at these places, pixels of the film."""
    at = (places - (STEP - 1) / 2) / STEP
    return cv2.remap(field, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _inverse(shift: Field, places: Field) -> Field:
    """Which point of the portrait is moved to each of these places by `shift`, which says where each point goes."""
    back = -shift
    for _ in range(ROUNDS):
        back -= STRIDE * (back + _look_up(shift, GRID + back))
    return places + _look_up(back, places)


def _fields(landmarks: NDArray[np.float64]) -> NDArray[np.float32]:
    """(13, HEIGHT / STEP * WIDTH / STEP * 2): how far each movement at an amount of 1 takes each point, in pixels."""
    points, fixed = landmarks[DRIVEN, :2], border()
    moved = np.stack([_movement(name, landmarks)[DRIVEN] for name in MOVES], 1).reshape(len(DRIVEN), -1)
    values = np.concatenate([moved, np.zeros((len(fixed), moved.shape[1]))])
    field = RBFInterpolator(np.concatenate([points, fixed]), values, kernel="thin_plate_spline", smoothing=0.5)
    grid = field(GRID.reshape(-1, 2)).reshape(*GRID.shape[:2], len(MOVES), 2)
    return np.ascontiguousarray(np.moveaxis(grid, 2, 0), np.float32).reshape(len(MOVES), -1)


def _movement(name: str, landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """(478, 2) pixels by which a movement at an amount of 1 shifts each landmark."""
    shift = np.zeros((len(landmarks), 2))
    width = np.ptp(landmarks[OVAL, 0])
    {
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
    }[name](shift, landmarks / width)
    return shift * width


def _side(points: NDArray[np.float64], indices: list[int]) -> NDArray[np.float64]:
    """-1 at the mouth's right corner, 0 in its middle, 1 at its left corner."""
    middle, half = points[[61, 291], 0].mean(), np.ptp(points[[61, 291], 0]) / 2
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
    shift[INNER_BROWS, 0] = np.sign(points[168, 0] - points[INNER_BROWS, 0]) * 0.025


def _eyes_wide(shift: NDArray, points: NDArray) -> None:
    shift[RIGHT_UPPER + LEFT_UPPER, 1] = -0.022
    shift[RIGHT_LOWER + LEFT_LOWER, 1] = 0.010


def _squint(shift: NDArray, points: NDArray) -> None:
    shift[RIGHT_LOWER + LEFT_LOWER, 1] = -0.018
    shift[RIGHT_UPPER + LEFT_UPPER, 1] = 0.010
    shift[CHEEKS, 1] = -0.02


def _sneer(shift: NDArray, points: NDArray) -> None:
    """Disgust's raised upper lip and wrinkled nose."""
    upper = [185, 40, 39, 37, 0, 267, 269, 270, 409, 191, 80, 81, 82, 13, 312, 311, 310, 415]
    shift[upper, 1] = -0.045 * (1 - 0.5 * np.abs(_side(points, upper)))
    shift[[98, 327, 48, 278, 64, 294], 1] = -0.04
    shift[[2, 97, 326], 1] = -0.02
    shift[INNER_BROWS, 1] = 0.03


def _press(shift: NDArray, points: NDArray) -> None:
    """Thin lips: their outer edges come nearer to the line between them."""
    line = points[[78, 308], 1].mean()
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
    edge = [365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136]
    low = np.clip(1 - np.abs(points[edge, 0] - points[CHIN, 0]) / 0.45, 0, 1)
    shift[edge, 1] = 0.12 * low
    lower = [146, 91, 181, 84, 17, 314, 405, 321, 375, 95, 88, 178, 87, 14, 317, 402, 318, 324]
    shift[lower, 1] = 0.05 * (1 - _side(points, lower) ** 2).clip(0)


def _yaw(shift: NDArray, points: NDArray) -> None:
    """A turn to the side; linear, so for small angles (radians)."""
    shift[:, 0] = points[OVAL, 2].mean() - points[:, 2]


def _pitch(shift: NDArray, points: NDArray) -> None:
    shift[:, 1] = points[OVAL, 2].mean() - points[:, 2]


def _cut(landmarks: NDArray[np.float64], top: list[int], bottom: list[int], reach: float) -> _Cut:
    """The cut between two rows of landmarks, sampled at each quarter of a pixel."""
    above, below = landmarks[top, :2], landmarks[bottom, :2]
    x = np.arange(above[0, 0], above[-1, 0], 0.25)
    return _Cut(x, np.interp(x, *above[above[:, 0].argsort()].T), np.interp(x, *below[below[:, 0].argsort()].T), reach)


def _within(at: Field, box: tuple[float, float, float, float]) -> tuple[slice, slice]:
    """The smallest block of the film's rows and columns with every pixel that shows something in the box."""
    left, top, right, bottom = box
    coarse = at[::STEP, ::STEP]
    inside = (coarse[..., 0] >= left) & (coarse[..., 0] <= right) & (coarse[..., 1] >= top) & (coarse[..., 1] <= bottom)
    rows, columns = (np.flatnonzero(inside.any(axis)) * STEP for axis in (1, 0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    return slice(max(0, rows[0] - STEP), rows[-1] + STEP), slice(max(0, columns[0] - STEP), columns[-1] + STEP)


def _curves(cut: _Cut, x: Field) -> tuple[NDArray, NDArray, NDArray]:
    """Height of the upper and of the lower curve at these x, and whether the cut goes that far."""
    index = np.rint((x - cut.x[0]) * 4).astype(int)
    inside = (index >= 0) & (index < len(cut.x))
    index = index.clip(0, len(cut.x) - 1)
    return cut.top[index], cut.bottom[index], inside


def _close(at: Field, cut: _Cut, closed: float) -> None:
    """Draw the upper lid's skin down over the eye, in place: `at` (240, 320, 2) says what each pixel shows."""
    if closed <= 0:
        return
    rows, columns = _within(at, cut.box())
    block = at[rows, columns]
    top, bottom, inside = _curves(cut, block[..., 0])
    edge, start = top + closed * (bottom - top), top - cut.reach
    stretched = start + (block[..., 1] - start) * cut.reach / (cut.reach + edge - top)
    block[..., 1] = np.where(inside & (block[..., 1] > start) & (block[..., 1] < edge), stretched, block[..., 1])


def _open(at: Field, cut: _Cut, gape: float) -> tuple[slice, slice, NDArray[np.float32]]:
    """Part the lips by `gape` pixels in the middle, in place; rows, columns and (h, w, 1) how dark it is between them.

    The photograph's lips are parted already: the lower one is first brought up to the upper one. Between the lips the
    photograph's teeth show as far as they go, then darkness.
    """
    rows, columns = _within(at, cut.box())
    block = at[rows, columns]
    top, bottom, inside = _curves(cut, block[..., 0])
    across = (block[..., 0] - cut.x[0]) / (cut.x[-1] - cut.x[0]) * 2 - 1
    opened = gape * np.sqrt(np.clip(1 - across**2, 0, 1))
    depth, parted = block[..., 1] - top, bottom - top
    pressed = bottom + (depth - opened) / np.maximum(1 - (opened - parted) / cut.reach, 0.2)
    between = inside & (depth > 0) & (depth < opened)
    lower = inside & (depth >= opened) & (pressed < bottom + cut.reach)
    block[..., 1] = np.where(lower, pressed, block[..., 1])
    dark = np.clip(depth - 0.6 * parted, 0, 2) / 2 * np.clip(opened - depth + 0.5, 0, 1) * inside * (depth > 0)
    dark = np.maximum(dark, 0.25 * between)
    return rows, columns, dark[..., None].astype(np.float32)


def _rotation(yaw: float, pitch: float) -> NDArray[np.float64]:
    """(3, 3) of a head turned to its left, then bent down."""
    sideways = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    down = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    return down @ sideways


def _visible(turned: NDArray[np.float64], points: NDArray[np.float64]) -> list[int]:
    """The driven landmarks that do not come to lie behind others: neighbours in a row keep their order."""
    kept: list[int] = []
    for index in DRIVEN:
        difference, before = turned[index, :2] - turned[kept, :2], points[index, :2] - points[kept, :2]
        near = np.abs(before).max(1, initial=0, where=np.ones_like(before, bool)) if len(kept) else np.zeros(0)
        if not len(kept) or not ((near > 0) & ((difference * before).sum(1) < 0.15 * (before**2).sum(1))).any():
            kept.append(index)
    return kept
