"""What is tried: some clips of a split, and each of them with every corruption that it can have."""

import csv
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import params
from contract import MODALITIES
from preprocess.clips import FOLDER as MANIFEST
from preprocess.clips import read_labels
from preprocess.store.shards import Shards
from robustness.kinds import KINDS, Kind, of_modality

FOLDER = Path("data/robustness/rows")
ROWS, NOTE = "safetensors", "case.json"  # what the stage corrupt keeps of a case: rows of features, and what became of it
# The stages whose output a clip needs for a modality to be corrupted.
NEEDED = {"text": ("transcripts",), "audio": ("audio", "encode_audio"), "vision": ("frames", "encode_vision")}


class CasesError(ValueError):
    """Nothing can be tried; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Case:
    """A clip with one corruption."""

    clip_id: str
    kind: str
    level: int

    @property
    def name(self) -> str:
        return f"{self.clip_id}.{self.kind}.{self.level}"

    @property
    def what(self) -> Kind:
        return KINDS[self.kind]


def generator(seed: int, clip_id: str, kind: str, level: int) -> np.random.Generator:
    """Random numbers that depend on these alone."""
    digest = hashlib.sha256(f"{seed}/{clip_id}/{kind}/{level}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))


def speakers() -> dict[str, str]:
    """Speaker by clip id, of the clips whose speaker is known."""
    with (MANIFEST / "labels.csv").open(encoding="utf-8", newline="") as file:
        return {row["clip_id"]: row["speaker"] for row in csv.DictReader(file) if row["speaker"]}


def chosen(settings: params.Params) -> list[str]:
    """The clips that are tried, drawn from those of the split whose labels are all known; sorted."""
    wanted = settings.robustness
    clips = [
        label.clip_id
        for label in read_labels(settings.corpus.labels)
        if label.split == wanted.split and not any(map(math.isnan, label.values))
    ]
    if not clips:
        raise CasesError(f"robustness.split: no clip of {wanted.split} has all its labels; choose another split")
    order = generator(wanted.seed, wanted.split, "", 0).permutation(len(clips))
    return sorted(clips[i] for i in order[: wanted.clips].tolist())


def kinds_of(settings: params.Robustness) -> list[str]:
    """The kinds that are asked for, each once; a modality stands for all that change it."""
    named = [of_modality(name) if name in MODALITIES else [name] for name in settings.kinds]
    return list(dict.fromkeys(name for names in named for name in names))


def planned(settings: params.Params) -> list[Case]:
    """Every case, of each chosen clip those that change something that the clip has."""
    has = {stage: Shards(Path("data") / stage).digests for needed in NEEDED.values() for stage in needed}
    return list(_planned(settings, chosen(settings), has))


def _planned(settings: params.Params, clips: list[str], has: dict[str, dict[str, str]]) -> Iterator[Case]:
    for clip_id in clips:
        there = [m for m, stages in NEEDED.items() if all(clip_id in has[stage] for stage in stages)]
        for kind in kinds_of(settings.robustness):
            modality, needs_sound = KINDS[kind].modality, bool(KINDS[kind].sound)
            if (modality in there or (modality == "all" and there)) and ("audio" in there or not needs_sound):
                yield from (Case(clip_id, kind, level) for level in settings.robustness.levels)
