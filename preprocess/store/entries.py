"""Finished work of single clips, kept by content outside DVC's outputs.

An entry is an uncompressed zip archive of the files that a stage made of one clip, with the digest of its content as
the archive's comment. Its name is the digest of everything that can change its bytes. Entries appear by renaming, so a
reader never sees half of one, and one whose digest is wrong counts as missing.
"""

import hashlib
import json
import os
import shutil
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

BLOCK = 1 << 20  # bytes copied at a time
SPARE = 64 << 20  # bytes without which what a clip needs may not have fitted either
STALE = 24 * 3600  # seconds after which unfinished work belongs to nobody
UNFINISHED = "unfinished-"


def root(store: str) -> Path:
    """The folder of the store: `run.store`, under the main checkout unless absolute.

    DVC runs queued experiments in copies of the repository and names the main checkout in DVC_ROOT.
    """
    return Path(os.environ.get("DVC_ROOT", ".")).resolve() / store


def place(folder: Path) -> str:
    """A name for what belongs to a checkout."""
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]


def _unfinished() -> str:
    """What the names of this checkout's unfinished files and folders begin with."""
    return f"{UNFINISHED}{place(Path.cwd())}-"


def key(**parts: object) -> str:
    """A digest of named parts, which must be plain JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def capability() -> str:
    """The vector instructions of this processor that float results depend on."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return os.uname().machine
    return next((name for name in ("avx512f", "avx2") if name in flags), os.uname().machine)


@dataclass(frozen=True)
class Store:
    """The entries of one stage."""

    folder: Path

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.zip"

    def has(self, key: str) -> bool:
        """Whether a whole entry is there; a damaged one is removed."""
        path = self.path(key)
        if not path.is_file():
            return False
        if is_whole(path):
            return True
        path.unlink()
        return False

    def use(self, stage: str, keys: list[str]) -> None:
        """Note the entries that this checkout's output is to be made of, which `python -m preprocess store prune` keeps."""
        checkout = Path.cwd().resolve()
        note = {"checkout": str(checkout), "machine": os.uname().nodename, "keys": keys}
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = self.folder / f"{_unfinished()}{stage}"
        unfinished.write_text(json.dumps(note, indent=0), encoding="utf-8")
        unfinished.replace(self.folder / f"{place(checkout)}.used")

    def sweep(self, alone: bool = False) -> None:
        """Remove what was left unfinished a day ago or longer; of this checkout all of it, where no other process runs here."""
        for path in self.folder.glob(f"{UNFINISHED}*"):
            own = alone and path.name.startswith(_unfinished())
            if own or time.time() - path.stat().st_mtime > STALE:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def workplace(self) -> TemporaryDirectory:
        """A folder on the store's own file system in which an entry's files are made."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(dir=self.folder, prefix=_unfinished())

    def require_space(self) -> None:
        """OSError where the disk, or a quota on it, has no room for SPARE bytes."""
        try:
            with TemporaryFile(dir=self.folder) as file:
                os.posix_fallocate(file.fileno(), 0, SPARE)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.folder)) from None

    def add(self, key: str, files: Path) -> None:
        """Make an entry of the files in a folder of `workplace`; their names become the members' names."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = files.with_suffix(".zip")
        with zipfile.ZipFile(unfinished, "w") as archive:
            for member in sorted(files.iterdir()):
                append(archive, member.name, member.open("rb"), member.stat().st_size)
        with zipfile.ZipFile(unfinished, "a") as archive:
            archive.comment = content_digest(archive).encode()
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)


def append(archive: zipfile.ZipFile, name: str, stream: IO[bytes], size: int) -> None:
    """Add a member whose bytes in the archive depend on nothing but its name and content.

    It is told its size, so that only one of gigabytes has the large form, which Pythons write differently.
    """
    told = zipfile.ZipInfo(name)
    told.file_size = size
    with stream, archive.open(told, "w") as member:
        shutil.copyfileobj(stream, member, BLOCK)


def content_digest(archive: zipfile.ZipFile) -> str:
    """sha256 over names and contents of the members, in order of name."""
    total = hashlib.sha256()
    for name in sorted(archive.namelist()):
        with archive.open(name) as member:
            total.update(f"{name}:{hashlib.file_digest(member, 'sha256').hexdigest()};".encode())  # type: ignore[arg-type]
    return total.hexdigest()


def is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return content_digest(archive).encode() == archive.comment
    except Exception:  # zipfile has many for what a flipped bit can do
        return False
