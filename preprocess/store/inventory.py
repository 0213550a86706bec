"""`python -m preprocess store size|check|prune`: look after the store of finished work.

Before a stage makes entries, it writes a note of those that its checkout's output is made of. `prune` deletes entries that
are in no note; going back to earlier parameters then computes again, so use it when the disk is full. The note of a checkout
that was on this machine and is gone is deleted too. Whether a checkout on another machine still exists cannot be seen from
here: its note stays until somebody deletes it.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import params
from preprocess.store.entries import Store

# How files that a checkout has beside its note end: on its machine (preprocess/run/kinds.py), on entries (known.py there), and
# on its output (written.py here).
BESIDE = (".machine", ".known", ".written")
OLD = 90 * 24 * 3600  # seconds after which the record of a run (preprocess/run/records.py) is of no use


def main(command: str) -> None:
    root = params.load().run.store_folder
    folders = sorted(folder for folder in root.glob("*") if folder.is_dir())
    print(f"store: {root}")
    for folder in folders:
        print(f"  {folder.name}: {COMMANDS[command](folder)}")


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*.zip"))


def size(folder: Path) -> str:
    paths = entries(folder)
    return f"{len(paths)} entries, {_megabytes(paths)}"


def check(folder: Path) -> str:
    """Read every entry; one whose digest is wrong is removed, and made again when it is needed."""
    paths = entries(folder)
    damaged = [path for path in paths if not Store(folder).has(path.stem)]
    return f"{len(paths)} entries, {len(damaged)} damaged and removed" + "".join(f"\n    {path.name}" for path in damaged)


@dataclass(frozen=True)
class Note:
    """Which entries the output of one checkout is made of."""

    path: Path
    checkout: str  # "": the note does not say
    machine: str
    keys: frozenset[str]

    @property
    def is_void(self) -> bool:
        """Whether the checkout was on this machine and is gone."""
        return self.machine == os.uname().nodename and not Path(self.checkout, str(params.PATH)).is_file()

    def in_words(self) -> str:
        checkout = self.checkout or "an unnamed checkout"
        if self.is_void:
            return f"{checkout} is gone, its note is deleted"
        if self.machine == os.uname().nodename:
            return f"{len(self.keys)} kept for {checkout}"
        written = time.strftime("%Y-%m-%d", time.localtime(self.path.stat().st_mtime))
        return f"{len(self.keys)} kept for {checkout} on {self.machine or 'some machine'}, as of {written}: {self.path.name}"


def read_note(path: Path) -> Note:
    text = path.read_text(encoding="utf-8")
    tree: dict[str, Any] = json.loads(text) if text.startswith("{") else {"checkout": "", "machine": "", "keys": text.split()}
    return Note(path, tree["checkout"], tree["machine"], frozenset(tree["keys"]))


def prune(folder: Path) -> str:
    """Delete what no checkout's output is made of, notes of checkouts that are gone, old records and unfinished work."""
    notes = []
    for path in sorted(folder.glob("*.used")):
        with suppress(FileNotFoundError):  # deleted by another process that prunes
            notes.append(read_note(path))
    if not notes:
        return "left as it is: no checkout has a note of what it uses here"
    used = frozenset[str]().union(*(note.keys for note in notes if not note.is_void))
    dropped = [path for path in entries(folder) if path.stem not in used]
    freed = _megabytes(dropped)
    for path in dropped:
        path.unlink(missing_ok=True)
    lines = [f"\n    {note.in_words()}" for note in notes]
    for note in notes:
        if note.is_void:
            for path in (note.path, *(note.path.with_suffix(suffix) for suffix in BESIDE)):
                path.unlink(missing_ok=True)
    for path in folder.glob("runs/*.json"):
        if time.time() - _status(path)[1] > OLD:
            path.unlink(missing_ok=True)
    Store(folder).sweep()
    return f"{len(dropped)} entries dropped, {freed}; {len(entries(folder))} kept{''.join(lines)}"


def _megabytes(paths: list[Path]) -> str:
    return f"{sum(_status(path)[0] for path in paths) / 1e6:.1f} MB"


def _status(path: Path) -> tuple[int, float]:
    """Size (bytes) and last change (seconds since 1970) of a file; nothing, and now, where another process removed it."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, time.time()
    return status.st_size, status.st_mtime


COMMANDS = {"size": size, "check": check, "prune": prune}
