"""The tensors that training and evaluation read: `<split>.safetensors` with `<split>.csv` beside it, and the statistics.

N clips, L rows, D features a row, C labels. Files that do not fit each other are refused before any work, all at once.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from contract import MODALITIES
from lddu.rows import mean_rows

# Of several problems of one kind, this many are listed.
SHOWN = 5


class TensorError(ValueError):
    """The tensors cannot be used; the message names the file, what was found and what is expected."""


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of the training split's observed rows, (D,) each."""

    mean: Tensor
    deviation: Tensor


@dataclass(frozen=True)
class Split:
    """N clips. `features[m]` (N, L, D) float32, `masks[m]` (N, L) bool, true where a row was observed."""

    name: str
    clip_ids: tuple[str, ...]
    label_names: tuple[str, ...]
    features: dict[str, Tensor]
    masks: dict[str, Tensor]
    labels: Tensor  # (N, C) intensities, NaN where unlabelled
    present_above: float = 0.0  # a label is present if its intensity is above this
    speakers: tuple[str, ...] = ()  # of each clip, "" where unknown; () where the table does not say

    def __len__(self) -> int:
        return len(self.clip_ids)

    @property
    def dims(self) -> dict[str, int]:
        return {m: x.shape[2] for m, x in self.features.items()}

    @property
    def labelled(self) -> Tensor:
        """(N,) bool: is any label of the clip known."""
        return ~self.labels.isnan().all(dim=1)

    @property
    def complete(self) -> Tensor:
        """(N,) bool: is every label of the clip known, so that it can be scored."""
        return ~self.labels.isnan().any(dim=1)

    @property
    def present(self) -> Tensor:
        """(N, C) bool: is the label present; False where that is unknown."""
        return self.labels > self.present_above

    def targets(self, kind: str) -> Tensor:
        """(N, C) float32: what a network learns by `train.targets`, 1 for present and 0 for absent, or the label's value: a
        share, or what a classifier says; NaN where that is unknown."""
        return self.labels if kind != "presence" else self.present.float().masked_fill(self.labels.isnan(), torch.nan)

    @property
    def people(self) -> np.ndarray:
        """(N,) whole numbers, the same for clips of one speaker; a clip whose speaker is unknown has its own."""
        names = self.speakers or ("",) * len(self)
        return np.unique([name or f"\0{i}" for i, name in enumerate(names)], return_inverse=True)[1]

    def select(self, chosen: Tensor) -> "Split":
        """The clips where `chosen` (N,) is true; all of them without a copy where it always is."""
        return self if bool(chosen.all()) else self.take(chosen.nonzero()[:, 0])

    def take(self, index: Tensor) -> "Split":
        """The clips in these rows (n,), which may be asked for several times."""
        ids = tuple(self.clip_ids[i] for i in index.tolist())
        features = {m: x[index] for m, x in self.features.items()}
        masks = {m: x[index] for m, x in self.masks.items()}
        speakers = tuple(self.speakers[i] for i in index.tolist() if self.speakers)
        return replace(self, clip_ids=ids, features=features, masks=masks, labels=self.labels[index], speakers=speakers)


def read_splits(folder: Path, names: Iterable[str], labels: list[str], present_above: float = 0.0) -> dict[str, Split]:
    """Read and check these splits; they must have the same modalities and widths, and no clip in common.

    Raises TensorError with every problem that `problems_of` and this function find.
    """
    splits = {name: read_split(folder, name, labels, present_above) for name in names}
    problems = list(_disagreements(folder, list(splits.values())))
    if problems:
        raise TensorError("\n".join(problems))
    return splits


def read_split(folder: Path, name: str, labels: list[str], present_above: float = 0.0) -> Split:
    """Read and check one split whose labels must be these, in this order."""
    path, table = folder / f"{name}.safetensors", folder / f"{name}.csv"
    tensors, names = _read(path)
    if names != labels:
        raise TensorError(f"{path}: its labels are {names}, corpus.labels has {labels}: run align again")
    problems = list(_misshapen(tensors, len(labels)))
    if problems:
        raise TensorError("\n".join(f"{path}: {problem}" for problem in problems))
    modalities = [m for m in MODALITIES if m in tensors]
    clip_ids = tuple(read_clip_ids(table))
    split = Split(
        name,
        clip_ids,
        tuple(labels),
        {m: tensors[m] for m in modalities},
        {m: tensors[f"{m}_mask"] for m in modalities},
        tensors["labels"],
        present_above,
        speakers_of(folder, clip_ids),
    )
    problems = list(problems_of(split))
    if problems:
        raise TensorError("\n".join(f"{path}: {problem}" for problem in problems))
    return split


