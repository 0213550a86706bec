"""Published feature files: `{split: {"text": (N, L, 768), "audio": (N, L, 74), "vision": (N, L, 35), "id": …, "tgt": …}}`.

The other form has the keys src-text, src-audio and src-visual. What is wrong with a file as a whole stops it, all of it at
once; what is wrong with a clip costs that clip, or one modality of it, and is reported.

Rules. A value that is not finite (COVAREP has -inf) is taken as 0, as the published readers do; a row of which no value is
finite is masked. A row of zeros is padding, or nothing was seen in it: masked, wherever it stands. Rows from a clip's length
on, where the file has lengths, are masked; a length beyond the rows there are is ignored. Of clips that are arrays of their
own, one whose width is not that of the most lacks that modality.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from preprocess.corpora import tables
from preprocess.corpora.conversion import Missing

SPLIT_NAMES = {"train": ("train",), "valid": ("valid", "val", "dev"), "test": ("test",)}
KEYS = {
    "text": ("text", "src-text"),
    "audio": ("audio", "src-audio"),
    "vision": ("vision", "visual", "src-visual", "src-vision"),
}
FIRST_LABEL = 4  # token of label 0; those below it are marks: padding, unknown, start and end


class PackError(ValueError):
    """A feature file cannot be used; the message lists every problem with its split and key."""


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
    """The splits of a file by our names for them; PackError where it has none."""
    found: dict[str, dict] = {}
    if isinstance(tree, dict):
        named = {name: split for split, names in SPLIT_NAMES.items() for name in names}
        found = {named[key]: own for key, own in tree.items() if key in named and isinstance(own, dict)}
    if not found:
        keys = ", ".join(map(str, list(tree)[:8])) if isinstance(tree, dict) else type(tree).__name__
        raise PackError(f"no split in it: found {keys}; expected a dict with train, valid and test, each a dict of arrays")
    return found


def read(tree: Any) -> dict[str, Pack]:
    """The splits of an unpickled file, which is emptied on the way to save memory."""
    problems: list[str] = []
    packs = {}
    for split, own in split_packs(tree).items():
        try:
            packs[split] = read_split(split, own)
        except PackError as error:
            problems.append(str(error))
    problems += _disagreements(packs)
    if problems:
        raise PackError("\n  ".join(["the features cannot be used:", *problems]))
    return packs


def read_split(name: str, own: dict) -> Pack:
    """One split's arrays, cleaned by the rules above; PackError where they do not belong together."""
    keys = {modality: next((key for key in known if key in own), "") for modality, known in KEYS.items()}
    if not any(keys.values()):
        wanted = ", ".join(key for known in KEYS.values() for key in known)
        raise PackError(f"{name}: no features in it: it has {', '.join(map(str, own)) or 'nothing'}; expected some of {wanted}")
    sizes = {key: len(own[key]) for key in [*keys.values(), "id", "tgt"] if key and _is_sequence(own.get(key))}
    if len(set(sizes.values())) != 1:
        told = ", ".join(f"{key} {size}" for key, size in sizes.items()) or "none is a sequence"
        raise PackError(f"{name}: its arrays are of different numbers of clips ({told}), so that no row says whose it is")
    count = next(iter(sizes.values()))
    pack = Pack(*clip_ids(name, own.get("id"), count), {}, {}, list(own["tgt"]) if "tgt" in sizes else None)
    for modality, key in keys.items():
        if key:
            lengths = own.get(f"{key}_lengths")
            pack.states[modality], pack.masks[modality] = _modality(pack, f"{name}, {key}", own.pop(key), lengths)
    return pack


def _is_sequence(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def clip_ids(split: str, given: Any, count: int) -> tuple[list[str], list[str]]:
    """Legal ids, and the videos of which the clips are parts; numbers where the file has none.

    `video$_$clip` becomes `video_clip`, and so do the parts of an id that is a row. One that stands twice is numbered.
    """
    if not _is_sequence(given):
        return [f"{split}_{i:05d}" for i in range(count)], [""] * count
    parts = [_text(item).split("$_$") if isinstance(item, str | bytes) else list(map(_text, np.ravel(item))) for item in given]
    seen: Counter[str] = Counter()
    found = []
    for i, own in enumerate(parts):
        name = tables.slug("_".join(own)) or f"{split}_{i:05d}"
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found, [own[0] if len(own) > 1 else "" for own in parts]


def _text(part: Any) -> str:
    return part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part)


