"""A stage's output: uncompressed zip archives of many clips' files, chosen by a hash of the clip id.

Few large files, because DVC is slow at many small ones; a changed clip touches one of them. `index.csv` beside the
archives names every clip with the digest of its content, `refused.csv` those that the stage could not do.
"""

import csv
import hashlib
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import IO

from preprocess import refusals, store

COUNT = 64
REFUSED = "refused.json"  # member of an entry that holds a refusal instead of results


def shard_of(clip_id: str) -> str:
    return f"{hashlib.sha256(clip_id.encode()).digest()[0] % COUNT:02d}.zip"


def write(folder: Path, entries: Mapping[str, Path]) -> None:
    """Fill an empty folder from the store's entries by clip id; the bytes depend on their content alone."""
    folder.mkdir(parents=True, exist_ok=True)
    by_shard = defaultdict(list)
    for clip_id in sorted(entries):
        by_shard[shard_of(clip_id)].append(clip_id)
    digests = {}
    for shard, clip_ids in by_shard.items():
        with zipfile.ZipFile(folder / shard, "w") as target:
            for clip_id in clip_ids:
                digests[clip_id] = _copy(entries[clip_id], target, clip_id)
    with (folder / "index.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["clip_id", "digest"])
        table.writerows(sorted(digests.items()))


def _copy(entry: Path, target: zipfile.ZipFile, clip_id: str) -> str:
    """Copy the members of an entry, each named after the clip; the digest of their content."""
    with zipfile.ZipFile(entry) as source:
        for name in sorted(source.namelist()):
            store.append(target, f"{clip_id}.{name}", source.open(name))
        return source.comment.decode()


class Shards:
    """A stage's output, to read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of the content by clip id, for every clip that the stage could do."""
        with (self.folder / "index.csv").open(encoding="utf-8", newline="") as file:
            return {row["clip_id"]: row["digest"] for row in csv.DictReader(file)}

    @property
    def refused(self) -> list[refusals.Refused]:
        return refusals.read(self.folder / "refused.csv")

    def read(self, clip_id: str, name: str) -> bytes:
        """The bytes of one of a clip's files, such as `words.json`."""
        return _archive(self.folder / shard_of(clip_id)).read(f"{clip_id}.{name}")

    def size(self, clip_id: str, name: str) -> int:
        """The bytes of one of a clip's files, without reading it."""
        return _archive(self.folder / shard_of(clip_id)).getinfo(f"{clip_id}.{name}").file_size

    def open(self, clip_id: str, name: str) -> IO[bytes]:
        """One of a clip's files as a seekable stream that reads from the disk as it goes."""
        return _archive(self.folder / shard_of(clip_id)).open(f"{clip_id}.{name}")

    def extract(self, clip_id: str, name: str, target: Path) -> None:
        with self.open(clip_id, name) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, store.BLOCK)


def close(folder: Path) -> None:
    """Close the archives beneath a folder that is to be deleted."""
    for path in [path for path in list(_open) if path.is_relative_to(folder.absolute())]:
        _open.pop(path).close()


_open: dict[Path, zipfile.ZipFile] = {}


def _archive(path: Path) -> zipfile.ZipFile:
    """One open archive a process: reading its directory costs more than a clip's file."""
    path = path.absolute()
    if path not in _open:
        _open[path] = zipfile.ZipFile(path)
    return _open[path]
