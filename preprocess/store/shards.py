"""A stage's output: uncompressed zip archives ("shards") of many clips' files; a hash of the clip id chooses the archive.

Few large files, because DVC is slow with many small ones; a changed clip changes one of them. `index.csv` beside the archives
has the digest of every clip's content, `refused.csv` the clips that the stage could not do.
"""

import csv
import hashlib
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import IO

import csv_table
from preprocess import refusals
from preprocess.store import entries as store
from preprocess.store.written import Written, clear, digest

COUNT = 64
INDEX, REFUSALS = "index.csv", "refused.csv"
REFUSED = "refused.json"  # member of an entry that holds a refusal instead of results


def shard_of(clip_id: str) -> str:
    """File name of the archive that holds a clip."""
    return f"{hashlib.sha256(clip_id.encode()).digest()[0] % COUNT:02d}.zip"


def grouped(clip_ids: Iterable[str]) -> dict[str, list[str]]:
    """Sorted clip ids, by shard."""
    groups = defaultdict(list)
    for clip_id in sorted(clip_ids):
        groups[shard_of(clip_id)].append(clip_id)
    return dict(groups)


def write(folder: Path, entries: Mapping[str, Path], written: Written | None = None) -> None:
    """Fill a folder from the store's entries by clip id; the bytes depend on the entries' content alone.

    An archive that is there, `written` of the same entries, stays as it is. Other files are deleted, but for the refusals.
    """
    groups = grouped(entries)
    clear(folder, keep=[*groups, INDEX, REFUSALS])
    index = folder / INDEX
    known = Shards(folder).digests if written and written.of(index) else None
    digests: dict[str, str] = {}
    for shard, clip_ids in groups.items():
        path, of = folder / shard, digest([(clip_id, entries[clip_id].name) for clip_id in clip_ids])
        if known is not None and written and written.of(path) == of:
            digests |= {clip_id: known[clip_id] for clip_id in clip_ids}
            continue
        path.unlink(missing_ok=True)
        with zipfile.ZipFile(path, "w") as target:
            for clip_id in clip_ids:
                digests[clip_id] = _copy(entries[clip_id], target, clip_id)
        if written:
            written.add(path, of)
    if digests != known:
        index.unlink(missing_ok=True)
        csv_table.write(index, ["clip_id", "digest"], sorted(digests.items()))
    if written:
        written.add(index, "the archives")


def _copy(entry: Path, target: zipfile.ZipFile, clip_id: str) -> str:
    """Copy an entry's members, each named after the clip; returns the digest of their content."""
    with store.gone_if_replaced(), zipfile.ZipFile(entry) as source:
        for member in sorted(source.infolist(), key=attrgetter("filename")):
            store.append(target, f"{clip_id}.{member.filename}", source.open(member), member.file_size)
        return source.comment.decode()


class Shards:
    """A stage's output, to read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of the content by clip id, for every clip that the stage could do."""
        with (self.folder / INDEX).open(encoding="utf-8", newline="") as file:
            return {row["clip_id"]: row["digest"] for row in csv.DictReader(file)}

    @property
    def refused(self) -> list[refusals.Refused]:
        return refusals.read(self.folder / REFUSALS)

    def read(self, clip_id: str, name: str) -> bytes:
        """The bytes of one of a clip's files, such as `words.json`."""
        return _archive(self.folder / shard_of(clip_id)).read(f"{clip_id}.{name}")

    def size(self, clip_id: str, name: str) -> int:
        """Size in bytes of one of a clip's files, without reading it."""
        return _archive(self.folder / shard_of(clip_id)).getinfo(f"{clip_id}.{name}").file_size

    def open(self, clip_id: str, name: str) -> IO[bytes]:
        """One of a clip's files as a seekable stream; it is read from the disk bit by bit."""
        return _archive(self.folder / shard_of(clip_id)).open(f"{clip_id}.{name}")

    def extract(self, clip_id: str, name: str, target: Path) -> None:
        """Copy one of a clip's files to the path `target`."""
        with self.open(clip_id, name) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, store.BLOCK)


def close(folder: Path) -> None:
    """Close the open archives in a folder that is going to be deleted."""
    for path in [path for path in list(_open) if path.is_relative_to(folder.absolute())]:
        _open.pop(path).close()


_open: dict[Path, zipfile.ZipFile] = {}


def _archive(path: Path) -> zipfile.ZipFile:
    """An archive stays open in this process: to read its directory costs more than to read a clip's file."""
    path = path.absolute()
    if path not in _open:
        _open[path] = zipfile.ZipFile(path)
    return _open[path]
