"""Published feature files become data/features/<name>, in the form of the tensors that training reads.

`python -m preprocess features NAME` converts the file that params.yaml has under `features.NAME`; its `tensors` has to name
the result. preprocess/packs/dvc.yaml makes a stage of it: `dvc repro evaluate` then runs it before training, and no other
stage of preprocess.

The file is a pickle, or a folder of safetensors as preprocess/packs/arrays.py has it. The labels come from the file's own `tgt`
(token ids: label k is k + 4, between a start and an end token), from the `tgt` of another file with the same rows, or from a
clips.csv, by clip id (`video$_$clip` in the file is `video_clip` there); so does the known noise.
preprocess/packs/pack.py has the rules for values that are not finite, padding, lengths and widths.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import csv_table
import params
from contract import NOISE_COLUMNS, SPLITS, TENSOR_SPLITS, UNKNOWN_TIME
from params import ParameterError
from preprocess import corpus
from preprocess.corpora import conversion
from preprocess.corpora.conversion import ClipRow, Conversion, Missing
from preprocess.corpus import Clip, CorpusError
from preprocess.packs import arrays, passport, pickles
from preprocess.packs import pack as packs
from preprocess.packs.pack import Pack
from preprocess.packs.passport import Passport
from preprocess.packs.pickles import PickleError
from preprocess.packs.problem import PackError

FOLDER = Path("data/features")
BLOCK = 1024  # clips at a time, for statistics


def table_of(settings: params.Features, names: list[str]) -> list[Clip]:
    """The clips of the table that has the labels; none where they come from elsewhere."""
    path = Path(settings.labels)
    return corpus.check(path, path.parent, names) if path.suffix.lower() == ".csv" else []


def packs_of(settings: params.Features, table: list[Clip]) -> tuple[dict[str, Pack], Passport | None]:
    """The splits of the feature file, or of the folder of them; and the file's passport, where this program wrote it."""
    source = Path(settings.source)
    if not source.is_dir():
        tree = pickles.read(source)
        return packs.read(tree), passport.inside(tree)
    if not table:
        raise PackError(f"{source} is a folder, whose files do not name their clips: features.labels must name a clips.csv")
    return packs.read(arrays.read(source, table)), None


def labels_of(settings: params.Features, names: list[str], splits: dict[str, Pack], table: list[Clip]) -> dict[str, np.ndarray]:
    """Intensities (N, C) of each split in the order of `names`, NaN where unlabelled."""
    path = Path(settings.labels)
    if table:
        clips = {clip.clip_id: clip.labels for clip in table}
        clip_ids = [clip_id for pack in splits.values() for clip_id in pack.clip_ids]
        if not clips.keys() & set(clip_ids):
            raise PackError(
                f"{path} has no clip of the features: its clips are called {', '.join(list(clips)[:3])}, theirs "
                f"{', '.join(clip_ids[:3])}"
            )
        return {split: _from_table(pack, clips, names, path) for split, pack in splits.items()}
    unknown = [name for name in names if name not in settings.tokens]
    if unknown:
        raise PackError(f"corpus.labels has {', '.join(unknown)}, features.tokens has {', '.join(settings.tokens)}")
    from_source = path == Path(settings.source)
    targets = {split: pack.targets for split, pack in splits.items()} if from_source else _targets(path)
    labels = {}
    for split, pack in splits.items():
        tokens = targets.get(split)
        if tokens is None or len(tokens) != len(pack.clip_ids):
            count = "none" if tokens is None else str(len(tokens))
            raise PackError(
                f"{path}, {split}: labels (tgt) of {len(pack.clip_ids)} clips expected, found {count}; features.labels may "
                "name another file with tgt, or a clips.csv"
            )
        values = packs.intensities(tokens, pack.clip_ids, len(settings.tokens), pack.missing)
        labels[split] = values[:, [settings.tokens.index(name) for name in names]]
    return labels


def _targets(path: Path) -> dict[str, list | None]:
    tree = packs.split_packs(pickles.read(path))
    return {split: list(arrays["tgt"]) if "tgt" in arrays else None for split, arrays in tree.items()}


def _from_table(pack: Pack, clips: dict[str, dict[str, float]], names: list[str], path: Path) -> np.ndarray:
    """Labels (N, C) by clip id; NaN, and reported as missing, where the table has none."""
    rows = []
    for clip_id in pack.clip_ids:
        if not clips.get(clip_id):
            pack.missing.append(Missing(clip_id, "labels", f"{path.name} has no row with its id, or no labels in that row"))
        rows.append([clips.get(clip_id, {}).get(name, np.nan) for name in names])
    return np.array(rows, np.float32).reshape(len(rows), len(names))


