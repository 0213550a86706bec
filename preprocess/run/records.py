"""What the runs of a stage have done, on which machine and how fast: a small file a run in the store, renewed while it runs.

`python -m preprocess status` and `plan` read them. Nothing depends on them: a record that cannot be written is left out.
"""

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from preprocess.store.entries import Store, node

FOLDER = "runs"
PAUSE = 5.0  # seconds between two writings
LOST = 60.0  # seconds without a writing after which a run is taken for dead
RUNNING, ENDED, STOPPED = "running", "ended", "stopped"


@dataclass(frozen=True)
class Measured:
    """Clips that a worker finished, where, and in how many seconds."""

    items: list[Any]  # stage.Missing
    node: str
    seconds: float


def measured(function: Callable[[list[Any]], list[Any]], batch: list[Any]) -> Measured:
    """In a worker: the function's result, with the time that it took."""
    start = time.perf_counter()
    items = function(batch)
    return Measured(items, node(), time.perf_counter() - start)


@dataclass
class Done:
    """What one machine has done in a run."""

    clips: int = 0
    elsewhere: int = 0  # clips that another run had finished meanwhile
    media: float = 0.0  # seconds, of the clips
    busy: float = 0.0  # seconds of workers
    size: int = 0  # bytes of the entries


@dataclass
class Run:
    """A record, as it is written."""

    work: str  # a digest of the keys of all clips of the stage: runs with the same one do the same work
    checkout: str
    machine: str
    pid: int
    share: str  # such as 3/16; "": all clips
    device: str
    started: float  # seconds since 1970
    updated: float = 0.0
    state: str = RUNNING
    todo: int = 0  # clips that were missing when the run began
    workers: int = 0
    in_hand: int = 0  # clips, at most
    nodes: dict[str, Done] = field(default_factory=dict)

    @property
    def done(self) -> Done:
        """The sums over all machines."""
        return Done(*(sum(column) for column in zip(*(vars(of_node).values() for of_node in self.nodes.values()), strict=True)))

    @property
    def seconds(self) -> float:
        return self.updated - self.started

    def is_live(self, now: float) -> bool:
        return self.state == RUNNING and now - self.updated < LOST


class Record:
    """The record of one run of a stage, kept up to date by a thread in a `with` block."""

    def __init__(self, store: Store, keys: Iterable[str], device: str, share: str = "") -> None:
        self.store = store
        self.share = share
        self._keys = keys
        self._device = device
        self._run: Run | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def begin(self, todo: int, workers: int, batch_size: int) -> None:
        """Note how many clips will be computed; without it, as where none is missing, nothing is written."""
        now = datetime.now(UTC)
        self._window = workers * batch_size
        self._run = Run(
            digest(self._keys), str(Path.cwd().resolve()), node(), os.getpid(), self.share, self._device, now.timestamp()
        )
        self._run.todo, self._run.workers = todo, workers
        self.path = self.store.folder / FOLDER / f"{now:%Y%m%dT%H%M%S.%f}-{node()}-{os.getpid()}.json"
        self._write()
        self._thread.start()

    def add(self, measured: Measured) -> list[Any]:
        """Count clips that were finished; returns them."""
        assert self._run
        done = self._run.nodes.get(measured.node, Done())
        for item in measured.items:
            done.elsewhere += item.is_done
            if not item.is_done:
                done.clips += 1
                done.media += item.task.seconds
                with suppress(OSError):  # a network file system may not show it yet
                    done.size += self.store.path(item.key).stat().st_size
        if len(measured.items) > sum(item.is_done for item in measured.items):
            done.busy += measured.seconds
        self._run.nodes = self._run.nodes | {measured.node: done}
        return measured.items

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._ended.set()
        if self._run:
            self._thread.join()
            self._run.state = STOPPED if kind else ENDED
            self._write()

    def _keep(self) -> None:
        while not self._ended.wait(PAUSE):
            self._write()

    def _write(self) -> None:
        assert self._run
        run = self._run
        left = run.todo - sum(done.clips + done.elsewhere for done in run.nodes.values())
        run.updated, run.in_hand = time.time(), min(self._window, left)
        with suppress(OSError):  # a full disk ends the run elsewhere, with a sentence
            self.store.write(self.path, json.dumps(asdict(run)))


def digest(keys: Iterable[str]) -> str:
    return hashlib.sha256("".join(sorted(set(keys))).encode()).hexdigest()


def read(folder: Path) -> list[Run]:
    """The records of a stage, oldest first, of the folder that its entries are in; those that cannot be read are left out."""
    runs = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            tree = json.loads(path.read_text(encoding="utf-8"))
            runs.append(Run(**tree | {"nodes": {name: Done(**of_node) for name, of_node in tree["nodes"].items()}}))
    return runs
