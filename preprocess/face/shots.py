"""Shots: stretches of a film between two cuts."""

from dataclasses import dataclass

import cv2
import numpy as np

SMALL = (32, 18)  # width and height of the pictures that are compared
CHANGE = 8.0  # mean difference of two small pictures' values, 0 to 255, from which on there may be a cut between them
AROUND = 5  # frames on each side, with whose differences a cut's is compared
STANDS_OUT = 3.0  # times the median of those: a camera that moves changes all frames alike


def small(picture: np.ndarray) -> np.ndarray:
    """A picture (height, width, 3) uint8 as it is compared: (18, 32, 3) float32."""
    return cv2.resize(picture, SMALL, interpolation=cv2.INTER_AREA).astype(np.float32)


@dataclass(frozen=True)
class Shot:
    """The frames from `start` to before `end`, and the small pictures of the first and the last of them."""

    start: int
    end: int
    first: np.ndarray
    last: np.ndarray

    def continues(self, earlier: "Shot") -> bool:
        """Whether it begins with what an earlier shot ended with: the same camera, as in shot and reverse shot."""
        return difference(earlier.last, self.first) < CHANGE


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of two small pictures' values, 0 to 255."""
    return float(np.abs(one - other).mean())


def cuts(differences: np.ndarray) -> list[int]:
    """The frames with which new shots begin; differences (T,): that of each small picture from the one before.

    The first frame begins none.
    """
    large = np.flatnonzero(differences >= CHANGE).tolist()
    return [i for i in large if i and differences[i] >= STANDS_OUT * _usual(differences, i)]


def _usual(differences: np.ndarray, i: int) -> float:
    """The median difference of the frames around a frame, itself and the first one left out."""
    around = np.concatenate([differences[max(1, i - AROUND) : i], differences[i + 1 : i + 1 + AROUND]])
    return float(np.median(around)) if len(around) else 0.0
