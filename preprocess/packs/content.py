"""What a pack is made of: the tensors of a folder, and what is said in each clip."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from contract import MODALITIES, SPLITS
from preprocess.packs.problem import PackError
from preprocess.speech import words
from preprocess.store.shards import Shards

OWN = Path("data/tensors")
TRANSCRIPTS = Path("data/transcripts")


@dataclass(frozen=True)
class Split:
    """N clips of one split."""

    name: str
    clip_ids: list[str]
    speakers: list[str]  # "" where unknown
    texts: list[str]  # "" where nothing is said, or where that is unknown
    states: dict[str, np.ndarray]  # (N, L, D) float32, 0 where masked
    masks: dict[str, np.ndarray]  # (N, L) bool
    times: dict[str, np.ndarray]  # (N, L, 2) float32, seconds
    labels: np.ndarray  # (N, C) intensities, NaN where unlabelled
    label_names: list[str]

    @property
    def labelled(self) -> np.ndarray:
        """(N,) bool: is every label known."""
        return ~np.isnan(self.labels).any(1)

    def take(self, chosen: np.ndarray) -> "Split":
        """The clips where `chosen` (N,) is true."""
        rows = chosen.nonzero()[0].tolist()
        return replace(
            self,
            clip_ids=[self.clip_ids[i] for i in rows],
            speakers=[self.speakers[i] for i in rows],
            texts=[self.texts[i] for i in rows],
            states={m: x[rows] for m, x in self.states.items()},
            masks={m: x[rows] for m, x in self.masks.items()},
            times={m: x[rows] for m, x in self.times.items()},
            labels=self.labels[rows],
        )

    def rows_of(self, modality: str, i: int) -> int:
        """Rows of a clip up to the last one that was observed."""
        observed = self.masks[modality][i].nonzero()[0]
        return int(observed[-1]) + 1 if len(observed) else 0

    def packed_id(self, i: int) -> str:
        """The id as published packs write it, `video$_$clip`, where the clip's id begins with its speaker or video."""
        clip_id, speaker = self.clip_ids[i], self.speakers[i]
        begins = speaker and clip_id.startswith(f"{speaker}_") and len(clip_id) > len(speaker) + 1
        return f"{speaker}$_${clip_id[len(speaker) + 1 :]}" if begins else clip_id


def read(folder: Path) -> dict[str, Split]:
    """train, valid and test; PackError where the folder has none of them."""
    found = {name: _split(folder, name) for name in SPLITS if (folder / f"{name}.safetensors").is_file()}
    if not found:
        raise PackError(f"{folder} has no tensors ({', '.join(f'{name}.safetensors' for name in SPLITS)}): run align")
    return found


def _split(folder: Path, name: str) -> Split:
    path = folder / f"{name}.safetensors"
    try:
        with safe_open(path, framework="numpy") as file:
            labels = json.loads((file.metadata() or {}).get("labels", "[]"))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 – it is no dict
        ids = [row["clip_id"] for row in _rows(folder / f"{name}.csv")]
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise PackError(f"{path} or its table cannot be read ({error}): run align again") from None
    if len(ids) != len(tensors["labels"]):
        raise PackError(f"{path} has {len(tensors['labels'])} clips, {name}.csv has {len(ids)}: run align again")
    speakers = {row["clip_id"]: row["speaker"] for row in _rows(folder / "speakers.csv")}
    present = [m for m in MODALITIES if m in tensors]
    return Split(
        name,
        ids,
        [speakers.get(clip_id, "") for clip_id in ids],
        list(_texts(ids) if folder.resolve() == OWN.resolve() else [""] * len(ids)),
        {m: tensors[m] for m in present},
        {m: tensors[f"{m}_mask"] for m in present},
        {m: tensors[f"{m}_time"] for m in present},
        tensors["labels"],
        labels,
    )


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _texts(clip_ids: list[str]) -> Iterator[str]:
    shards = Shards(TRANSCRIPTS) if (TRANSCRIPTS / "index.csv").is_file() else None
    for clip_id in clip_ids:
        yield words.read(shards, clip_id).text if shards and clip_id in shards.digests else ""
