"""The corrupted clips as tensors, beside the same clips as they are and with a modality masked."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

import params
from lddu.tensors import Split, read_split
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
    refused: int  # rows of the stage's table: what a stage could not do with a corrupted clip


def read(settings: params.Params) -> Arena:
    """CasesError where no corrupted clip is in the tensors."""
    if Path(settings.tensors) != TENSORS:
        raise CasesError(f"tensors is {settings.tensors}: raw clips can only be corrupted where it is {TENSORS}")
    whole = read_split(TENSORS, settings.robustness.split, settings.corpus.labels)
    place = {clip_id: row for row, clip_id in enumerate(whole.clip_ids)}
    corrupted = Shards(FOLDER)
    by_kind: dict[str, list[Case]] = {}
    for case in cases.planned(settings):
        if case.clip_id in place and case.name in corrupted.digests:
            by_kind.setdefault(case.kind, []).append(case)
    chosen = sorted({case.clip_id for found in by_kind.values() for case in found})
    if not chosen:
        raise CasesError(f"{FOLDER} has no clip of {settings.robustness.split}: run corrupt again")
    clean = rows_of(whole, [place[clip_id] for clip_id in chosen])
    splits = {CLEAN: clean} | {f"{WITHOUT}{m}": masked(clean, [m]) for m in clean.features}
    splits[f"{WITHOUT}all"] = masked(clean, list(clean.features))
    for kind, found in by_kind.items():
        splits[kind] = changed(rows_of(whole, [place[case.clip_id] for case in found]), found, corrupted)
    return Arena(splits, by_kind, len(corrupted.refused))


def rows_of(split: Split, chosen: list[int]) -> Split:
    """The clips in these rows, which may be asked for several times."""
    index = torch.tensor(chosen)
    ids = tuple(split.clip_ids[i] for i in chosen)
    features = {m: x[index] for m, x in split.features.items()}
    masks = {m: x[index] for m, x in split.masks.items()}
    return Split(split.name, ids, split.label_names, features, masks, split.labels[index])


def masked(split: Split, modalities: list[str]) -> Split:
    """The split without these modalities."""
    masks = {m: torch.zeros_like(x) if m in modalities else x for m, x in split.masks.items()}
    return Split(split.name, split.clip_ids, split.label_names, split.features, masks, split.labels)


def changed(split: Split, found: list[Case], corrupted: Shards) -> Split:
    """The split with the rows of the corrupted modalities in the place of the clean ones."""
    entries = [tables.whole(partial(corrupted.open, case.name, ROWS)) for case in found]
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
    return Split(split.name, split.clip_ids, split.label_names, features, masks, split.labels)


def lengthened(x: Tensor, rows: int) -> Tensor:
    """A copy of x (N, L, ...) with zeros behind its rows, so that there are `rows` of them."""
    longer = x.new_zeros(len(x), rows, *x.shape[2:])
    longer[:, : x.shape[1]] = x
    return longer
