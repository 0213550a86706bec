"""Published feature files become data/features/<name>, in the form of the tensors that training reads.

What is read is named under `features` in params.yaml, and `tensors` there has to name the result. The command is a stage of
DVC's, preprocess/packs/dvc.yaml, which `dvc repro evaluate` runs before training, and nothing else.

Labels come from the file itself where it has `tgt` (token ids: label k is k + 4, between marks), from another file that has
it, row for row, or from a corpus' clips.csv, by clip id (the file's `video$_$clip` is `video_clip` there). The rules for
values that are not finite, padding, lengths and widths stand in preprocess/packs/pack.py.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import params
from contract import SPLITS, TENSOR_SPLITS, UNKNOWN_TIME
from preprocess import corpus
from preprocess.corpora import conversion
from preprocess.corpora.conversion import Clip, Found, Missing
from preprocess.corpus import CorpusError
from preprocess.packs import pack as packs
from preprocess.packs import pickles
from preprocess.packs.pack import Pack, PackError
from preprocess.packs.pickles import PickleError

FOLDER = Path("data/features")
BLOCK = 1024  # clips at a time, for statistics


def labels_of(settings: params.Features, names: list[str], splits: dict[str, Pack]) -> dict[str, np.ndarray]:
    """Intensities (N, C) of each split in the order of `names`, NaN where unlabelled."""
    path = Path(settings.labels)
    if path.suffix.lower() == ".csv":
        clips = {clip.clip_id: clip.labels for clip in corpus.check(path, path.parent, names)}
        return {split: _from_table(pack, clips, names, path) for split, pack in splits.items()}
    unknown = [name for name in names if name not in settings.tokens]
    if unknown:
        raise PackError(f"corpus.labels has {', '.join(unknown)}, features.tokens has {', '.join(settings.tokens)}")
    own = {split: pack.targets for split, pack in splits.items()} if path == Path(settings.source) else _targets(path)
    found_labels = {}
    for split, pack in splits.items():
        given = own.get(split)
        if given is None or len(given) != len(pack.clip_ids):
            told = "none" if given is None else str(len(given))
            raise PackError(
                f"{path}, {split}: labels (tgt) of {len(pack.clip_ids)} clips expected, found {told}; features.labels may name "
                "another file with tgt, or a clips.csv"
            )
        values = packs.intensities(given, pack.clip_ids, len(settings.tokens), pack.missing)
        found_labels[split] = values[:, [settings.tokens.index(name) for name in names]]
    return found_labels


def _targets(path: Path) -> dict[str, list | None]:
    tree = packs.split_packs(pickles.read(path))
    return {split: list(own["tgt"]) if "tgt" in own else None for split, own in tree.items()}


def _from_table(pack: Pack, clips: dict[str, dict[str, float]], names: list[str], path: Path) -> np.ndarray:
    rows = []
    for clip_id in pack.clip_ids:
        if not clips.get(clip_id):
            pack.missing.append(Missing(clip_id, "labels", f"{path.name} has no row of its id, or no labels in it"))
        rows.append([clips.get(clip_id, {}).get(name, np.nan) for name in names])
    return np.array(rows, np.float32).reshape(len(rows), len(names))


def statistics(states: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (D,) of the rows (N, L, D) that the mask (N, L) has; 0 and 1 where there is none."""

    def blocks() -> Iterator[np.ndarray]:
        return (states[i : i + BLOCK][mask[i : i + BLOCK]].astype(np.float64) for i in range(0, len(states), BLOCK))

    rows, width = int(mask.sum()), states.shape[2]
    if not rows:
        return np.zeros(width, np.float32), np.ones(width, np.float32)
    mean = sum((block.sum(0) for block in blocks()), np.zeros(width)) / rows
    square = sum((np.square(block - mean).sum(0) for block in blocks()), np.zeros(width)) / rows
    return mean.astype(np.float32), np.sqrt(square).astype(np.float32)


