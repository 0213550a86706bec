"""Published feature files: `{split: {"text": (N, L, 768), "audio": (N, L, 74), "vision": (N, L, 35), "id": …, "tgt": …}}`.

The other form has the keys src-text, src-audio and src-visual. Mistakes of a file as a whole stop the
command, which lists all of them; a mistake of one clip costs that clip, or one of its modalities, and is reported.

Rules. A value that is not finite (COVAREP has -inf) becomes 0, as in the published readers; a row without any finite value is
masked. A row of zeros is padding, or nothing was observed: it is masked, wherever it is. If the file has lengths, rows behind a
clip's length are masked; a length above the number of rows is ignored. If each clip is an array of its own, a clip whose width
differs from that of most clips lacks that modality.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from preprocess.corpora import tables
from preprocess.corpora.conversion import Missing
from preprocess.packs.problem import PackError

SPLIT_NAMES = {"train": ("train",), "valid": ("valid", "val", "dev"), "test": ("test",)}
KEYS = {
    "text": ("text", "src-text"),
    "audio": ("audio", "src-audio"),
    "vision": ("vision", "visual", "src-visual", "src-vision"),
}
FIRST_LABEL = 4  # token of label 0; tokens below it are special: padding, unknown, start and end


@dataclass
class Pack:
    """One split of a feature file: N clips."""

    clip_ids: list[str]
    videos: list[str]  # the source of each clip, "" where its id does not say
    states: dict[str, np.ndarray]  # (N, L, D) float32, 0 where masked
    masks: dict[str, np.ndarray]  # (N, L) bool
    targets: list[Any] | None  # N token sequences, where the file has them
    missing: list[Missing] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def split_packs(tree: Any) -> dict[str, dict]:
    """The splits of a file, named train, valid and test; PackError if it has none."""
    splits: dict[str, dict] = {}
    if isinstance(tree, dict):
        named = {name: split for split, names in SPLIT_NAMES.items() for name in names}
        splits = {named[key]: arrays for key, arrays in tree.items() if key in named and isinstance(arrays, dict)}
    if not splits:
        keys = ", ".join(map(str, list(tree)[:8])) if isinstance(tree, dict) else type(tree).__name__
        raise PackError(f"no split in it: found {keys}; expected a dict with train, valid and test, each a dict of arrays")
    return splits


def read(tree: Any) -> dict[str, Pack]:
    """The splits of an unpickled file; its arrays are removed from it on the way, to save memory."""
    problems: list[str] = []
    packs = {}
    for split, arrays in split_packs(tree).items():
        try:
            packs[split] = read_split(split, arrays)
        except PackError as error:
            problems.append(str(error))
    problems += _disagreements(packs)
    if problems:
        raise PackError("\n  ".join(["the features cannot be used:", *problems]))
    return packs


def read_split(name: str, arrays: dict) -> Pack:
    """One split's arrays, cleaned by the rules above; PackError if their numbers of clips differ, or one has a wrong shape."""
    keys = {modality: next((key for key in names if key in arrays), "") for modality, names in KEYS.items()}
    if not any(keys.values()):
        wanted = ", ".join(key for names in KEYS.values() for key in names)
        raise PackError(
            f"{name}: no features in it: it has {', '.join(map(str, arrays)) or 'nothing'}; expected some of {wanted}"
        )
    sizes = {key: len(arrays[key]) for key in [*keys.values(), "id", "tgt"] if key and _is_sequence(arrays.get(key))}
    if len(set(sizes.values())) != 1:
        counts = ", ".join(f"{key} {size}" for key, size in sizes.items()) or "none is a sequence"
        raise PackError(f"{name}: its arrays are of different numbers of clips ({counts}), so that no row says whose it is")
    count = next(iter(sizes.values()))
    pack = Pack(*clip_ids(name, arrays.get("id"), count), {}, {}, list(arrays["tgt"]) if "tgt" in sizes else None)
    for modality, key in keys.items():
        if key:
            lengths = arrays.get(f"{key}_lengths")
            pack.states[modality], pack.masks[modality] = _modality(pack, f"{name}, {key}", arrays.pop(key), lengths)
    return pack


def _is_sequence(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def clip_ids(split: str, names: Any, count: int) -> tuple[list[str], list[str]]:
    """Legal clip ids, and the video of each clip ("" if unknown); ids are numbers if the file has none.

    `video$_$clip` becomes `video_clip`; the cells of an id that is an array are joined in the same way. An id that occurs
    again is numbered.
    """
    if not _is_sequence(names):
        return [f"{split}_{i:05d}" for i in range(count)], [""] * count
    parts = [_text(item).split("$_$") if isinstance(item, str | bytes) else list(map(_text, np.ravel(item))) for item in names]
    counts: Counter[str] = Counter()
    ids = []
    for i, words in enumerate(parts):
        name = tables.slug("_".join(words)) or f"{split}_{i:05d}"
        counts[name] += 1
        ids.append(name if counts[name] == 1 else f"{name}-{counts[name]}")
    return ids, [words[0] if len(words) > 1 else "" for words in parts]


def _text(part: Any) -> str:
    return part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part)


