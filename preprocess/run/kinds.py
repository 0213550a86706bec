"""On which kind of machine a checkout runs a stage, noted in the store, so that shares on machines of another kind decline.

Such a share would make its clips under keys for which the stage never looks. Who notes it: the stage itself, whenever it runs;
`--note-machine`, on the machine where it is going to run; and else the first share.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

import params
from preprocess.run import machine
from preprocess.run.machine import Machine
from preprocess.run.node import leaf
from preprocess.store.entries import Store, node, place

SUFFIX = ".machine"  # of a checkout's note in the store's folder of a stage


@dataclass(frozen=True)
class Kind:
    """The machine whose clips a stage looks for."""

    node: str  # its name
    by_share: bool  # whether a share noted it, for want of another note
    machine: Machine


def here(module: str, gpu: str, by_share: bool = False) -> Kind:
    """This machine, as far as the results of a stage's module depend on it. `gpu` is the kind of GPU that it computes on."""
    tree = yaml.safe_load(params.PATH.read_text(encoding="utf-8")) if params.PATH.is_file() else {}
    return Kind(node(), by_share, machine.of_stage(module, gpu, leaf(tree, "decoder.ffmpeg") or "bundled"))


def noted(store: Store) -> Kind | None:
    """What this checkout's note says; None where there is none that can be read."""
    try:
        tree = json.loads(_path(store).read_text(encoding="utf-8"))
        return Kind(**tree | {"machine": Machine(**tree["machine"])})
    except (OSError, ValueError, LookupError, TypeError):
        return None


def note(store: Store, kind: Kind) -> None:
    store.write(_path(store), _text(kind))


def note_first(store: Store, kind: Kind) -> Kind:
    """Note this kind unless another process has noted one; what the note says then, the same for all who ask at once."""
    with store.workplace() as workplace, suppress(OSError):  # a name that is taken, or a file system without hard links
        unfinished = Path(workplace) / "note"
        unfinished.write_text(_text(kind), encoding="utf-8")
        os.link(unfinished, _path(store))
    if (found := noted(store)) is None:
        note(store, kind)
    return found or kind


def differences(wanted: Kind, found: Kind) -> str:
    """What would change bytes on the machine `found`, as the rest of a sentence that begins with its name; "" for nothing."""
    return "; it ".join(machine.differences(wanted.machine, found.machine))


def in_words(kind: Kind) -> str:
    of = kind.machine
    return ", ".join(filter(None, [of.vectors, of.gpu, f"Python {of.python}", of.ffmpeg, f"{len(of.libraries)} libraries"]))


def _text(kind: Kind) -> str:
    return json.dumps(asdict(kind))


def _path(store: Store) -> Path:
    return store.folder / f"{place(Path.cwd())}{SUFFIX}"
