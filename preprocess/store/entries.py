"""The store: finished work of single clips, outside DVC's outputs.

An entry is an uncompressed zip archive of the files that a stage made of one clip; the archive's comment is the digest of
their content. The entry's name, its key, is a digest of everything that can change its bytes. An entry is written under
another name and then renamed, so no reader ever sees half of one; an entry whose digest is wrong counts as missing.
"""

import errno
import hashlib
import json
import lzma
import os
import shutil
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

BLOCK = 1 << 20  # bytes copied at a time
SPARE = 64 << 20  # bytes; with less free space than this, the full disk may be why a clip failed
STALE = 24 * 3600  # seconds after which unfinished work belongs to no running process
UNFINISHED = "unfinished-"
UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST}
# What zipfile raises for an archive with flipped or missing bytes: they may ask for any method, password, size or encoding.
DAMAGE = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
    EOFError, LookupError, OverflowError, RuntimeError, ValueError,
)  # fmt: skip


def place(folder: Path) -> str:
    """A short name for a checkout or a corpus folder: a digest of its absolute path."""
    return hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]


def _unfinished(is_shared: bool = False) -> str:
    """How the names of this checkout's unfinished files and folders begin."""
    return f"{UNFINISHED}{'share-' if is_shared else ''}{place(Path.cwd())}-"


class StoreError(OSError):
    """The store cannot be written; the message says where, by whom, and what to do."""


def node() -> str:
    """The name of this machine; in a job of Slurm, of its node."""
    return os.environ.get("SLURMD_NODENAME") or os.uname().nodename


@contextmanager
def gone_if_replaced() -> Iterator[None]:
    """Raises FileNotFoundError where another machine replaced or removed a file of a network file system while it was read."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ESTALE:
            raise FileNotFoundError(errno.ENOENT, "replaced while it was read", error.filename) from error
        raise


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
    is_shared: bool = False  # whether other processes of this checkout make entries of this stage at the same time

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.zip"

    def has(self, key: str) -> bool:
        """Whether a whole entry is there; a damaged one is removed."""
        return self.members(key) is not None

    def members(self, key: str) -> list[str] | None:
        """Names of the files in a whole entry; None where there is none. A damaged one is removed."""
        path = self.path(key)
        members = members_of_whole(path)
        if members is None and path.is_file():
            self.discard(path)
        return members

    def discard(self, path: Path) -> None:
        """Remove an entry that was seen to be damaged, unless another checkout has removed it, or made it again, meanwhile.

        The entry is renamed before it is looked at again, so that none but the one that is looked at is removed.
        """
        with self.workplace() as workplace:
            taken = Path(workplace) / path.name
            with suppress(FileNotFoundError):
                path.replace(taken)
                if is_whole(taken):
                    taken.replace(path)

    def use(self, keys: list[str]) -> None:
        """Write down which entries this checkout's output is made of; `python -m preprocess store prune` keeps those."""
        checkout = Path.cwd().resolve()
        note = {"checkout": str(checkout), "machine": os.uname().nodename, "keys": keys}
        self.write(self.folder / f"{place(checkout)}.used", json.dumps(note, indent=0))

    def write(self, path: Path, text: str) -> None:
        """Write a file of the store's folder; no reader sees half of it, and several processes may write it at once."""
        with self.workplace() as workplace:
            unfinished = Path(workplace) / path.name
            unfinished.write_text(text, encoding="utf-8")
            path.parent.mkdir(exist_ok=True)
            unfinished.replace(path)

    def sweep(self, alone: bool = False) -> None:
        """Remove unfinished work that is older than a day; with `alone`, all of this checkout's.

        `alone` says that no other process of this checkout runs the stage.
        """
        for path in self.folder.glob(f"{UNFINISHED}*"):
            ours = alone and path.name.startswith(_unfinished())
            with suppress(FileNotFoundError):  # its process has just finished it
                if ours or time.time() - path.stat().st_mtime > STALE:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def workplace(self) -> TemporaryDirectory:
        """A temporary folder in which an entry's files are made; on the store's disk, so that they can be renamed.

        Raises StoreError where none can be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return TemporaryDirectory(dir=self.folder, prefix=_unfinished(self.is_shared))
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise StoreError(
                f"{self.folder} cannot be written on {node()} ({error.strerror}): mount the store there for writing, "
                "give this user the right to write, or name another folder as run.store"
            ) from None

    def require_space(self) -> None:
        """Raises OSError where the disk, or a quota on it, has no room for SPARE bytes."""
        try:
            with TemporaryFile(dir=self.folder) as file:
                os.posix_fallocate(file.fileno(), 0, SPARE)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.folder)) from None

    def add(self, key: str, files: Path) -> None:
        """Make an entry of the files in a folder of `workplace`; the members get the files' names."""
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

    The size is given in advance: without it zipfile reserves the large (zip64) form, which Python versions write
    differently; with it only members of gigabytes have that form.
    """
    header = zipfile.ZipInfo(name)
    header.file_size = size
    with stream, archive.open(header, "w") as member:
        shutil.copyfileobj(stream, member, BLOCK)


def content_digest(archive: zipfile.ZipFile) -> str:
    """sha256 over names and contents of the members, in order of name."""
    total = hashlib.sha256()
    for name in sorted(archive.namelist()):
        with archive.open(name) as member:
            total.update(f"{name}:{hashlib.file_digest(member, 'sha256').hexdigest()};".encode())  # type: ignore[arg-type]
    return total.hexdigest()


def is_whole(path: Path) -> bool:
    """Whether an entry is there, and its content has the digest that its comment names.

    OSError where that cannot be found out: too many files are open, the disk fails, or the file may not be read.
    """
    return members_of_whole(path) is not None


def members_of_whole(path: Path) -> list[str] | None:
    """Names of the files in an entry that `is_whole`; None for another one."""
    try:
        with gone_if_replaced(), path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return archive.namelist() if content_digest(archive).encode() == archive.comment else None
    except (FileNotFoundError, *DAMAGE):
        return None
    except OSError as error:
        if error.errno in (None, errno.EINVAL):  # bz2's "invalid data", and a seek to before the file's beginning
            return None
        raise