def _modality(pack: Pack, where: str, given: Any, lengths: Any) -> tuple[np.ndarray, np.ndarray]:
    """One modality of a split: states (N, L, D) and mask (N, L)."""
    states, own_lengths = _dense(pack, where, given)
    finite = np.isfinite(states)
    if not finite.all():
        infinite, nan = int(np.isinf(states).sum()), int(np.isnan(states).sum())
        clips = int((~finite).any((1, 2)).sum())
        rows = int((~finite).all(2).sum())
        pack.remarks.append(
            f"{where}: {infinite} infinite values and {nan} NaN in {clips} clips taken as 0; {rows} rows of nothing else masked"
        )
        states[~finite] = 0.0
    mask = finite.any(2) & states.any(2)
    mask &= np.arange(states.shape[1]) < _lengths(pack, where, lengths, own_lengths)[:, None]
    states[~mask] = 0.0
    empty = ~mask.any(1)
    what = where.partition(", ")[2]
    pack.missing += [
        Missing(pack.clip_ids[i], what, "no row with anything in it") for i in empty.nonzero()[0].tolist() if own_lengths[i] > 0
    ]
    return states, mask


def _dense(pack: Pack, where: str, given: Any) -> tuple[np.ndarray, np.ndarray]:
    """States (N, L, D) of one array, or of an array a clip, padded; and the rows of each clip (N,)."""
    if isinstance(given, np.ndarray) and given.ndim == 3 and given.dtype.kind in "fiu":
        return given.astype(np.float32), np.full(len(given), given.shape[1])
    try:
        clips = [np.asarray(clip, np.float32) for clip in given]
    except (TypeError, ValueError):
        clips = []
    widths = Counter(clip.shape[1] for clip in clips if clip.ndim == 2)
    if not widths:
        shape = f"{given.dtype} {given.shape}" if isinstance(given, np.ndarray) else type(given).__name__
        raise PackError(
            f"{where} is {shape}: expected numbers (clips, rows, features), or such an array (rows, features) a clip"
        )
    width = widths.most_common(1)[0][0]
    fits = [clip.ndim == 2 and clip.shape[1] == width for clip in clips]
    rows = np.array([len(clip) if ok else 0 for clip, ok in zip(clips, fits, strict=True)])
    states = np.zeros((len(clips), max(int(rows.max(initial=0)), 1), width), np.float32)
    for i, (clip, ok) in enumerate(zip(clips, fits, strict=True)):
        if ok:
            states[i, : len(clip)] = clip
        else:
            reason = f"it is of another shape than the most: {clip.shape} instead of (rows, {width})"
            pack.missing.append(Missing(pack.clip_ids[i], where.partition(", ")[2], reason))
    return states, rows


def _lengths(pack: Pack, where: str, given: Any, rows: np.ndarray) -> np.ndarray:
    """The rows of each clip that count (N,): the lengths that the file gives, where they can be true."""
    if not _is_sequence(given):
        return rows
    try:
        lengths = np.asarray(given, np.float64).reshape(-1)
    except (TypeError, ValueError):
        lengths = np.empty(0)
    if len(lengths) != len(rows):
        pack.remarks.append(f"{where}: its {len(given)} lengths are not those of {len(rows)} clips: ignored")
        return rows
    possible = (lengths >= 0) & (lengths <= rows)
    if not possible.all():
        pack.remarks.append(f"{where}: {int((~possible).sum())} lengths beyond the rows that there are: ignored")
    return np.where(possible, lengths, rows).astype(int)


def _disagreements(packs: dict[str, Pack]) -> list[str]:
    """Modalities and widths that differ between splits, and clips in two of them."""
    problems = []
    widths = {split: {m: x.shape[2] for m, x in pack.states.items()} for split, pack in packs.items()}
    if len({tuple(sorted(own.items())) for own in widths.values()}) > 1:
        told = "; ".join(f"{split} {', '.join(f'{m} {w}' for m, w in own.items())}" for split, own in widths.items())
        problems.append(f"widths differ between the splits ({told}): one network cannot read them")
    splits: dict[str, list[str]] = {}
    for split, pack in packs.items():
        for clip_id in pack.clip_ids:
            splits.setdefault(clip_id, []).append(split)
    shared = sorted(clip_id for clip_id, own in splits.items() if len(own) > 1)
    if shared:
        problems.append(f"{len(shared)} clips are in two splits: {', '.join(shared[:5])}")
    return problems


def intensities(targets: Sequence[Any], clip_ids: list[str], count: int, missing: list[Missing]) -> np.ndarray:
    """Labels (N, C) from token sequences: token k + FIRST_LABEL says that label k is present, smaller ones are marks.

    A clip with any other token is unlabelled: NaN, and reported.
    """
    found = np.zeros((len(clip_ids), count), np.float32)
    for i, given in enumerate(targets):
        try:
            tokens = np.asarray(given, np.float64).reshape(-1) - FIRST_LABEL
        except (TypeError, ValueError):
            tokens = np.array([np.nan])
        labels = tokens[~(tokens < 0)]
        if ((labels < count) & (labels == np.floor(labels))).all():
            found[i, labels.astype(int)] = 1.0
        else:
            found[i] = np.nan
            known = f"{FIRST_LABEL} to {FIRST_LABEL + count - 1}"
            missing.append(Missing(clip_ids[i], "labels", f"a token is of no label ({known}): {str(given)[:40]}"))
    return found
