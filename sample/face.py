"""A face that moves: a portrait is warped by any mixture of movements, and lips and lids open and close.

The smooth part is a sum of fields, one for each movement, computed once for a portrait. Lips and lids are cuts: the eye under
a lid and the mouth between the lips appear and disappear instead of being stretched.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sample.landmark import (
    CHIN,
    DRIVEN,
    INSIDE_CORNERS,
    LEFT_CORNERS,
    LEFT_LOWER,
    LEFT_UPPER,
    LOWER_INSIDE,
    OVAL,
    RIGHT_CORNERS,
    RIGHT_LOWER,
    RIGHT_UPPER,
    UPPER_INSIDE,
)
from sample.movement import MOVES, shifts
from sample.photograph import HEIGHT, WIDTH, to_detail
from sample.portrait import Portrait
from sample.warp import GRID, STEP, Field, inverse, look_up, on_grid, spline

GAPE = 0.11  # widths of the face by which the lips part at an opening of 1
MOUTH_DARK = np.array([24, 20, 48], np.float32)  # BGR


@dataclass(frozen=True)
class Pose:
    """One picture of a film."""

    moves: NDArray[np.float64]  # (len(MOVES),) their amounts
    opening: float  # of the lips, 0 to 1
    lids: float  # how far they are closed, 0 to 1
    head: tuple[float, float, float, float]  # shift in pixels right and down, tilt in radians, scale


@dataclass(frozen=True)
class _Cut:
    """Two curves over x, between which a portrait can be opened or closed; all in pixels of the film."""

    x: NDArray[np.float64]
    top: NDArray[np.float64]
    bottom: NDArray[np.float64]
    reach: float  # how far from the curves the skin moves with them

    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of everything that the cut moves."""
        return self.x[0], self.top.min() - self.reach, self.x[-1], self.bottom.max() + self.reach


class MovingFace:
    """Pictures of one portrait."""

    def __init__(self, portrait: Portrait, mirrored: bool = False) -> None:
        self.portrait, self.mirrored = portrait, mirrored
        self.width = float(np.ptp(portrait.landmarks[OVAL, 0]))
        driven = shifts(portrait.landmarks)[DRIVEN].reshape(len(DRIVEN), -1)
        fields = on_grid(spline(portrait.landmarks[DRIVEN, :2], driven)).reshape(*GRID.shape[:2], len(MOVES), 2)
        self.fields = np.ascontiguousarray(np.moveaxis(fields, 2, 0)).reshape(len(MOVES), -1)
        self.mouth = _cut(portrait.landmarks, UPPER_INSIDE, LOWER_INSIDE, INSIDE_CORNERS, 0.22 * self.width)
        self.lids = [
            _cut(portrait.landmarks, RIGHT_UPPER, RIGHT_LOWER, RIGHT_CORNERS, 0.09 * self.width),
            _cut(portrait.landmarks, LEFT_UPPER, LEFT_LOWER, LEFT_CORNERS, 0.09 * self.width),
        ]
        self.neck = portrait.landmarks[CHIN, :2] + [0, 0.1 * self.width]

    def picture(self, pose: Pose, turned: Field | None = None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(240, 320, 3) BGR times opacity, and (240, 320) opacity; `turned` as turn() gives it."""
        shift = (pose.moves.astype(np.float32) @ self.fields).reshape(GRID.shape)
        places = self._places(pose, turned)
        at = cv2.resize(places + look_up(inverse(shift), places), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
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
        """(4,) left, top, width and height of the face in a picture, without a turn of the head."""
        oval = self.portrait.landmarks[OVAL, :2] + pose.head[:2]
        (left, top), (width, height) = oval.min(0), np.ptp(oval, axis=0)
        return np.array([WIDTH - left - width if self.mirrored else left, top, width, height])

    def _places(self, pose: Pose, turned: Field | None) -> Field:
        """Where on the unmoved head each point of the film lies: the head's shift, tilt and turn undone."""
        right, down, tilt, scale = pose.head
        onto = cv2.getRotationMatrix2D((float(self.neck[0]), float(self.neck[1])), np.degrees(tilt), scale)
        back = cv2.invertAffineTransform(onto + np.array([[0, 0, right], [0, 0, down]])).astype(np.float32)
        places = GRID @ back[:, :2].T + back[:, 2]
        return places if turned is None else places + look_up(turned, places)

    def turn(self, yaw: float, pitch: float) -> Field:
        """The field that turns the head by these angles (radians; to its left, and down)."""
        points = self.portrait.landmarks
        centre = points[OVAL].mean(0) + np.array([0, 0, 0.25 * self.width])
        turned = (points - centre) @ _rotation(yaw, pitch).T + centre
        kept = _visible(turned, points)
        return on_grid(spline(turned[kept, :2], points[kept, :2] - turned[kept, :2], smoothing=1.0))


def _cut(landmarks: NDArray[np.float64], top: list[int], bottom: list[int], corners: tuple[int, int], reach: float) -> _Cut:
    """The cut between two rows of landmarks that meet at the corners, sampled at each quarter of a pixel."""
    above, below = (landmarks[[*row, *corners], :2] for row in (top, bottom))
    above, below = above[above[:, 0].argsort()], below[below[:, 0].argsort()]
    x = np.arange(above[0, 0], above[-1, 0], 0.25)
    return _Cut(x, np.interp(x, *above.T), np.interp(x, *below.T), reach)


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
    """The driven landmarks that stay visible in the turned head: no two of them change their order or nearly coincide."""
    kept: list[int] = []
    for index in DRIVEN:
        after, before = turned[index, :2] - turned[kept, :2], points[index, :2] - points[kept, :2]
        if ((after * before).sum(1) >= 0.15 * (before**2).sum(1)).all():
            kept.append(index)
    return kept
