"""The tensors of a split, put together from the rows of its clips, which the store keeps one by one."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract import UNKNOWN_TIME
from preprocess.clips import Label
from preprocess.encoders import clip_rows, sums
from preprocess.encoders.clip_rows import Note
from preprocess.encoders.pooling import Rows
from preprocess.encoders.speakers import Speakers
from preprocess.encoders.sums import Sums
from preprocess.store import tables
from preprocess.store.written import digest

STATES, MASK, TIME = np.dtype("<f4"), np.dtype("?"), np.dtype("<f4")

Shapes = dict[str, tuple[int, int]]  # of a clip's states (L, D), by modality


@dataclass(frozen=True)
class Sizes:
    """Of a split's states (N, L, D), by modality."""

    widths: dict[str, int]  # D
    lengths: dict[str, int]  # L


class Kept:
    """The rows of every clip that has any: those of a large corpus do not fit in memory."""

    def __init__(self, entries: dict[str, Path]) -> None:
        self.notes: dict[str, Note] = {clip_id: clip_rows.read_note(entry) for clip_id, entry in entries.items()}
        self.speakers: dict[str, Speakers] = {}  # by modality that is read relative to what is usual for the speaker
        self._entries = entries

    def read(self, clip_id: str) -> dict[str, tuple[Rows, Sums]]:
        """A clip's rows and their sums, by modality."""
        modalities = clip_rows.read(self._entries[clip_id])
        for m in self.speakers.keys() & modalities.keys():
            rows, of_rows = modalities[m]
            usual = self.speakers[m].of(clip_id)
            modalities[m] = usual.apply(rows), usual.apply_to_sums(of_rows)
        return modalities

    def digest(self, labels: list[Label]) -> str:
        """Of all that the tensors of clips with these labels are made of, but for their sizes."""
        rows = [(label.clip_id, self._entries[label.clip_id].name, label.values) for label in labels]
        return digest(rows, [(m, usual.digest(label.clip_id for label in labels)) for m, usual in self.speakers.items()])

    def sums_of(self, modality: str) -> Iterator[tuple[str, Sums]]:
        """The clips that have a modality, and its sums."""
        having = (clip_id for clip_id, note in self.notes.items() if modality in note.shapes)
        return ((clip_id, self.read(clip_id)[modality][1]) for clip_id in having)


def lengths(shapes: Iterable[Shapes], widths: dict[str, int], mode: str) -> dict[str, int]:
    """The length that each modality's tensor needs for clips of these shapes; with `words`, the same for all."""
    most = dict.fromkeys(widths, 0)
    for shape in shapes:
        most |= {name: max(most[name], rows) for name, (rows, _) in shape.items()}
    if mode == "words":
        most = dict.fromkeys(widths, max(most.values(), default=0))
    return {name: length or 1 for name, length in most.items()}


def write(
    path: Path,
    clips: Iterable[dict[str, Rows]],
    labels: list[Label],
    names: list[str],
    sizes: Sizes,
) -> None:
    """The tensors of clips with these labels, in this order: a modality's states (N, L, D), mask (N, L), times (N, L, 2)."""
    kinds: tables.Kinds = {"labels": (STATES, (len(names),))}
    lengths = sizes.lengths
    for m, width in sizes.widths.items():
        kinds |= {m: (STATES, (lengths[m], width)), f"{m}_mask": (MASK, (lengths[m],)), f"{m}_time": (TIME, (lengths[m], 2))}
    with path.open("wb") as file:
        table = tables.Blank(file, kinds, len(labels), labels=json.dumps(names))
        table.write(0, {"labels": np.array([label.values for label in labels], np.float32)})
        for i, clip in enumerate(clips):
            for m, length in lengths.items():
                padded = {
                    m: np.zeros((length, sizes.widths[m]), STATES),  # written in full: files with holes take long to delete
                    f"{m}_mask": np.zeros(length, MASK),
                    f"{m}_time": np.full((length, 2), UNKNOWN_TIME, TIME),
                }
                if m in clip:
                    for whole, part in zip(padded.values(), (clip[m].states, clip[m].mask, clip[m].times), strict=True):
                        whole[: len(part)] = part
                table.write(i, padded)


class Statistics:
    """Mean and deviation of every feature over the observed rows of clips that pass; 0 and 1 where there are none."""

    def __init__(self, widths: dict[str, int]) -> None:
        self.totals = {m: sums.total([], width) for m, width in widths.items()}

    def counted(self, clips: Iterable[dict[str, tuple[Rows, Sums]]]) -> Iterator[dict[str, Rows]]:
        """The rows of the clips, while their sums are added, in this order."""
        for clip in clips:
            for m, (_, of_rows) in clip.items():
                self.totals[m] += of_rows
            yield {m: rows for m, (rows, _) in clip.items()}

    def tensors(self) -> dict[str, np.ndarray]:
        values: dict[str, np.ndarray] = {}
        for m, total in self.totals.items():
            values |= {f"{m}_mean": total.mean.astype(np.float32), f"{m}_deviation": total.deviation.astype(np.float32)}
        return values
