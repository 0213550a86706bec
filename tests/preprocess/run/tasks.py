"""Tasks for workers. They import next to nothing, since every worker imports this module."""

import os
import signal
import subprocess
import time
from pathlib import Path

import process
from params import ParameterError
from preprocess.run.engine import THREADS


def square(number: int, deadly: tuple[int, ...] = ()) -> int:
    if number in deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def kill_once(number: int, mark: Path) -> int:
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def pid(number: int) -> int:
    return os.getpid()


def refuse(number: int) -> int:
    if number == 5:
        raise ParameterError("encode.audio.layer is 99")
    return number


def until(number: int, mark: Path) -> int:
    """The task 0 waits for a file."""
    while number == 0 and not mark.exists():
        time.sleep(0.02)
    return number


def sleep(number: int, folder: Path) -> None:
    """A task that never ends, with a program that it has started."""
    program = subprocess.Popen(["sleep", "600"])
    for own in (os.getpid(), program.pid):
        (folder / str(own)).touch()
    time.sleep(600)


def environment(number: int) -> tuple[int, list[str], bool]:
    import cv2

    return cv2.getNumThreads(), [os.environ[name] for name in THREADS], process.is_worker()


def gpu_of_worker(number: int, folder: Path, count: int) -> tuple[str, str]:
    """The GPU that this worker sees, and that it saw when a module was imported; waits until every worker has begun."""
    from tests.preprocess.run import imported

    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < count:
        time.sleep(0.02)
    return os.environ["CUDA_VISIBLE_DEVICES"], imported.GPU


def node_of(number: int) -> str:
    """The Ray node that this worker is on."""
    import ray

    time.sleep(0.2)
    return str(ray.get_runtime_context().get_node_id())
