"""How work is handed out: the one place that knows about processes.

`each` promises nothing about order, so that another engine can take its place; a stage never notices where its
tasks ran. Workers are single-threaded: results must not depend on how many there are. A worker that dies costs the tasks
in hand, which are tried again one by one; workers end with the process that started them, and so do their decoders.
"""

import fcntl
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

LOGS = Path("logs")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerDiedError(RuntimeError):
    """A task ends its worker each time that it is tried, even alone."""


def workers(asked: int) -> int:
    """The number of worker processes: as asked, or for 0 one for each core that this process may use."""
    return asked or len(os.sched_getaffinity(0))


def each(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    count: int,
    module: str,
    died: Callable[[Task], Result] | None = None,
    apart: Callable[[Task], list[Task]] = lambda task: [task],
    preload: Sequence[str] = (),
) -> Iterator[Result]:
    """Results of `function` (picklable: a top-level function, or a partial of one) on every task, in order of completion.

    What `function` raises is raised here. `module`, where the function lives, and those of `preload`, which it imports as it
    goes, are imported once for all workers, and what a worker loads stays loaded for the tasks that follow. What native
    libraries write goes to `logs/<module>.log`.
    A task whose worker ends is tried again alone, each of its parts that `apart` gives by itself. The result of one that
    ends its worker then too is `died(task)`; without `died`, WorkerDiedError is raised.
    """
    os.environ.update(dict.fromkeys(THREADS, "1"))
    log = LOGS / f"{module}.log"
    log.parent.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module, *preload])
    pool = partial(ProcessPoolExecutor, mp_context=context, initializer=_start_worker, initargs=(log,))
    left = deque(tasks)
    while left:
        in_hand: list[Task] = []
        with pool(count) as workers:
            yield from _results(workers, function, left, 2 * count, in_hand)
        suspects = deque(chain.from_iterable(map(apart, in_hand)))
        while suspects:
            deadly: list[Task] = []
            with pool(1) as worker:
                yield from _results(worker, function, suspects, 1, deadly)
            for task in deadly:
                if died is None:
                    raise WorkerDiedError(f"{task}: the worker died twice, see {log}")
                yield died(task)


def _results(
    pool: ProcessPoolExecutor, function: Callable[[Task], Result], left: deque[Task], window: int, in_hand: list[Task]
) -> Iterator[Result]:
    """Results until `left` is empty or a worker dies; then `in_hand` gets the tasks that may have been its undoing."""
    running: dict[Future[Result], Task] = {}
    try:
        while left or running:
            try:
                while left and len(running) < window:
                    running[pool.submit(function, left[0])] = left[0]
                    left.popleft()
            except BrokenProcessPool:
                wait(running)
                if not running:  # the worker died between two tasks, which was the fault of none
                    return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            broken = [future for future in done if isinstance(future.exception(), BrokenProcessPool)]
            for future in done.difference(broken):
                del running[future]
                yield future.result()
            if broken:
                wait(running)
                in_hand.extend(running.values())
                return
    except BaseException:
        stop()
        raise


@contextmanager
def alone(stage: str) -> Iterator[None]:
    """Hold the lock on a stage's output, waiting for another process that has it; the lock ends with its holder."""
    LOGS.mkdir(exist_ok=True)
    with (LOGS / f"{stage}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{stage}: waiting for another process that runs this stage here", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def stop() -> None:
    """End all workers of this process, and the decoders that they started, at once."""
    for worker in multiprocessing.active_children():
        try:
            os.killpg(worker.pid or 0, signal.SIGKILL)
        except ProcessLookupError:  # not yet a group of its own
            worker.kill()


def _start_worker(log: Path) -> None:
    """In a worker: keep the terminal for the progress bar, lead a group of its own, and end with the parent."""
    with log.open("a") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_starter, daemon=True).start()


def _end_with_starter() -> None:
    starter = multiprocessing.parent_process()
    if starter:
        starter.join()
        os.killpg(0, signal.SIGKILL)
