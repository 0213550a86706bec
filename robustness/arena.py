"""The corrupted clips as tensors, beside the same clips as they are and with a modality masked."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import params
from lddu.tensors import Split, read_split
from preprocess.clips import FOLDER as MANIFEST
from preprocess.encoders import speakers, sums
from preprocess.encoders.pooling import Rows
from preprocess.encoders.speakers import Speakers
from preprocess.encoders.sums import Sums
from preprocess.refusals import Refused
from preprocess.run.inputs import Inputs
from preprocess.stages import align
from preprocess.store import tables
from preprocess.store.shards import Shards
from robustness import cases
from robustness.cases import FOLDER, NOTE, ROWS, Case, CasesError

TENSORS = Path("data/tensors")
CLEAN = "clean"
WITHOUT = "without "  # and a modality, or ALL


@dataclass(frozen=True)
class Arena:
    """Splits by name: CLEAN, WITHOUT each modality and all, and one for each kind of corruption."""

    splits: dict[str, Split]
    cases: dict[str, list[Case]]  # of each kind, one for each row of its split
    refused: list[Refused]  # what a stage could not do with a corrupted clip; in the clip's place stands the case's name


def read(settings: params.Params) -> Arena:
    """CasesError where no corrupted clip is in the tensors."""
    if Path(settings.tensors) != TENSORS:
        raise CasesError(f"tensors is {settings.tensors}: raw clips can only be corrupted where it is {TENSORS}")
    whole = read_split(TENSORS, settings.robustness.split, settings.corpus.labels, settings.corpus.present_above)
    place = {clip_id: row for row, clip_id in enumerate(whole.clip_ids)}
    corrupted, usual = Shards(FOLDER), usual_speakers(settings)
    by_kind: dict[str, list[Case]] = {}
    for case in cases.planned(settings):
        if case.clip_id in place and case.name in corrupted.digests:
            by_kind.setdefault(case.kind, []).append(case)
    chosen = sorted({case.clip_id for found in by_kind.values() for case in found})
    if not chosen:
        raise CasesError(f"{FOLDER} has no clip of {settings.robustness.split}: run corrupt again")
    clean = whole.take(torch.tensor([place[clip_id] for clip_id in chosen]))
    splits = {CLEAN: clean} | {f"{WITHOUT}{m}": masked(clean, [m]) for m in clean.features}
    splits[f"{WITHOUT}all"] = masked(clean, list(clean.features))
    for kind, found in by_kind.items():
        same_clips = whole.take(torch.tensor([place[case.clip_id] for case in found]))
        splits[kind] = changed(same_clips, found, corrupted, usual)
    return Arena(splits, by_kind, [*corrupted.refused, *refusals_of(by_kind, corrupted)])


def refusals_of(by_kind: dict[str, list[Case]], corrupted: Shards) -> Iterator[Refused]:
    """What a stage could not do with a case of which the rest has rows."""
    for case in (case for found in by_kind.values() for case in found):
        for stage, code, detail in json.loads(corrupted.read(case.name, NOTE))["refused"]:
            yield Refused(case.name, stage, code, detail)


def masked(split: Split, modalities: list[str]) -> Split:
    """The split without these modalities."""
    masks = {m: torch.zeros_like(x) if m in modalities else x for m, x in split.masks.items()}
    return replace(split, masks=masks)


def usual_speakers(settings: params.Params) -> dict[str, Speakers]:
    """What is usual for each speaker in the clips as they are, by modality of `align.normalise`."""
    voices = speakers.read_voices(MANIFEST / "labels.csv") if settings.align.normalise else {}

    def sums_of_clips(modality: str) -> Iterator[tuple[str, Sums]]:
        for task in align.tasks(Inputs()):
            found = align.rows(align.read_clip(task), settings.align)
            if modality in found:
                yield task.clip_id, sums.of(found[modality])

    return {m: Speakers(voices, partial(sums_of_clips, m)) for m in settings.align.normalise}


def entry_of(case: Case, corrupted: Shards, usual: dict[str, Speakers]) -> dict[str, np.ndarray]:
    """A case's rows, as the tensors have them."""
    entry = tables.whole(partial(corrupted.open, case.name, ROWS))
    for m, of_modality in usual.items():
        if m in entry:
            entry[m] = of_modality.apply(case.clip_id, Rows(entry[m], entry[f"{m}_mask"], entry[f"{m}_time"])).states
    return entry


def changed(split: Split, found: list[Case], corrupted: Shards, usual: dict[str, Speakers]) -> Split:
    """The split with the rows of the corrupted modalities in the place of the clean ones."""
    entries = [entry_of(case, corrupted, usual) for case in found]
    notes = [json.loads(corrupted.read(case.name, NOTE)) for case in found]
    features, masks = {}, {}
    for m in split.features:
        longest = max([split.masks[m].shape[1], *(len(entry[f"{m}_mask"]) for entry in entries if m in entry)])
        features[m], masks[m] = lengthened(split.features[m], longest), lengthened(split.masks[m], longest)
        for i, (entry, note) in enumerate(zip(entries, notes, strict=True)):
            if m in note["changed"]:
                masks[m][i], features[m][i] = False, 0.0
                if m in entry:
                    count = len(entry[f"{m}_mask"])
                    masks[m][i, :count] = torch.from_numpy(entry[f"{m}_mask"].copy())
                    features[m][i, :count] = torch.from_numpy(entry[m].copy())
    return replace(split, features=features, masks=masks)


def lengthened(x: Tensor, rows: int) -> Tensor:
    """A copy of x (N, L, ...) with zeros behind its rows, so that there are `rows` of them."""
    longer = x.new_zeros(len(x), rows, *x.shape[2:])
    longer[:, : x.shape[1]] = x
    return longer