def write_split(folder: Path, split: str, pack: Pack, labels: np.ndarray, names: list[str]) -> list[str]:
    """`<split>.safetensors` and `<split>.csv` of the clips that have any modality, sorted by id; their ids."""
    there = np.zeros(len(pack.clip_ids), bool)
    for mask in pack.masks.values():
        there |= mask.any(1)
    pack.missing += [
        Missing(clip_id, "clip", "no modality of it is left: left out")
        for clip_id, has in zip(pack.clip_ids, there.tolist(), strict=True)
        if not has
    ]
    order = np.array(sorted(there.nonzero()[0].tolist(), key=lambda i: pack.clip_ids[i]), int)
    tensors = {"labels": np.ascontiguousarray(labels[order])}
    for name, states in pack.states.items():
        mask = pack.masks[name][order]
        tensors |= {name: states[order], f"{name}_mask": mask}
        tensors[f"{name}_time"] = np.full((*mask.shape, 2), UNKNOWN_TIME, np.float32)
    save_file(tensors, folder / f"{split}.safetensors", metadata={"labels": json.dumps(names)})
    ids = [pack.clip_ids[i] for i in order.tolist()]
    conversion.write_table(folder / f"{split}.csv", ["clip_id", "start", "end", "duration"], ([name, "", "", 0.0] for name in ids))
    return ids


def empty(shapes: dict[str, tuple[int, ...]]) -> Pack:
    """A split without clips, with the rows and widths (L, D) of the others."""
    states = {m: np.zeros((0, *shape), np.float32) for m, shape in shapes.items()}
    return Pack([], [], states, {m: np.zeros((0, shape[0]), bool) for m, shape in shapes.items()}, [])


def convert(settings: params.Features, names: list[str], folder: Path) -> Found:
    """Write the tensors' form of the file; what was found, for the table at the end."""
    splits = packs.read(pickles.read(Path(settings.source)))
    labels = labels_of(settings, names, splits)
    shapes = {m: x.shape[1:] for m, x in next(iter(splits.values())).states.items()}
    folder.mkdir(parents=True, exist_ok=True)
    what = Found(names)
    for split in TENSOR_SPLITS:
        pack = splits.pop(split, None) or empty(shapes)
        values = labels.get(split, np.zeros((0, len(names)), np.float32))
        kept = set(write_split(folder, split, pack, values, names))
        if split == "train":
            write_statistics(folder, pack)
        for clip_id, video, row in zip(pack.clip_ids, pack.videos, values.tolist(), strict=True):
            if clip_id in kept:
                known = {} if np.isnan(row).any() else dict(zip(names, row, strict=True))
                what.clips.append(Clip(clip_id, split=split.replace("other", ""), speaker=video, labels=known))
        what.missing += pack.missing
        what.remarks += pack.remarks
    return what


def write_statistics(folder: Path, train: Pack) -> None:
    tensors = {}
    for m, states in train.states.items():
        tensors[f"{m}_mean"], tensors[f"{m}_deviation"] = statistics(states, train.masks[m])
    save_file(tensors, folder / "statistics.safetensors")


def write_summary(folder: Path, what: Found) -> None:
    """missing.csv, and counts in plain numbers."""
    conversion.write_missing(folder, what.missing)
    counts = {
        "clips": {split: sum(clip.split == split for clip in what.clips) for split in SPLITS},
        "positives": {name: sum(clip.labels.get(name, 0) > 0 for clip in what.clips) for name in what.labels},
        "unlabelled": sum(not clip.labels for clip in what.clips),
        "missing": len(what.missing),
    }
    (folder / "summary.json").write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    settings = params.load()
    folder = FOLDER / settings.features.name
    try:
        what = convert(settings.features, settings.corpus.labels, folder)
    except (PackError, PickleError, OSError) as error:
        raise CorpusError(f"features.source: {error}") from None
    if Path(settings.tensors) != folder:
        what.remarks.append(f"params.yaml names other tensors, {settings.tensors}: to train on these, write tensors: {folder}")
    write_summary(folder, what)
    print(conversion.summary(what, folder))