def _modality(pack: Pack, where: str, values: Any, lengths: Any) -> tuple[np.ndarray, np.ndarray]:
    """One modality of a split: states (N, L, D) and mask (N, L)."""
    states, rows_of = _dense(pack, where, values)
    finite = np.isfinite(states)
    if not finite.all():
        infinite, nan = int(np.isinf(states).sum()), int(np.isnan(states).sum())
        clips = int((~finite).any((1, 2)).sum())
        rows = int((~finite).all(2).sum())
        pack.remarks.append(
            f"{where}: {infinite} infinite values and {nan} NaN in {clips} clips set to 0; "
            f"{rows} rows without any other value masked"
        )
        states[~finite] = 0.0
    mask = finite.any(2) & states.any(2)
    mask &= np.arange(states.shape[1]) < _lengths(pack, where, lengths, rows_of)[:, None]
    states[~mask] = 0.0
    empty = ~mask.any(1)
    what = where.partition(", ")[2]
    pack.missing += [
        Missing(pack.clip_ids[i], what, "all its rows are masked") for i in empty.nonzero()[0].tolist() if rows_of[i] > 0
    ]
    return states, mask


def _dense(pack: Pack, where: str, values: Any) -> tuple[np.ndarray, np.ndarray]:
    """States (N, L, D), padded where each clip is an array of its own; and the number of rows of each clip (N,)."""
    if isinstance(values, np.ndarray) and values.ndim == 3 and values.dtype.kind in "fiu":
        return values.astype(np.float32), np.full(len(values), values.shape[1])
    try:
        clips = [np.asarray(clip, np.float32) for clip in values]
    except (TypeError, ValueError):
        clips = []
    widths = Counter(clip.shape[1] for clip in clips if clip.ndim == 2)
    if not widths:
        shape = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        raise PackError(
            f"{where} is {shape}: expected an array of numbers (clips, rows, features), "
            "or for each clip an array (rows, features)"
        )
    width = widths.most_common(1)[0][0]
    fits = [clip.ndim == 2 and clip.shape[1] == width for clip in clips]
    rows = np.array([len(clip) if ok else 0 for clip, ok in zip(clips, fits, strict=True)])
    states = np.zeros((len(clips), max(int(rows.max(initial=0)), 1), width), np.float32)
    for i, (clip, ok) in enumerate(zip(clips, fits, strict=True)):
        if ok:
            states[i, : len(clip)] = clip
        else:
            reason = f"it has another shape than most clips: {clip.shape} instead of (rows, {width})"
            pack.missing.append(Missing(pack.clip_ids[i], where.partition(", ")[2], reason))
    return states, rows


def _lengths(pack: Pack, where: str, values: Any, rows: np.ndarray) -> np.ndarray:
    """The number of valid rows of each clip (N,): the length in the file, where it is possible, else all rows."""
    if not _is_sequence(values):
        return rows
    try:
        lengths = np.asarray(values, np.float64).reshape(-1)
    except (TypeError, ValueError):
        lengths = np.empty(0)
    if len(lengths) != len(rows):
        pack.remarks.append(f"{where}: it has {len(values)} lengths for {len(rows)} clips: ignored")
        return rows
    possible = (lengths >= 0) & (lengths <= rows)
    if not possible.all():
        pack.remarks.append(f"{where}: {int((~possible).sum())} lengths above the number of rows: ignored")
    return np.where(possible, lengths, rows).astype(int)


def _disagreements(packs: dict[str, Pack]) -> list[str]:
    """Problems between splits: other modalities or widths, and clips that occur in two splits."""
    problems = []
    widths = {split: {m: x.shape[2] for m, x in pack.states.items()} for split, pack in packs.items()}
    if len({tuple(sorted(sizes.items())) for sizes in widths.values()}) > 1:
        listed = "; ".join(f"{split} {', '.join(f'{m} {w}' for m, w in sizes.items())}" for split, sizes in widths.items())
        problems.append(f"widths differ between the splits ({listed}): one network cannot read them")
    splits: dict[str, list[str]] = {}
    for split, pack in packs.items():
        for clip_id in pack.clip_ids:
            splits.setdefault(clip_id, []).append(split)
    shared = sorted(clip_id for clip_id, names in splits.items() if len(names) > 1)
    if shared:
        problems.append(f"{len(shared)} clips are in two splits: {', '.join(shared[:5])}")
    return problems


def intensities(targets: Sequence[Any], clip_ids: list[str], count: int, missing: list[Missing]) -> np.ndarray:
    """Labels (N, C) from token sequences: token k + FIRST_LABEL says that label k is present, smaller tokens are special.

    A clip with any other token is unlabelled (NaN) and reported.
    """
    values = np.zeros((len(clip_ids), count), np.float32)
    for i, target in enumerate(targets):
        try:
            tokens = np.asarray(target, np.float64).reshape(-1) - FIRST_LABEL
        except (TypeError, ValueError):
            tokens = np.array([np.nan])
        labels = tokens[~(tokens < 0)]
        if ((labels < count) & (labels == np.floor(labels))).all():
            values[i, labels.astype(int)] = 1.0
        else:
            values[i] = np.nan
            valid = f"{FIRST_LABEL} to {FIRST_LABEL + count - 1}"
            missing.append(Missing(clip_ids[i], "labels", f"a token is no label's ({valid}): {str(target)[:40]}"))
    return values
