"""`python -m preprocess store size|check|prune`: look after the store of finished work.

Each stage notes which entries its checkout's output was last made of. `prune` drops what no checkout notes, so that going
back to earlier parameters computes again; it is meant for when disk is scarce.
"""

import shutil
from pathlib import Path

import params
from preprocess import shards, store
from preprocess.store import Store


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


def prune(folder: Path) -> str:
    """Remove entries that no checkout's output is made of, kept shards, and what was left unfinished a day ago."""
    notes = list(folder.glob("*.used"))
    if not notes:
        return "left as it is: no output here notes what it uses"
    used = {key for note in notes for key in note.read_text(encoding="utf-8").split()}
    dropped = [path for path in entries(folder) if path.stem not in used]
    freed = _megabytes(dropped)
    for path in dropped:
        path.unlink()
    for shelf in folder.glob(f"{shards.SHELF}*"):
        shutil.rmtree(shelf)
    Store(folder).sweep()
    return f"{len(dropped)} entries dropped, {freed}; {len(entries(folder))} kept"


def _megabytes(paths: list[Path]) -> str:
    return f"{sum(path.stat().st_size for path in paths) / 1e6:.1f} MB"


COMMANDS = {"size": size, "check": check, "prune": prune}
