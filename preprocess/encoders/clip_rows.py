"""What the stage align keeps of each clip in the store: its rows, their sums, and a note of what the tensors are planned by."""

import json
import zipfile
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save_file

from preprocess.encoders import sums
from preprocess.encoders.ages import Age
from preprocess.encoders.pooling import Rows
from preprocess.encoders.sums import Sums

ROWS, NOTE = "safetensors", "note.json"


@dataclass(frozen=True)
class Note:
    """What has to be known of all clips before the first tensor is written."""

    shapes: dict[str, tuple[int, int]]  # of the states (L, D), by modality
    merged: bool  # a row has more than one word, or more than one hop
    ages: list[tuple[int, float, float, float]]  # row, start, end and age of each picture that is old, as in ages.Age


def write(folder: Path, rows: dict[str, Rows], merged: bool, ages: list[Age]) -> None:
    """Write the files of a clip's entry."""
    tensors: dict[str, np.ndarray] = {}
    for m, of_modality in rows.items():
        of_rows = sums.of(of_modality)
        tensors |= {m: of_modality.states, f"{m}_mask": of_modality.mask, f"{m}_time": of_modality.times}
        tensors |= {f"{m}_mean": of_rows.mean, f"{m}_squares": of_rows.squares}
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, folder / ROWS)
    shapes = {m: of_modality.states.shape for m, of_modality in rows.items()}
    note = Note(shapes, merged, [(age.row, age.start, age.end, age.age) for age in ages])
    (folder / NOTE).write_text(json.dumps(asdict(note)), encoding="utf-8")


def read_note(entry: Path) -> Note:
    with zipfile.ZipFile(entry) as archive:
        return _parsed(archive.read(NOTE))


@cache
def _parsed(note: bytes) -> Note:
    """Clips of the same shapes share their note in memory."""
    tree = json.loads(note)
    shapes = {m: (length, width) for m, (length, width) in tree["shapes"].items()}
    return Note(shapes, tree["merged"], [(row, start, end, age) for row, start, end, age in tree["ages"]])


def read(entry: Path) -> dict[str, tuple[Rows, Sums]]:
    """A clip's rows and their sums, by modality."""
    with zipfile.ZipFile(entry) as archive:
        tensors = load(archive.read(ROWS))
    found = {}
    for m in [name.removesuffix("_mask") for name in tensors if name.endswith("_mask")]:
        rows = Rows(tensors[m], tensors[f"{m}_mask"], tensors[f"{m}_time"])
        found[m] = rows, Sums(int(rows.mask.sum()), tensors[f"{m}_mean"], tensors[f"{m}_squares"])
    return found
