"""Shards of WebDataset: tar files with a few files a clip, which share a name.

`<key>.json` has clip_id, speaker, text and labels (null where unlabelled); for each modality m of the clip `<key>.m.npy` is
(rows, D) float32, `<key>.m_mask.npy` (rows) bool and `<key>.m_time.npy` (rows, 2), up to its last observed row.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from preprocess.packs.content import Split

CLIPS = 1000  # of a shard


def write(folder: Path, splits: dict[str, Split]) -> list[str]:
    shards = 0
    for name, split in splits.items():
        for begin in range(0, len(split.clip_ids), CLIPS):
            with tarfile.open(folder / f"{name}-{begin // CLIPS:06d}.tar", "w", format=tarfile.PAX_FORMAT) as shard:
                for i in range(begin, min(begin + CLIPS, len(split.clip_ids))):
                    for ending, content in files(split, i):
                        member = tarfile.TarInfo(f"{key(split, i)}.{ending}")
                        member.size = len(content)
                        shard.addfile(member, io.BytesIO(content))
            shards += 1
    return [f"{shards} shards"]


def key(split: Split, i: int) -> str:
    """Without a dot, at which WebDataset ends a key."""
    return f"{i:06d}-{split.clip_ids[i].replace('.', '_')}"


def files(split: Split, i: int) -> Iterator[tuple[str, bytes]]:
    """Ending and content."""
    values = split.labels[i].tolist()
    labels = {label: None if value != value else value for label, value in zip(split.label_names, values, strict=True)}
    about = {"clip_id": split.clip_ids[i], "speaker": split.speakers[i], "text": split.texts[i], "labels": labels}
    yield "json", json.dumps(about, ensure_ascii=False).encode()
    for m in split.states:
        count = split.rows_of(m, i)
        for name, array in ((m, split.states[m]), (f"{m}_mask", split.masks[m]), (f"{m}_time", split.times[m])):
            if count:
                file = io.BytesIO()
                np.save(file, array[i, :count], allow_pickle=False)
                yield f"{name}.npy", file.getvalue()
