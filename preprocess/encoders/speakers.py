"""Voice and face apart from whose they are: each feature less the speaker's mean, over the speaker's deviation.

What is usual for a speaker comes from the speaker's own clips of one split, without any label. A clip whose speaker is
unknown, or has fewer than LEAST_CLIPS clips, is measured by the training split as a whole; so is a recording of no corpus.
"""

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from preprocess.encoders.pooling import Rows
from preprocess.encoders.sums import Sums

LEAST_CLIPS = 5
# The least deviation that a feature is divided by, as a share of its deviation in the training split.
FLOOR = 0.01
# The file of statistics beside the tensors. What is usual for the training split is named {modality}_usual_mean there, and
# {modality}_usual_deviation.
FILE = "statistics.safetensors"

# A voice: the split and the name of a speaker; the name "" is that of nobody.
Voice = tuple[str, str]
# Gives the sums of a modality's rows of each clip that has any, with its id; called twice.
Source = Callable[[], Iterable[tuple[str, Sums]]]


@dataclass(frozen=True)
class Usual:
    """Mean and deviation of the rows of some clips, (D,) each."""

    mean: np.ndarray
    deviation: np.ndarray

    def apply(self, rows: Rows) -> Rows:
        states = np.where(rows.mask[:, None], (rows.states - self.mean) / self.deviation, 0)
        return replace(rows, states=states.astype(np.float32))

    def apply_to_sums(self, of_rows: Sums) -> Sums:
        """The sums of the rows that `apply` makes, but for their rounding to float32."""
        return Sums(of_rows.count, (of_rows.mean - self.mean) / self.deviation, of_rows.squares / self.deviation**2)


def read_usual(folder: Path, modalities: Iterable[str]) -> dict[str, Usual]:
    """What is usual for the training split, by modality, of the file of statistics in a folder; KeyError where it is not."""
    tensors = load_file(folder / FILE)
    return {m: Usual(*(tensors[f"{m}_usual_{name}"] for name in ("mean", "deviation"))) for m in modalities}


def read_voices(path: Path) -> dict[str, Voice]:
    """The voice of every clip of labels.csv; names that differ in their capitals alone are one."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["clip_id"]: (row["split"] or "other", row["speaker"].casefold()) for row in csv.DictReader(file)}


class Speakers:
    """What is usual for each speaker of a corpus in one modality."""

    def __init__(self, voices: dict[str, Voice], source: Source) -> None:
        self._voices = voices
        clips: dict[Voice, int] = {}
        for clip_id, _ in source():
            voice = voices[clip_id]
            clips[voice] = clips.get(voice, 0) + 1
        known = {voice for voice, count in clips.items() if voice[1] and count >= LEAST_CLIPS}
        measured = dict(_measured(voices, source, known))
        self.anybody = measured.pop(("train", ""), Usual(np.zeros(1), np.ones(1)))
        least = FLOOR * self.anybody.deviation
        self._usual = {voice: replace(one, deviation=np.maximum(one.deviation, least)) for voice, one in measured.items()}

    def of(self, clip_id: str) -> Usual:
        """What is usual for whoever speaks in a clip."""
        return self._usual.get(self._voices[clip_id], self.anybody)

    def apply(self, clip_id: str, rows: Rows) -> Rows:
        return self.of(clip_id).apply(rows)

    def digest(self, clip_ids: Iterable[str]) -> str:
        """Of who speaks in these clips, and of what is usual for each of them."""
        total, voices = hashlib.sha256(), set()
        for clip_id in clip_ids:
            voice = self._voices[clip_id]
            total.update(repr(voice).encode())
            if voice not in voices:
                voices.add(voice)
                total.update(b"".join(value.tobytes() for value in vars(self.of(clip_id)).values()))
        return total.hexdigest()

    def tensors(self, modality: str) -> dict[str, np.ndarray]:
        """What is usual for anybody, for the file of statistics."""
        return {f"{modality}_usual_{name}": value.astype(np.float32) for name, value in vars(self.anybody).items()}


def _measured(voices: dict[str, Voice], source: Source, known: set[Voice]) -> Iterator[tuple[Voice, Usual]]:
    """What is usual for these voices, and for all of the training split, whose name is ""."""
    anybody = ("train", "")
    totals: dict[Voice, Sums] = {}
    for clip_id, of_clip in source():
        voice = voices[clip_id]
        for of in {voice} & known | ({anybody} if voice[0] == "train" else set()):
            totals[of] = totals[of] + of_clip if of in totals else of_clip
    for voice, total in totals.items():
        deviation = total.deviation
        deviation[deviation <= 1e-6 * np.abs(total.mean)] = 0  # constant but for rounding
        yield voice, Usual(total.mean, np.where(deviation > 0, deviation, 1.0) if voice == anybody else deviation)
