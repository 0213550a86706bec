"""`python -m preprocess store size|check|prune`: look after the store of finished work.

Each stage notes which entries its checkout's output is to be made of, before it makes them. `prune` drops what no checkout
notes, so that going back to earlier parameters computes again; it is meant for when disk is scarce. A note goes with its
checkout, if that was on this machine; whether another machine's is still there cannot be told here, so its notes stay until
somebody deletes them.
"""

import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import params
from preprocess.store import entries as store
from preprocess.store import shards
from preprocess.store.entries import Store


def main(command: str) -> None:
    root = store.root(params.load().run.store)
    folders = sorted(folder for folder in root.glob("*") if folder.is_dir())
    print(f"store: {root}")
    for folder in folders:
        print(f"  {folder.name}: {COMMANDS[command](folder)}")


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*.zip"))


def size(folder: Path) -> str:
    found = entries(folder)
    return f"{len(found)} entries, {_megabytes(found)}"


def check(folder: Path) -> str:
    """Read every entry; one whose digest is wrong is removed, and made again when it is needed."""
    found = entries(folder)
    damaged = [path for path in found if not Store(folder).has(path.stem)]
    return f"{len(found)} entries, {len(damaged)} damaged and removed" + "".join(f"\n    {path.name}" for path in damaged)


@dataclass(frozen=True)
class Note:
    """Which entries the output of one checkout is made of."""

    path: Path
    checkout: str  # "": not said
    machine: str
    keys: frozenset[str]

    @property
    def is_void(self) -> bool:
        """Whether the checkout was on this machine and is gone."""
        return self.machine == os.uname().nodename and not Path(self.checkout, str(params.PATH)).is_file()

    def told(self) -> str:
        who = self.checkout or "an unnamed checkout"
        if self.is_void:
            return f"{who} is gone, and its note with it"
        if self.machine == os.uname().nodename:
            return f"{len(self.keys)} kept for {who}"
        written = time.strftime("%Y-%m-%d", time.localtime(self.path.stat().st_mtime))
        return f"{len(self.keys)} kept for {who} on {self.machine or 'some machine'}, as of {written}: {self.path.name}"


def read_note(path: Path) -> Note:
    text = path.read_text(encoding="utf-8")
    tree: dict[str, Any] = json.loads(text) if text.startswith("{") else {"checkout": "", "machine": "", "keys": text.split()}
    return Note(path, tree["checkout"], tree["machine"], frozenset(tree["keys"]))


def prune(folder: Path) -> str:
    """Remove entries that no checkout's output is made of, notes of checkouts that are gone, kept shards, and what is long
    unfinished."""
    notes = [read_note(path) for path in sorted(folder.glob("*.used"))]
    if not notes:
        return "left as it is: no output here notes what it uses"
    used = frozenset[str]().union(*(note.keys for note in notes if not note.is_void))
    dropped = [path for path in entries(folder) if path.stem not in used]
    freed = _megabytes(dropped)
    for path in dropped:
        path.unlink()
    for shelf in folder.glob(f"{shards.SHELF}*"):
        shutil.rmtree(shelf)
    told = [f"\n    {note.told()}" for note in notes]
    for note in notes:
        if note.is_void:
            note.path.unlink()
    Store(folder).sweep()
    return f"{len(dropped)} entries dropped, {freed}; {len(entries(folder))} kept{''.join(told)}"


def _megabytes(paths: list[Path]) -> str:
    return f"{sum(path.stat().st_size for path in paths) / 1e6:.1f} MB"


COMMANDS = {"size": size, "check": check, "prune": prune}
