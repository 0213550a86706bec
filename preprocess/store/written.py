"""Which files of an output are as this checkout wrote them, and of what: those need not be written again.

A file counts as unchanged by what DVC goes by too: its size, its time of modification and its inode. DVC leaves unchanged files
in place between two runs of a stage whose output is `persist: true` in dvc.yaml.
"""

import hashlib
import json
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from preprocess.store.entries import Store, place

SUFFIX = ".written"  # of a checkout's list in the store's folder of a stage

State = list[int]


class Written:
    """The files of one stage's output. A list that is damaged or absent is an empty one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.folder / f"{place(Path.cwd())}{SUFFIX}"
        self._of: dict[str, str] = {}  # by path: what the file was made of
        with suppress(OSError, ValueError, TypeError):
            listed: list[tuple[str, str, State]] = json.loads(self._path.read_text(encoding="utf-8"))
            self._of = {path: of for path, of, state in listed if state_of(Path(path)) == state}

    def of(self, path: Path) -> str:
        """What a file was made of: a digest; "" for one that is not there, or that changed since."""
        return self._of.get(str(path), "")

    def add(self, path: Path, of: str) -> None:
        """Note that a file has just been written, and of what."""
        self._of[str(path)] = of

    def save(self) -> None:
        """Write the list down, when no file will change any more."""
        listed = [(path, of, state) for path, of in self._of.items() if (state := state_of(Path(path)))]
        self._store.write(self._path, json.dumps(listed))


def digest(*parts: object) -> str:
    """Of what a file is made of: of numbers, texts, and lists and tuples of them."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def state_of(path: Path) -> State:
    """Size, time of modification and inode; [] for a missing file."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def clear(folder: Path, keep: Collection[str]) -> None:
    """Make a folder that has nothing but what has these names.

    Old files are deleted and never overwritten: they may be hard links to files in DVC's cache.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in [path for path in folder.iterdir() if path.name not in keep]:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
