"""Packs in the forms of published feature files: those of MMSA, and of TAILOR, CARAT and LDDU.

`lddu`: `features.pt`, which torch.load reads, and `features.pkl`, a pickle, with the same content for each of train, valid and
test: `src-text`, `src-audio`, `src-visual` (the same arrays again as `text`, `audio`, `vision`), (N, L, D) float32; `id`; and
`tgt`, a list of token ids a clip: start, k + 4 for each label k that is present, end.

`mmsa`: `features.pkl` with `text`, `audio`, `vision`, `raw_text`, `id`, `regression_labels` (N,) float32 in [-3, 3],
`classification_labels` (0 negative, 1 neutral, 2 positive), `annotations`, and where the modalities have paces of their own
`audio_lengths` and `vision_lengths`.

Padding is rows of zeros behind a clip's own; clips without labels are left out, which these loaders cannot read. Both files
name no class but numpy's arrays, by the names that numpy 1 and 2 know.
"""

import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from contract import MODALITIES
from preprocess.packs.content import Split
from preprocess.packs.pack import FIRST_LABEL
from preprocess.packs.passport import Passport
from preprocess.packs.problem import PackError

START, END = 2, 3  # tokens around the labels of a clip
SOURCES = {"text": "src-text", "audio": "src-audio", "vision": "src-visual"}
PROTOCOL = 4  # of Python 3.4 and later
STRONGEST = 3.0  # of a sentiment
SENTIMENTS = ("sentiment", "valence")  # labels that are one
POSITIVE = ("happy", "happiness", "joy", "excited")
NEGATIVE = ("sad", "sadness", "anger", "angry", "disgust", "fear", "fearful", "frustrated")
ANNOTATIONS = ("Negative", "Neutral", "Positive")


def lddu(folder: Path, splits: dict[str, Split], rows: int, present_above: float, passport: Passport) -> list[str]:
    """Write the pack; what a person should know of it."""
    tree: dict[str, Any] = {}
    chosen, remarks = _labelled(splits)
    lengths = _lengths(chosen, rows)
    for name, split in chosen.items():
        arrays = _padded(split, lengths)
        tree[name] = {SOURCES[m]: x for m, x in arrays.items()} | arrays
        tree[name] |= {"id": _ids(split), "tgt": [_tokens(values > present_above) for values in split.labels]}
    _write(folder, tree, passport, with_torch=True)
    return remarks + _missing(chosen)


def mmsa(folder: Path, splits: dict[str, Split], rows: int, sentiment: str, passport: Passport) -> list[str]:
    """Write the pack; what a person should know of it. PackError where no label says how positive a clip is."""
    tree: dict[str, Any] = {}
    chosen, remarks = _labelled(splits)
    lengths = _lengths(chosen, rows)
    of, rule = sentiment_of(next(iter(chosen.values())).label_names, sentiment)
    for name, split in chosen.items():
        values = np.clip(of(split.labels), -STRONGEST, STRONGEST).astype(np.float32)
        classes = (np.sign(values) + 1).astype(np.int64)
        tree[name] = _padded(split, lengths) | {
            "raw_text": split.texts,
            "id": _ids(split),
            "regression_labels": values,
            "classification_labels": classes,
            "annotations": [ANNOTATIONS[i] for i in classes.tolist()],
        }
        if len(set(lengths.values())) > 1:
            counts = {m: [split.rows_of(m, i) for i in range(len(split.clip_ids))] for m in ("audio", "vision") if m in lengths}
            tree[name] |= {f"{m}_lengths": of_clips for m, of_clips in counts.items()}
    _write(folder, tree, passport, with_torch=False)
    return [*remarks, *_missing(chosen), f"regression_labels: {rule}"]


def sentiment_of(labels: list[str], named: str) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """How positive clips with labels (N, C) are (N,), and the rule in words."""
    if named and named not in labels:
        raise PackError(f"--sentiment {named}: the labels are {', '.join(labels)}")
    usual = labels[:1] if len(labels) == 1 else [label for label in labels if label in SENTIMENTS]
    label = named or next(iter(usual), "")
    if label:
        return (lambda values: values[:, labels.index(label)]), f"the label {label}"
    groups = [[i for i, name in enumerate(labels) if name.casefold() in group] for group in (POSITIVE, NEGATIVE)]
    if not all(groups):
        raise PackError(
            f"MMSA learns one number a clip, from -3 to 3, and the labels are {', '.join(labels)}: name one with --sentiment"
        )
    said = [", ".join(labels[i] for i in group) for group in groups]
    rule = f"the strongest of {said[0]}, less the strongest of {said[1]}; --sentiment LABEL takes a label instead"
    return (lambda values: values[:, groups[0]].max(1) - values[:, groups[1]].max(1)), rule


def _labelled(splits: dict[str, Split]) -> tuple[dict[str, Split], list[str]]:
    chosen = {name: split.take(split.labelled) for name, split in splits.items()}
    left = sum(len(split.clip_ids) - len(chosen[name].clip_ids) for name, split in splits.items())
    return chosen, [f"{left} clips without labels are left out: this form cannot say that a label is unknown"] if left else []


def _missing(splits: dict[str, Split]) -> list[str]:
    absent = [m for m in MODALITIES if any(m not in split.states for split in splits.values())]
    return [f"{', '.join(absent)}: the corpus has none, and the loaders of this form expect it"] if absent else []


def _lengths(splits: dict[str, Split], rows: int) -> dict[str, int]:
    """Rows of each modality, the same in all splits; `rows`, where that is asked for. PackError where clips have more."""
    most = {m: max(split.states[m].shape[1] for split in splits.values()) for m in next(iter(splits.values())).states}
    if rows:
        used = max(split.rows_of(m, i) for split in splits.values() for m in most for i in range(len(split.clip_ids)))
        if used > rows:
            raise PackError(f"--rows {rows}: a clip has {used} rows; align.max_rows: {rows} makes fewer by merging neighbours")
        return dict.fromkeys(most, rows)
    return most


def _padded(split: Split, lengths: dict[str, int]) -> dict[str, np.ndarray]:
    arrays = {}
    for m, length in lengths.items():
        x = split.states[m][:, :length]
        padded = np.zeros((len(x), length, x.shape[2]), np.float32)
        padded[:, : x.shape[1]] = np.where(split.masks[m][:, :length, None], x, 0)
        arrays[m] = padded
    return arrays


def _ids(split: Split) -> list[str]:
    return [split.packed_id(i) for i in range(len(split.clip_ids))]


def _tokens(present: np.ndarray) -> list[int]:
    return [START, *(FIRST_LABEL + int(label) for label in present.nonzero()[0]), END]


def _write(folder: Path, tree: dict[str, Any], passport: Passport, with_torch: bool) -> None:
    content = tree | {"passport": json.dumps(passport, ensure_ascii=False)}
    with _names_of_numpy_1():
        with (folder / "features.pkl").open("wb") as file:
            pickle.dump(content, file, protocol=PROTOCOL)
        if with_torch:
            import torch

            torch.save(content, folder / "features.pt", pickle_protocol=PROTOCOL)


@contextmanager
def _names_of_numpy_1() -> Iterator[None]:
    """Arrays are pickled with numpy.core's names, which numpy 1 and 2 both find; numpy 2 would write names of its own."""
    rebuild = np.empty(0).__reduce__()[0]
    former = rebuild.__module__
    rebuild.__module__ = "numpy.core.multiarray"
    try:
        yield
    finally:
        rebuild.__module__ = former
