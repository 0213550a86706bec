"""Which entries of the store a checkout has found whole, so that those whose files have not changed since are not read again.

A file counts as unchanged by what `manifest` and DVC go by too: its size, its times and its inode. Content that is damaged
without a trace in these is found when the output is written, by the checksums of the zip archive; `python -m preprocess store
check` reads everything.
"""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from preprocess.store.entries import Store, place

SUFFIX = ".known"  # of a checkout's list in the store's folder of a stage
LETTERS = 16  # of the digest of a file's state


class Known:
    """The entries of one stage that a checkout knows. A list that is damaged or absent is an empty one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.folder / f"{place(Path.cwd())}{SUFFIX}"
        self._states: dict[str, str] = {}  # by key
        with suppress(OSError, ValueError):
            lines = self._path.read_text(encoding="ascii").splitlines()
            self._states = {line[: -LETTERS - 1]: line[-LETTERS:] for line in lines}

    def has(self, key: str) -> bool:
        """Whether an entry is as it was when it was last found whole."""
        state = self._states.get(key)
        return state is not None and _state(self._store.path(key)) == state

    def forget(self) -> None:
        """Know nothing: an entry was found to be damaged."""
        self._states.clear()

    def save(self, keys: Iterable[str]) -> None:
        """Write down these entries, each of which was compared with its digest, or has just been made; and no others."""
        states = {key: state for key in keys if (state := _state(self._store.path(key)))}
        if states != self._states:
            self._store.write(self._path, "".join(f"{key} {state}\n" for key, state in states.items()))


def _state(path: Path) -> str:
    """A digest of size, times and inode; "" for a missing file."""
    try:
        status = os.stat(path)  # noqa: PTH116 -- half the time of Path.stat
    except OSError:
        return ""
    state = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    return hashlib.sha256(repr(state).encode()).hexdigest()[:LETTERS]
