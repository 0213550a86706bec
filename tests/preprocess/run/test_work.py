import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from preprocess.run import work

MODULE = "tests.preprocess.run.test_work"


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


def sleep(number: int, folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(600)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_task_gives_one_result_however_many_workers(count: int) -> None:
    assert sorted(work.each(square, range(20), count, MODULE)) == [number * number for number in range(20)]


def threads(number: int) -> tuple[int, list[str]]:
    import cv2

    return cv2.getNumThreads(), [os.environ[name] for name in work.THREADS]


def test_workers_have_one_thread_each_and_the_caller_keeps_its_environment() -> None:
    before = dict(os.environ)
    assert list(work.each(threads, [1], 1, MODULE)) == [(1, ["1"] * len(work.THREADS))]
    assert dict(os.environ) == before


def test_tasks_that_kill_their_worker_cost_themselves_alone() -> None:
    results = list(work.each(partial(square, deadly=(3, 11)), range(20), 2, MODULE, died=lambda number: -number))
    assert sorted(results) == sorted(-number if number in (3, 11) else number * number for number in range(20))


def test_a_worker_killed_from_outside_costs_nothing(folder: Path) -> None:
    results = work.each(partial(kill_once, mark=folder / "mark"), range(10), 2, MODULE)
    assert sorted(results) == [number * number for number in range(10)]


def test_a_worker_that_dies_between_two_tasks_costs_nothing() -> None:
    results = work.each(pid, range(6), 1, MODULE)
    first = next(results)
    time.sleep(0.5)  # in which the second one is done too, and no more is handed out
    os.kill(first, signal.SIGKILL)
    wait_until(partial(ended, first))
    later = list(results)
    assert len(later) == 5
    assert first not in later[1:]


def test_a_deadly_task_that_nothing_stands_in_for_is_named() -> None:
    with pytest.raises(work.WorkerDiedError, match="7: the worker died twice"):
        list(work.each(partial(square, deadly=(7,)), [7], 1, MODULE))


PROGRAM = f"""
import process, signal, sys
from functools import partial
from pathlib import Path
from preprocess.run import work
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background
from {MODULE} import sleep
process.end_with_parent()
try:
    list(work.each(partial(sleep, folder=Path("pids")), range(4), 2, "{MODULE}"))
except KeyboardInterrupt:
    work.stop()
    sys.exit(130)
"""


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition: "partial[bool]", seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_stage(folder: Path, number: int) -> None:
    pids = folder / "pids"
    pids.mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path(work.__file__).parents[2])}
    stage = subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment)
    wait_until(partial(lambda: len(list(pids.iterdir())) == 2))
    stage.send_signal(number)
    assert stage.wait(60) == (-number if number == signal.SIGKILL else 130)
    wait_until(partial(lambda: all(ended(int(path.name)) for path in pids.iterdir())))


def test_a_stage_ends_when_its_parent_is_killed(folder: Path) -> None:
    pids = folder / "pids"
    pids.mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path(work.__file__).parents[2])}
    starter = (
        "import subprocess, sys, pathlib; stage = subprocess.Popen([sys.executable, '-c', sys.argv[1]]);"
        "pathlib.Path('stage').write_text(str(stage.pid)); stage.wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter, PROGRAM], env=environment)
    wait_until(partial(lambda: len(list(pids.iterdir())) == 2))
    parent.kill()
    parent.wait()
    stage = int((folder / "stage").read_text())
    wait_until(partial(lambda: ended(stage) and all(ended(int(path.name)) for path in pids.iterdir())))
