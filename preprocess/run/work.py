"""How work is given to workers: the only module that stages ask for them.

`each` gives results in no promised order. Which engine has the workers, and where, changes no result and no stage. A task whose
worker dies is tried again, alone.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TypeVar

from filelock import FileLock, Timeout

import params
from preprocess.run import cluster, devices, processes
from preprocess.run.engine import LOGS, Call, Engine, WorkerDiedError
from preprocess.run.processes import Processes
from preprocess.run.rays import Ray

Task = TypeVar("Task")
Result = TypeVar("Result")


def workers(asked: int) -> int:
    """The number of worker processes: `asked`, or for 0 one for each core that this process may use."""
    return asked or len(os.sched_getaffinity(0))


def gpu_kind(run: params.Run, device: str) -> str:
    """The kind of GPU that a stage computes on; "" where its device is the processor."""
    if not device.startswith("cuda"):
        return ""
    return devices.kind(run) or (cluster.gpu_kind(run) if run.engine == "ray" else "")


def engine(run: params.Run, stage: str, gpu: str = "") -> Engine:
    """The workers that the section `run` asks for; nothing is started yet.

    `gpu` is the kind of GPU that the stage computes on, "" where it uses the processor alone.
    EngineError or ParameterError where there can be none.
    """
    if run.engine == "ray":
        return Ray(run, stage, gpu)
    if not gpu or run.device not in ("auto", "cuda"):
        return Processes(workers(run.workers))
    gpus = devices.spread(run, workers(0))
    return Processes(len(gpus), gpus)


def each(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    crew: Engine | int,
    module: str,
    died: Callable[[Task], Result] | None = None,
    apart: Callable[[Task], list[Task]] = lambda task: [task],
    preload: Sequence[str] = (),
    log_name: str = "",
) -> Iterator[Result]:
    """Results of `function` (picklable: a top-level function, or a partial of one) on every task, in order of completion.

    `crew` is an engine, or a number of processes. What `function` raises is raised here. `module`, where the function is
    defined, and the modules in `preload`, which it imports later, are imported before the first task. What a worker has loaded
    stays loaded for its next tasks. What native libraries print goes to `logs/<module>.log`, or that of `log_name`.
    A task whose worker dies is tried again: `apart` splits it, and each of the pieces runs alone. If one kills its worker
    again, its result is `died(task)`; without `died`, WorkerDiedError is raised.
    """
    chosen = Processes(crew) if isinstance(crew, int) else crew
    waiting = deque(tasks)
    if not waiting:
        return
    call = Call(function, min(chosen.workers(), len(waiting)), module, preload, log_name or module)
    call.log.parent.mkdir(exist_ok=True)
    call.log.unlink(missing_ok=True)
    with chosen.crew(call) as workers:
        while waiting:
            interrupted: list[Task] = []
            yield from workers.results(waiting, interrupted, alone=False)
            suspects = deque(chain.from_iterable(map(apart, interrupted)))
            while suspects:
                deadly: list[Task] = []
                yield from workers.results(suspects, deadly, alone=True)
                for task in deadly:
                    if died is None:
                        raise WorkerDiedError(f"{task}: the worker died twice, see {call.log}")
                    yield died(task)


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
    """End all workers of this process, wherever they are, and the decoders that they started, at once."""
    processes.stop()
    cluster.leave()
