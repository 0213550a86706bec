"""How work is handed out: the one place that knows about processes.

`each` promises nothing about order, so that another engine can take its place; a stage never notices where its
tasks ran. Workers are single-threaded: results must not depend on how many there are.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

LOGS = Path("logs")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def workers(asked: int) -> int:
    """The number of worker processes: as asked, or for 0 one for each core that this process may use."""
    return asked or len(os.sched_getaffinity(0))


def each(function: Callable[[Task], Result], tasks: Iterable[Task], count: int, module: str) -> Iterator[Result]:
    """Results of `function` (picklable: a top-level function, or a partial of one) on every task, in order of completion.

    What `function` raises is raised here. `module`, where the function lives, is imported once for all workers, and what
    a worker loads stays loaded for the tasks that follow. What native libraries write goes to `logs/<module>.log`.
    """
    os.environ.update(dict.fromkeys(THREADS, "1"))
    log = LOGS / f"{module}.log"
    log.parent.mkdir(exist_ok=True)
    log.unlink(missing_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    with ProcessPoolExecutor(count, mp_context=context, initializer=_write_errors_to, initargs=(log,)) as pool:
        futures = [pool.submit(function, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _write_errors_to(log: Path) -> None:
    """In a worker: keep the terminal for the progress bar."""
    with log.open("a") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