def statistics(states: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (D,) of the rows in (N, L, D) that the mask (N, L) has; 0 and 1 if it has none."""

    def blocks() -> Iterator[np.ndarray]:
        return (states[i : i + BLOCK][mask[i : i + BLOCK]].astype(np.float64) for i in range(0, len(states), BLOCK))

    rows, width = int(mask.sum()), states.shape[2]
    if not rows:
        return np.zeros(width, np.float32), np.ones(width, np.float32)
    mean = sum((block.sum(0) for block in blocks()), np.zeros(width)) / rows
    square = sum((np.square(block - mean).sum(0) for block in blocks()), np.zeros(width)) / rows
    return mean.astype(np.float32), np.sqrt(square).astype(np.float32)


def write_split(folder: Path, split: str, pack: Pack, labels: np.ndarray, names: list[str]) -> list[str]:
    """`<split>.safetensors` and `<split>.csv` of the clips that have any modality, sorted by id; returns their ids."""
    present = np.zeros(len(pack.clip_ids), bool)
    for mask in pack.masks.values():
        present |= mask.any(1)
    pack.missing += [
        Missing(clip_id, "clip", "no modality remains: left out")
        for clip_id, has in zip(pack.clip_ids, present.tolist(), strict=True)
        if not has
    ]
    order = np.array(sorted(present.nonzero()[0].tolist(), key=lambda i: pack.clip_ids[i]), int)
    tensors = {"labels": np.ascontiguousarray(labels[order])}
    for name, states in pack.states.items():
        mask = pack.masks[name][order]
        tensors |= {name: states[order], f"{name}_mask": mask}
        tensors[f"{name}_time"] = np.full((*mask.shape, 2), UNKNOWN_TIME, np.float32)
    save_file(tensors, folder / f"{split}.safetensors", metadata={"labels": json.dumps(names)})
    ids = [pack.clip_ids[i] for i in order.tolist()]
    csv_table.write(folder / f"{split}.csv", ["clip_id", "start", "end", "duration"], ([name, "", "", 0.0] for name in ids))
    return ids


def empty(shapes: dict[str, tuple[int, ...]]) -> Pack:
    """A split without clips, with the rows and widths (L, D) of the others."""
    states = {m: np.zeros((0, *shape), np.float32) for m, shape in shapes.items()}
    return Pack([], [], states, {m: np.zeros((0, shape[0]), bool) for m, shape in shapes.items()}, [])


def convert(settings: params.Features, names: list[str], folder: Path) -> Conversion:
    """Write the file in the form of the tensors; returns what the summary shows."""
    table = table_of(settings, names)
    splits, packed = packs_of(settings, table)
    speakers = {clip.clip_id: clip.speaker for clip in table}
    for of_split in splits.values():
        pairs = zip(of_split.clip_ids, of_split.videos, strict=True)
        of_split.videos = [speakers.get(clip_id) or video for clip_id, video in pairs]
    labels = labels_of(settings, names, splits, table)
    shapes = {m: x.shape[1:] for m, x in next(iter(splits.values())).states.items()}
    folder.mkdir(parents=True, exist_ok=True)
    result = Conversion(names)
    for split in TENSOR_SPLITS:
        pack = splits.pop(split, None) or empty(shapes)
        values = labels.get(split, np.zeros((0, len(names)), np.float32))
        kept = set(write_split(folder, split, pack, values, names))
        if split == "train":
            write_statistics(folder, pack)
        for clip_id, video, row in zip(pack.clip_ids, pack.videos, values.tolist(), strict=True):
            if clip_id in kept:
                intensities = {} if np.isnan(row).any() else dict(zip(names, row, strict=True))
                split_name = "" if split == "other" else split
                result.clips.append(ClipRow(clip_id, split=split_name, speaker=video, labels=intensities))
        result.missing += pack.missing
        result.remarks += pack.remarks
    widths = {m: shape[-1] for m, shape in shapes.items()}
    passport.save(folder, passport.of_source(Path(settings.source), names, widths, packed))
    write_noise(folder, table, {clip.clip_id for clip in result.clips})
    speaker_rows = sorted([clip.clip_id, clip.speaker] for clip in result.clips)
    csv_table.write(folder / "speakers.csv", ["clip_id", "speaker"], speaker_rows)
    return result


def write_noise(folder: Path, table: list[Clip], kept: set[str]) -> None:
    """noise.csv, which evaluate alone reads: the known noise of the clips, where the table has any."""
    noise_rows = [
        [clip.clip_id, *(clip.noise.get(name, "") for name in NOISE_COLUMNS)]
        for clip in table
        if clip.noise and clip.clip_id in kept
    ]
    if noise_rows:
        csv_table.write(folder / "noise.csv", ["clip_id", *NOISE_COLUMNS], noise_rows)


def write_statistics(folder: Path, train: Pack) -> None:
    tensors = {}
    for m, states in train.states.items():
        tensors[f"{m}_mean"], tensors[f"{m}_deviation"] = statistics(states, train.masks[m])
    save_file(tensors, folder / "statistics.safetensors")


def write_summary(folder: Path, result: Conversion) -> None:
    """missing.csv, and summary.json with counts."""
    conversion.write_missing(folder, result.missing)
    counts = {
        "clips": {split: sum(clip.split == split for clip in result.clips) for split in SPLITS},
        "positives": {
            name: sum(clip.labels.get(name, 0) > result.present_above for clip in result.clips) for name in result.labels
        },
        "unlabelled": sum(not clip.labels for clip in result.clips),
        "missing": len(result.missing),
    }
    (folder / "summary.json").write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")


def main(name: str) -> None:
    settings = params.load()
    if name not in settings.features:
        raise ParameterError(f"features has no {name}; it has {', '.join(settings.features) or 'none'}")
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)  # its files may be hard links to those in DVC's cache
    try:
        result = convert(settings.features[name], settings.corpus.labels, folder)
    except (PackError, PickleError, OSError) as error:
        raise CorpusError(f"features.{name}.source: {error}") from None
    if Path(settings.tensors) != folder:
        result.remarks.append(
            f"params.yaml has tensors: {settings.tensors}; to train on these features, write tensors: {folder}"
        )
    result.present_above = settings.corpus.present_above
    write_summary(folder, result)
    print(conversion.summary(result, folder))
