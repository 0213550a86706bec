"""Shots: stretches of a film between two cuts."""

from dataclasses import dataclass, field

import cv2
import numpy as np

SMALL = (32, 18)  # width and height of the pictures that are compared
CHANGE = 8.0  # mean difference of two small pictures' values, 0 to 255, from which on there may be a cut between them
STANDS_OUT = 3.0  # times the difference before it: a camera that moves changes all frames alike


@dataclass
class Shot:
    """The frames from `start` to before `end`, and the small pictures of the first and the last of them."""

    start: int
    end: int
    first: np.ndarray
    last: np.ndarray

    def resumes(self, earlier: "Shot") -> bool:
        """Whether it begins with what an earlier shot ended with: the same camera, as in shot and reverse shot."""
        return self.start >= earlier.end and _difference(earlier.last, self.first) < CHANGE


@dataclass
class Shots:
    """The shots of a film, as its frames come."""

    items: list[Shot] = field(default_factory=list)
    _difference: float = 0.0  # of the frame before, from the one before that

    def add(self, picture: np.ndarray) -> bool:
        """The next frame (height, width, 3) uint8; whether a shot begins with it, as one does with the first."""
        small = cv2.resize(picture, SMALL, interpolation=cv2.INTER_AREA).astype(np.float32)
        begins = not self.items or self._is_cut(_difference(self.items[-1].last, small))
        if begins:
            start = self.items[-1].end if self.items else 0
            self.items.append(Shot(start, start, small, small))
        self.items[-1].end += 1
        self.items[-1].last = small
        return begins

    def _is_cut(self, difference: float) -> bool:
        before, self._difference = self._difference, difference
        return difference >= max(CHANGE, STANDS_OUT * before)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of two small pictures' values, 0 to 255."""
    return float(np.abs(one - other).mean())
