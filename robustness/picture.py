"""Corruptions of pictures, (height, width, 3) uint8 RGB each, in their order. OpenCV does what it has a function for."""

import math
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from robustness.gaps import gaps

SHORTEST, LONGEST = 0.1, 0.5  # seconds of a gap between pictures

Picture = NDArray[np.uint8]
Timed = tuple[float, Picture]  # seconds from the clip's start
Change = Callable[[Picture], Picture]


def corrupted(pictures: Iterable[Timed], seconds: float, kind: str, amount: float, rng: np.random.Generator) -> Iterator[Timed]:
    """Pictures with their times, corrupted; `seconds` is the length of their clip. Only lost frames leave any out."""
    if kind == "lost_frames":
        missing = gaps(seconds, amount, SHORTEST, LONGEST, rng)
        return ((time, x) for time, x in pictures if not any(begin <= time < end for begin, end in missing))
    if kind == "frozen":
        begin = float(rng.uniform(0, 1 - amount)) * seconds
        return frozen(pictures, begin, begin + amount * seconds)
    of_clip = CHANGES[kind](amount, rng)
    return ((time, of_clip(x)) for time, x in pictures)


def frozen(pictures: Iterable[Timed], begin: float, end: float) -> Iterator[Timed]:
    """From begin to end (seconds) the first picture that is not earlier."""
    still: Picture | None = None
    for time, picture in pictures:
        inside = begin <= time <= end
        still = (picture if still is None else still) if inside else None
        yield time, picture if still is None else still


def blur(share: float, rng: np.random.Generator) -> Change:
    return lambda picture: as_picture(cv2.GaussianBlur(picture, (0, 0), share * picture.shape[0]))


def darkness(share: float, rng: np.random.Generator) -> Change:
    return lambda picture: as_picture(np.rint(picture * np.float32(share)))


def resolution(pixels: float, rng: np.random.Generator) -> Change:
    """Fewer pixels, and as many as before between them; a picture with no more stays as it is."""

    def change(picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        scale = pixels / min(height, width)
        if scale >= 1:
            return picture
        small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        return as_picture(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))

    return change


def compression(quality: float, rng: np.random.Generator) -> Change:
    """JPEG, whose bytes depend on the pictures' channels alone; the order of colours is OpenCV's."""

    def change(picture: Picture) -> Picture:
        _, packed = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
        return as_picture(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))[..., ::-1])

    return change


def occlusion(share: float, rng: np.random.Generator) -> Change:
    """A box of one colour and the picture's form, the same for all pictures of a clip."""
    down, across = rng.uniform(0.35, 0.65, 2)
    colour = rng.integers(0, 256, 3, np.uint8)

    def change(picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        rows, columns = round(height * math.sqrt(share)), round(width * math.sqrt(share))
        top = min(max(0, round(down * height - rows / 2)), height - rows)
        left = min(max(0, round(across * width - columns / 2)), width - columns)
        covered = picture.copy()
        covered[top : top + rows, left : left + columns] = colour
        return covered

    return change


CHANGES: dict[str, Callable[[float, np.random.Generator], Change]] = {
    "blur": blur,
    "darkness": darkness,
    "resolution": resolution,
    "compression": compression,
    "occlusion": occlusion,
}


def as_picture(x: np.ndarray) -> Picture:
    return x.astype(np.uint8, copy=False)