def pooled(split: Split, modalities: list[str], deviation: bool = False) -> np.ndarray:
    """(N, sum of D): each clip's mean observed row of each of the modalities, NaN where one is absent.

    With `deviation`, the mean of a modality is followed by the standard deviation of its rows.
    """
    columns = []
    for m in modalities:
        x, mask = split.features[m].numpy(), split.masks[m].numpy()
        mean = mean_rows(x, mask)
        columns.append(mean)
        if deviation:
            columns.append(np.sqrt(mean_rows(np.square(x - mean[:, None]), mask)))
    return np.concatenate(columns, axis=1)


def read_statistics(folder: Path, dims: dict[str, int]) -> dict[str, Statistics]:
    """The training split's statistics for modalities of these widths."""
    path = folder / "statistics.safetensors"
    tensors, _ = _read(path)
    statistics = {}
    for m, width in dims.items():
        mean, deviation = tensors.get(f"{m}_mean"), tensors.get(f"{m}_deviation")
        if not (_finite(mean, width) and _finite(deviation, width)):
            raise TensorError(f"{path}: {m}_mean and {m}_deviation must be {width} finite numbers each: run align again")
        statistics[m] = Statistics(tensors[f"{m}_mean"], tensors[f"{m}_deviation"])
    return statistics


def read_noise(folder: Path, clip_ids: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The known noise of these clips, (N,) a modality, NaN where it is unknown. Evaluation alone may call this."""
    path = folder / "noise.csv"
    columns = ("clip_id", *(f"noise_{m}" for m in MODALITIES))
    rows = {row["clip_id"]: row for row in _rows(path, columns)} if path.exists() else {}
    noise = {}
    for m in MODALITIES:
        cells = [rows.get(clip_id, {}).get(f"noise_{m}") for clip_id in clip_ids]
        try:
            noise[m] = np.array([float(cell) if cell else np.nan for cell in cells])
        except ValueError as error:
            raise TensorError(f"{path}: noise_{m}: {error}; a number or a blank cell is expected") from None
    return noise


def read_clip_ids(path: Path) -> list[str]:
    """The clips of a split's table, which are the rows of its tensors."""
    return [row["clip_id"] for row in _rows(path, ("clip_id",))]


def speakers_of(folder: Path, clip_ids: tuple[str, ...]) -> tuple[str, ...]:
    """The speaker of each of these clips, "" where unknown; () where the folder has no speakers.csv."""
    path = folder / "speakers.csv"
    if not path.exists():
        return ()
    names = {row["clip_id"]: row["speaker"] for row in _rows(path, ("clip_id", "speaker"))}
    return tuple(names.get(clip_id, "") for clip_id in clip_ids)


def problems_of(split: Split) -> Iterator[str]:
    """The problems of a split whose shapes are right."""
    if len(split) != len(split.labels):
        yield f"{len(split.labels)} clips, but {split.name}.csv has {len(split)}: they are not of one run, run align again"
        return
    twice = sorted(clip_id for clip_id, count in Counter(split.clip_ids).items() if count > 1)
    if twice:
        yield f"clips written twice: {_some(twice)}"
    if split.labels.isinf().any():
        yield f"infinite intensities of {_some(_clips(split, split.labels.isinf().any(dim=1)))}"
    for m, features in split.features.items():
        broken = split.masks[m] & ~features.isfinite().all(dim=2)
        places = [f"clip {split.clip_ids[clip]}, row {row}" for clip, row in broken.nonzero().tolist()]
        if places:
            yield f"{m}: NaN or infinity in {_some(places)}"


def require_labels(split: Split, folder: Path) -> None:
    """Refuse a split of which no clip has all its labels."""
    if not bool(split.complete.any()):
        needed = "with all its labels" if bool(split.labelled.any()) else "labelled"
        clips = f"{len(split)} clips, none of them {needed}" if len(split) else "no clips"
        raise TensorError(
            f"{folder / split.name}.safetensors: {clips}: labelled clips are needed in train and in valid; "
            "give some that split in clips.csv, and a value in each label column"
        )


def require_shares(split: Split, folder: Path) -> None:
    """TensorError where a label's value is no share, with the first clips of which it is not."""
    wrong = (split.labels < 0) | (split.labels > 1)
    if wrong.any():
        raise TensorError(
            f"{folder / split.name}.safetensors: labels from {split.labels.nan_to_num().min():g} to "
            f"{split.labels.nan_to_num().max():g}, not from 0 to 1, of {_some(_clips(split, wrong.any(dim=1)))}: "
            "train.targets: share learns shares of raters; write train.targets: presence, or shares into clips.csv"
        )


def _read(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """A file's tensors, and the label names of its metadata."""
    try:
        with safe_open(path, framework="pt") as file:
            labels = json.loads((file.metadata() or {}).get("labels", "[]"))
            return {key: file.get_tensor(key) for key in file.keys()}, labels  # noqa: SIM118 - safe_open is no dict
    except FileNotFoundError:
        raise TensorError(f"{path} is not there: run align, or set `tensors` to a folder that has it") from None
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise TensorError(f"{path} cannot be read: {error}: run align again") from None


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """The rows of a table that must have these columns."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = sorted(set(columns).difference(reader.fieldnames or ()))
            if missing:
                raise TensorError(f"{path}: no column {', '.join(missing)}; it has {', '.join(reader.fieldnames or ())}")
            yield from reader
    except FileNotFoundError:
        raise TensorError(f"{path} is not there: run align, or set `tensors` to a folder that has it") from None


def _misshapen(tensors: dict[str, Tensor], labels: int) -> Iterator[str]:
    """Keys that are missing, and tensors of a wrong type or shape."""
    unknown = [key for key in tensors if key.partition("_")[0] not in (*MODALITIES, "labels")]
    if unknown:
        yield f"{', '.join(unknown)}: no modality; known are {', '.join(MODALITIES)}"
    if not any(m in tensors for m in MODALITIES):
        yield f"no modality in it, at least one of {', '.join(MODALITIES)} is expected"
    clips = tensors["labels"].shape[0] if "labels" in tensors and tensors["labels"].dim() == 2 else None
    yield from _unlike(tensors, "labels", torch.float32, (clips, labels))
    for m in (m for m in MODALITIES if m in tensors):
        rows = tensors[m].shape[1] if tensors[m].dim() == 3 else None
        yield from _unlike(tensors, m, torch.float32, (clips, None, None))
        yield from _unlike(tensors, f"{m}_mask", torch.bool, (clips, rows))


def _unlike(tensors: dict[str, Tensor], key: str, dtype: torch.dtype, shape: tuple[int | None, ...]) -> Iterator[str]:
    """How a tensor differs from this type and shape; None stands for any length above 0."""
    x = tensors.get(key)
    expected = f"{str(dtype).removeprefix('torch.')} ({', '.join('any' if n is None else str(n) for n in shape)})"
    if x is None:
        yield f"{key} is missing, {expected} is expected"
    elif x.dtype != dtype or x.dim() != len(shape) or any(n not in (None, m) for n, m in zip(shape, x.shape, strict=True)):
        yield f"{key} is {str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}, {expected} is expected"


def _disagreements(folder: Path, splits: list[Split]) -> Iterator[str]:
    """Widths that differ between splits, and clips that occur in two of them."""
    first = splits[0]
    for i, split in enumerate(splits):
        if split.dims != first.dims:
            yield f"{folder}: {split.name} has widths {split.dims}, {first.name} has {first.dims}: run align again"
        for other in splits[:i]:
            shared = sorted(set(split.clip_ids).intersection(other.clip_ids))
            if shared:
                yield f"{folder}: in {other.name} and in {split.name}: {_some(shared)}; a clip has one split"


def _finite(x: Tensor | None, width: int) -> bool:
    return x is not None and x.shape == (width,) and bool(x.isfinite().all())


def _clips(split: Split, chosen: Tensor) -> list[str]:
    return [f"clip {split.clip_ids[i]}" for i in chosen.nonzero().flatten().tolist()]


def _some(items: list[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return "; ".join(items[:SHOWN]) + more
