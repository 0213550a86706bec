"""The engine `processes`: worker processes of this machine.

Each is single-threaded and, where there are GPUs, pinned to one of them. Workers end with the process that started them, and so
do the decoders that they run.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import process
from preprocess.run.devices import VISIBLE
from preprocess.run.engine import THREADS, Call, Crew, environment


@dataclass(frozen=True)
class Processes:
    """`count` worker processes; the i-th is given the GPU `gpus[i]`, from the first one again when they are used up."""

    count: int
    gpus: Sequence[str] = ()  # as CUDA_VISIBLE_DEVICES names them; none: workers see what this process sees

    def workers(self) -> int:
        return self.count

    @contextmanager
    def crew(self, call: Call) -> Iterator[Crew]:
        context = multiprocessing.get_context("forkserver")
        # A worker that is pinned to a GPU has to be so before torch is imported: then nothing is imported in advance.
        context.set_forkserver_preload([call.module, *(() if self.gpus else call.preload)])
        with environment(dict.fromkeys([*THREADS, process.WORKER], "1")):
            forkserver.ensure_running()  # the workers are forked from it, and have its environment
        yield _Pools(call, self.gpus, context)


@dataclass(frozen=True)
class _Pools:
    """Workers of a call. A pool breaks when one of its workers dies; then there is a new one."""

    call: Call
    gpus: Sequence[str]
    context: ForkServerContext

    def results(self, waiting: deque[Any], interrupted: list[Any], alone: bool) -> Iterator[Any]:
        count, window = (1, 1) if alone else (self.call.count, 2 * self.call.count)
        with self._pool(count) as pool:
            yield from _results(pool, self.call, waiting, window, interrupted)

    def _pool(self, count: int) -> ProcessPoolExecutor:
        pins = self.context.SimpleQueue()
        for gpu in islice(cycle(self.gpus), count):
            pins.put(gpu)
        start = self.call.log, pins if self.gpus else None, self.call.preload
        return ProcessPoolExecutor(count, self.context, initializer=_start_worker, initargs=start)


def _results(pool: ProcessPoolExecutor, call: Call, waiting: deque[Any], window: int, interrupted: list[Any]) -> Iterator[Any]:
    """Results until `waiting` is empty or a worker dies. At most `window` tasks are given to the pool at a time."""
    running: dict[Future[Any], Any] = {}
    try:
        while waiting or running:
            try:
                while waiting and len(running) < window:
                    running[pool.submit(call.function, waiting[0])] = waiting[0]
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


def stop() -> None:
    """End all workers of this process, and the decoders that they started, at once."""
    for worker in multiprocessing.active_children():
        try:
            os.killpg(worker.pid or 0, signal.SIGKILL)
        except ProcessLookupError:  # it does not lead a process group yet
            worker.kill()


def _start_worker(log: Path, pins: Any, preload: Sequence[str]) -> None:
    """In a worker: print to the log instead of the terminal, lead a new process group, and end with the parent process.

    Where `pins` has GPUs, take the next one before anything is imported that could use another.
    """
    with log.open("a") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if pins:
        os.environ[VISIBLE] = pins.get()
        with suppress(ImportError):  # raised again, and shown, when a task needs it
            for module in preload:
                importlib.import_module(module)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os.killpg(0, signal.SIGKILL)
