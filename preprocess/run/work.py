"""How work is given to worker processes: no other module knows about processes.

`each` gives results in no promised order, so another way of running tasks could replace it without a change to the stages.
Workers are single-threaded: results must not depend on their number. When a worker dies, the tasks that it and the others
were doing are tried again, one by one. Workers end with the process that started them, and so do the decoders that they run.
"""

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
from multiprocessing import forkserver
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

import process

Task = TypeVar("Task")
Result = TypeVar("Result")

LOGS = Path("logs")
# Read by torch, numpy and OpenCV when a worker loads them.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


class WorkerDiedError(RuntimeError):
    """A task killed its worker twice, the second time as the only task."""


def workers(asked: int) -> int:
    """The number of worker processes: `asked`, or for 0 one for each core that this process may use."""
    return asked or len(os.sched_getaffinity(0))


def each(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    count: int,
    module: str,
    died: Callable[[Task], Result] | None = None,
    apart: Callable[[Task], list[Task]] = lambda task: [task],
    preload: Sequence[str] = (),
    log_name: str = "",
) -> Iterator[Result]:
    """Results of `function` (picklable: a top-level function, or a partial of one) on every task, in order of completion.

    What `function` raises is raised here. `module`, where the function is defined, and the modules in `preload`, which it
    imports later, are imported once for all workers. What a worker has loaded stays loaded for its next tasks. What native
    libraries print goes to `logs/<module>.log`, or that of `log_name`.
    A task whose worker dies is tried again: `apart` splits it, and each of the pieces runs alone. If one kills its worker
    again, its result is `died(task)`; without `died`, WorkerDiedError is raised.
    """
    log = LOGS / f"{log_name or module}.log"
    log.parent.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module, *preload])
    with _environment(dict.fromkeys([*THREADS, process.WORKER], "1")):
        forkserver.ensure_running()  # the workers are forked from it, and have its environment
    pool = partial(ProcessPoolExecutor, mp_context=context, initializer=_start_worker, initargs=(log,))
    waiting = deque(tasks)
    while waiting:
        interrupted: list[Task] = []
        with pool(count) as workers:
            yield from _results(workers, function, waiting, 2 * count, interrupted)
        suspects = deque(chain.from_iterable(map(apart, interrupted)))
        while suspects:
            deadly: list[Task] = []
            with pool(1) as worker:
                yield from _results(worker, function, suspects, 1, deadly)
            for task in deadly:
                if died is None:
                    raise WorkerDiedError(f"{task}: the worker died twice, see {log}")
                yield died(task)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
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


def _results(
    pool: ProcessPoolExecutor, function: Callable[[Task], Result], waiting: deque[Task], window: int, interrupted: list[Task]
) -> Iterator[Result]:
    """Results until `waiting` is empty or a worker dies; the tasks that ran then, one of which may have killed it, are
    appended to `interrupted`. At most `window` tasks are given to the pool at a time."""
    running: dict[Future[Result], Task] = {}
    try:
        while waiting or running:
            try:
                while waiting and len(running) < window:
                    running[pool.submit(function, waiting[0])] = waiting[0]
                    waiting.popleft()
            except BrokenProcessPool:
                wait(running)
                if not running:  # the worker died between two tasks: no task is to blame
                    return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            broken = [future for future in done if isinstance(future.exception(), BrokenProcessPool)]
            for future in done.difference(broken):
                del running[future]
                yield future.result()
            if broken:
                wait(running)
                interrupted.extend(running.values())
                return
    except BaseException:
        stop()
        raise


@contextmanager
def alone(stage: str) -> Iterator[None]:
    """Hold the lock of a stage's output in this checkout; waits, and says so, while another process holds it.

    The operating system takes the lock away from a process that ends, even from one that is killed.
    """
    LOGS.mkdir(exist_ok=True)
    lock = FileLock(LOGS / f"{stage}.lock", fallback_to_soft=False)  # a soft lock would outlive a killed process
    try:
        lock.acquire(blocking=False)
    except Timeout:
        print(f"{stage}: waiting for another process that runs this stage here", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def stop() -> None:
    """End all workers of this process, and the decoders that they started, at once."""
    for worker in multiprocessing.active_children():
        try:
            os.killpg(worker.pid or 0, signal.SIGKILL)
        except ProcessLookupError:  # it does not lead a process group yet
            worker.kill()


def _start_worker(log: Path) -> None:
    """In a worker: print to the log instead of the terminal, lead a new process group, and end with the parent process."""
    with log.open("a") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os.killpg(0, signal.SIGKILL)
