"""Feature files in safetensors: a folder with one file a split, such as train_features.safetensors, read as data.

A file has some of the keys text, audio and vision: (N, D), one row of features a clip, or (N, L, D); beside them
`<key>_mask` (N, L) or (N,) bool, true where a row was observed, and `<key>_present` (N,) bool, true where a clip has the
modality. It has no names: the rows are the clips that the table (a clips.csv) has in this split, in the order of their ids.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from preprocess.corpus import Clip
from preprocess.packs.pack import KEYS, SPLIT_NAMES
from preprocess.packs.problem import PackError


def read(folder: Path, clips: list[Clip]) -> dict[str, dict[str, Any]]:
    """A tree as a published pickle has it; PackError lists every file that is missing or does not fit the table."""
    tree: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    for split, names in SPLIT_NAMES.items():
        paths = [path for path in sorted(folder.glob("*.safetensors")) if path.name.startswith(names)]
        if len(paths) > 1:
            problems.append(f"{' and '.join(path.name for path in paths)} are both {split}: expected one file a split")
        elif paths:
            ids = sorted(clip.clip_id for clip in clips if clip.split == split)
            try:
                tree[split] = dict(_arrays(paths[0], ids))
            except (PackError, SafetensorError, OSError) as error:
                problems.append(f"{paths[0].name}: {error}")
    if not tree and not problems:
        found = ", ".join(path.name for path in sorted(folder.iterdir())[:8]) or "nothing"
        problems.append(f"expected train*.safetensors, valid*.safetensors, test*.safetensors, found {found}")
    if problems:
        raise PackError("\n  ".join([f"{folder} cannot be used:", *problems]))
    return tree


def _arrays(path: Path, ids: list[str]) -> Iterator[tuple[str, Any]]:
    """The ids, and the features with zeros where nothing was observed, as padding is published."""
    tensors = load_file(path)
    yield "id", ids
    for key in (name for names in KEYS.values() for name in names if name in tensors):
        states = tensors[key]
        if states.ndim not in (2, 3) or states.dtype.kind != "f":
            raise PackError(
                f"{key} is {states.dtype} {states.shape}: expected numbers (clips, features) or (clips, rows, features)"
            )
        if len(states) != len(ids):
            raise PackError(
                f"{key} has {len(states)} rows, but the table has {len(ids)} clips in this split: the rows must be its clips, "
                "in the order of their ids"
            )
        states = states.astype(np.float32, copy=False).reshape(len(states), -1, states.shape[-1])
        for name in (f"{key}_mask", f"{key}_present"):
            if name in tensors:
                states = np.where(_observed(name, tensors[name], states), states, 0)
        yield key, states


def _observed(name: str, mask: np.ndarray, states: np.ndarray) -> np.ndarray:
    """(N, L or 1, 1) of a mask (N, L) or (N,)."""
    if mask.dtype != bool or mask.shape not in (states.shape[:1], states.shape[:2]):
        raise PackError(f"{name} is {mask.dtype} {mask.shape}: expected bool {states.shape[:1]} or {states.shape[:2]}")
    return mask.reshape(len(mask), -1, 1)
