"""Mean and deviation of rows by sums that are made clip by clip: added in a fixed order, they give the same bytes."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from preprocess.encoders.pooling import Rows


@dataclass(frozen=True)
class Sums:
    """What is known of some rows (n, D)."""

    count: int  # n
    mean: np.ndarray  # (D,) float64
    squares: np.ndarray  # (D,) float64, sum of the squared distances from the mean

    def __add__(self, other: "Sums") -> "Sums":
        """Of both together, without the loss of digits that sums of plain squares have (Chan, Golub and LeVeque)."""
        count = self.count + other.count
        if not count:
            return self
        apart = other.mean - self.mean
        return Sums(
            count,
            self.mean + apart * (other.count / count),
            self.squares + other.squares + apart**2 * (self.count * other.count / count),
        )

    @property
    def deviation(self) -> np.ndarray:
        """(D,): standard deviation; 1 where there are no rows."""
        return np.sqrt(self.squares / self.count) if self.count else np.ones_like(self.mean)


def of(rows: Rows) -> Sums:
    """Of the observed rows of one clip; it has at least one."""
    x = rows.states[rows.mask].astype(np.float64)
    mean = x.mean(axis=0)
    return Sums(len(x), mean, np.square(x - mean).sum(axis=0))


def total(parts: Iterable[Sums], width: int) -> Sums:
    """Of all parts together, in their order."""
    return reduce(add, parts, Sums(0, np.zeros(width), np.zeros(width)))
