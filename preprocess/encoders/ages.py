"""How old the picture is that stands for a row: in a film of one picture a second, the word's face may be a second old."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

import csv_table
from preprocess.encoders.states import TimedStates

OLD = 0.3  # seconds; with ten pictures a second none gets as old


@dataclass(frozen=True)
class Age:
    """A row whose picture is older than OLD in the row's middle."""

    clip_id: str
    row: int
    start: float  # of the row, seconds from the clip's start
    end: float
    age: float  # seconds


def of_rows(clip_id: str, vision: TimedStates, times: np.ndarray) -> list[Age]:
    """The rows of a clip, whose times (L, 2) are in seconds, whose pictures are old; after the last picture that one stays."""
    ages = []
    for row, (start, end) in enumerate(times.astype(float)):
        picture = int(np.searchsorted(vision.times[:, 0], (start + end) / 2, "right")) - 1
        age = (start + end) / 2 - float(vision.times[picture, 0])
        if picture >= 0 and vision.observed[picture] and age > OLD:
            ages.append(Age(clip_id, row, round(start, 3), round(end, 3), round(age, 3)))
    return ages


def write(path: Path, ages: Iterable[Age]) -> None:
    csv_table.write(path, [field.name for field in fields(Age)], map(astuple, ages))
