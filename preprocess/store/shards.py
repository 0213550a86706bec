"""A stage's output: uncompressed zip archives of many clips' files, chosen by a hash of the clip id.

Few large files, because DVC is slow at many small ones; a changed clip touches one of them. `index.csv` beside the
archives names every clip with the digest of its content, `refused.csv` those that the stage could not do.
"""

import csv
import hashlib
import json
import os
import shutil
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from configparser import ConfigParser
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

from preprocess import refusals
from preprocess.store import entries as store

COUNT = 64
REFUSED = "refused.json"  # member of an entry that holds a refusal instead of results
SHELF = "shards-"  # begins the name of a folder of a Shelf
CONTENTS = "contents.json"  # what a Shelf knows of the entries


def shard_of(clip_id: str) -> str:
    return f"{hashlib.sha256(clip_id.encode()).digest()[0] % COUNT:02d}.zip"


def grouped(clip_ids: Iterable[str]) -> dict[str, list[str]]:
    """Clips in order of their ids, by shard."""
    found = defaultdict(list)
    for clip_id in sorted(clip_ids):
        found[shard_of(clip_id)].append(clip_id)
    return dict(found)


@dataclass(frozen=True)
class Content:
    """What is known of an entry of the store."""

    digest: str
    refusal: dict[str, Any] | None = None  # what REFUSED says, where there are no results


@dataclass(frozen=True)
class Ready:
    """Shards that an earlier output was made of, and that the next one has again."""

    files: Mapping[str, Path] = field(default_factory=dict)  # by shard
    contents: Mapping[str, Content] = field(default_factory=dict)  # of all their clips, by id


def write(folder: Path, entries: Mapping[str, Path], ready: Ready = Ready()) -> None:
    """Fill an empty folder from the store's entries by clip id; the bytes depend on their content alone."""
    folder.mkdir(parents=True, exist_ok=True)
    digests = {}
    for shard, clip_ids in grouped(entries).items():
        if shard in ready.files and _link(ready.files[shard], folder / shard):
            digests.update({clip_id: ready.contents[clip_id].digest for clip_id in clip_ids})
            continue
        with zipfile.ZipFile(folder / shard, "w") as target:
            for clip_id in clip_ids:
                digests[clip_id] = _copy(entries[clip_id], target, clip_id)
    with (folder / "index.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["clip_id", "digest"])
        table.writerows(sorted(digests.items()))


def _link(source: Path, target: Path) -> bool:
    """Whether another name could be given to a file: its disk may be another one, or allow no links."""
    with suppress(OSError):
        os.link(source, target)
        return True
    return False


def _copy(entry: Path, target: zipfile.ZipFile, clip_id: str) -> str:
    """Copy the members of an entry, each named after the clip; the digest of their content."""
    with zipfile.ZipFile(entry) as source:
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


def are_linked(repository: Path = Path()) -> bool:
    """Whether DVC keeps outputs as the files that were written: where its cache.type begins with hardlink; else it copies."""
    found = ConfigParser(strict=False, interpolation=None)
    found.read([repository / ".dvc/config", repository / ".dvc/config.local"])
    return found.get("cache", "type", fallback="").strip('"').split(",")[0].strip() == "hardlink"


class Shelf:
    """The shards of a stage's last output, beside the entries that they were made of.

    They are further names of the output's own files, so they cost no disk where DVC's cache is made of such names too, and
    are kept only there. A shard of which no clip changed is then neither written, read nor copied again. A file that was
    written to since does not count.
    """

    def __init__(self, stage: store.Store) -> None:
        self.stage = stage
        self.folder = stage.folder / f"{SHELF}{store.place(store.root('.'))}"

    def contents(self) -> dict[str, Content]:
        """What was known of the output's entries, by key; nothing where that cannot be read."""
        try:
            found = json.loads((self.folder / CONTENTS).read_text(encoding="utf-8"))
            return {key: Content(**content) for key, content in found.items()}
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return {}

    def ready(self, keys: Mapping[str, str], contents: Mapping[str, Content]) -> Ready:
        """The shards that can be taken as they are for clips with these keys, where each of their entries is known."""
        files: dict[str, Path] = {}
        known: dict[str, Content] = {}
        for shard, clip_ids in grouped(keys).items():
            if all(keys[clip_id] in contents for clip_id in clip_ids):
                own = {clip_id: contents[keys[clip_id]] for clip_id in clip_ids}
                results = {clip_id: keys[clip_id] for clip_id, content in own.items() if not content.refusal}
                path = self._find(shard, results)
                if path or not results:
                    files.update({shard: path} if path else {})
                    known.update(own)
        return Ready(files, known)

    def keep(self, output: Path, keys: Mapping[str, str], contents: Mapping[str, Content]) -> None:
        """Keep the shards of an output made of the entries with these keys, by clip id, and no others."""
        if not are_linked():
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = {CONTENTS}
        for shard, clip_ids in grouped(keys).items():
            path = self.folder / _shelved(output / shard, {clip_id: keys[clip_id] for clip_id in clip_ids})
            if path.exists() or _link(output / shard, path):
                kept.add(path.name)
        for path in self.folder.iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)
        with self.stage.workplace() as workplace:
            noted = Path(workplace) / CONTENTS
            noted.write_text(json.dumps({key: asdict(content) for key, content in contents.items()}), encoding="utf-8")
            noted.replace(self.folder / CONTENTS)

    def _find(self, shard: str, keys: Mapping[str, str]) -> Path | None:
        found = self.folder.glob(f"{Path(shard).stem}-{store.key(clips=dict(keys))}-*.zip")
        return next((path for path in found if path.name == _shelved(path, keys, shard)), None)


def _shelved(path: Path, keys: Mapping[str, str], shard: str = "") -> str:
    """The name on the shelf of a shard made of entries with these keys: it says what is in it, and as of when."""
    state = path.stat()
    return f"{Path(shard or path).stem}-{store.key(clips=dict(keys))}-{state.st_size}-{state.st_mtime_ns}.zip"


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
