"""The seam between the stages and whatever runs their work: an engine gives workers, and knows nothing of stages.

Through it go tasks (a clip's id and what it names, never pictures or sound) and small results; files go through the store.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

LOGS = Path("logs")
# Read by torch, numpy and OpenCV when a worker loads them.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


class EngineError(RuntimeError):
    """Workers cannot be had, or not where the stage would make the same bytes; the message says which, and what to do."""


class WorkerDiedError(RuntimeError):
    """A task killed its worker twice, the second time as the only task."""


@dataclass(frozen=True)
class Call:
    """What workers are made for."""

    function: Callable[[Any], Any]  # picklable: a top-level function, or a partial of one
    count: int  # workers at most
    module: str  # where the function is defined
    preload: Sequence[str]  # modules that it imports later
    log_name: str

    @property
    def log(self) -> Path:
        return LOGS / f"{self.log_name}.log"


class Crew(Protocol):
    """Workers of one call. What they have loaded stays loaded for their next tasks."""

    def results(self, waiting: deque[Any], interrupted: list[Any], alone: bool) -> Iterator[Any]:
        """Take tasks from `waiting`, and yield the results in order of completion. What the function raises is raised here.

        Tasks that a worker had in hand when it died, one of which may have killed it, are appended to `interrupted`. With
        `alone`, a worker has one task in hand at a time. The iterator may end while tasks are waiting.
        """


class Engine(Protocol):
    def workers(self) -> int:
        """How many workers it gives at most; EngineError where it can give none."""

    def crew(self, call: Call) -> AbstractContextManager[Crew]:
        """Workers for a call; they end with the context."""


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the processes that are started meanwhile; this process has its own again afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
