"""What every engine promises: one result for each task, whoever dies, and nothing left over. One suite for all of them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import params
from params import ParameterError
from preprocess.run import work
from preprocess.run.engine import THREADS, Engine, WorkerDiedError
from preprocess.run.processes import Processes
from tests.conftest import ROOT
from tests.preprocess.run.conftest import Nodes
from tests.preprocess.run.tasks import environment, kill_once, pid, refuse, square, until

MODULE = "tests.preprocess.run.tasks"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=["processes", pytest.param("ray", marks=pytest.mark.slow)])
def crew(request: pytest.FixtureRequest, folder: Path) -> Callable[[int], Engine]:
    """An engine of so many workers."""
    if request.param == "processes":
        return Processes
    nodes: Nodes = request.getfixturevalue("nodes")
    return lambda count: work.engine(nodes.run(workers=count, cpus=0.5, store=str(folder / "store")), "squares")


@pytest.mark.parametrize("count", [1, 4])
def test_every_task_gives_one_result_however_many_workers(crew: Callable[[int], Engine], count: int) -> None:
    assert sorted(work.each(square, range(20), crew(count), MODULE)) == [number * number for number in range(20)]


def test_workers_have_one_thread_each_and_the_caller_keeps_its_environment(crew: Callable[[int], Engine]) -> None:
    engine = crew(1)
    engine.workers()
    before = dict(os.environ)
    assert list(work.each(environment, [1], engine, MODULE)) == [(1, ["1"] * len(THREADS), True)]
    assert dict(os.environ) == before


def test_results_come_while_others_are_made(crew: Callable[[int], Engine], folder: Path) -> None:
    """So that a bar moves, and what is finished is known before the slowest is."""
    results = work.each(partial(until, mark=folder / "mark"), range(6), crew(2), MODULE)
    early = [next(results) for _ in range(4)]
    assert 0 not in early
    (folder / "mark").touch()
    assert sorted([*early, *results]) == list(range(6))


def test_what_a_task_raises_is_raised_here(crew: Callable[[int], Engine]) -> None:
    with pytest.raises(ParameterError, match=r"encode\.audio\.layer is 99"):
        list(work.each(refuse, range(20), crew(2), MODULE))


def test_tasks_that_kill_their_worker_cost_themselves_alone(crew: Callable[[int], Engine]) -> None:
    results = list(work.each(partial(square, deadly=(3, 11)), range(20), crew(2), MODULE, died=lambda number: -number))
    assert sorted(results) == sorted(-number if number in (3, 11) else number * number for number in range(20))


def test_a_worker_killed_from_outside_costs_nothing(crew: Callable[[int], Engine], folder: Path) -> None:
    results = work.each(partial(kill_once, mark=folder / "mark"), range(10), crew(2), MODULE)
    assert sorted(results) == [number * number for number in range(10)]


def test_a_worker_that_dies_between_two_tasks_costs_nothing(crew: Callable[[int], Engine]) -> None:
    results = work.each(pid, range(6), crew(1), MODULE)
    first = next(results)
    time.sleep(0.5)  # in which the second one is done too, and no more is handed out
    os.kill(first, signal.SIGKILL)
    wait_until(partial(ended, first))
    later = list(results)
    assert len(later) == 5
    assert first not in later[1:]


def test_a_deadly_task_that_nothing_stands_in_for_is_named(crew: Callable[[int], Engine]) -> None:
    with pytest.raises(WorkerDiedError, match="7: the worker died twice"):
        list(work.each(partial(square, deadly=(7,)), [7], crew(1), MODULE))


PARAMETERS = str(ROOT / params.PATH)
PROGRAM = f"""
import process, signal, sys
from functools import partial
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background
process.end_with_parent()
import params
from preprocess.run import work
from {MODULE} import sleep
address, parameters = sys.argv[1:]
kind = "ray" if address else "processes"
changed = {{"engine": kind, "workers": 2, "address": address, "cpus": 0.5}}
engine = work.engine(params.load(Path(parameters)).run.model_copy(update=changed), "sleep")
try:
    list(work.each(partial(sleep, folder=Path("pids")), range(4), engine, "{MODULE}"))
except KeyboardInterrupt:
    work.stop()
    sys.exit(130)
"""


@pytest.fixture(params=["processes", pytest.param("ray", marks=pytest.mark.slow)])
def address(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "processes" else request.getfixturevalue("nodes").address


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


def starting(pids: Path) -> dict[str, str]:
    """The environment for a program whose workers leave their numbers in a folder."""
    pids.mkdir()
    return os.environ | {"PYTHONPATH": str(Path(work.__file__).parents[2])}


def all_began(pids: Path) -> bool:
    return len(list(pids.iterdir())) == 4


def all_ended(pids: Path) -> bool:
    return all(ended(int(path.name)) for path in pids.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_and_no_decoder_outlives_its_stage(address: str, folder: Path, number: int) -> None:
    pids = folder / "pids"
    stage = subprocess.Popen([sys.executable, "-c", PROGRAM, address, PARAMETERS], env=starting(pids))
    wait_until(partial(all_began, pids))
    stage.send_signal(number)
    assert stage.wait(60) == (-number if number == signal.SIGKILL else 130)
    wait_until(partial(all_ended, pids))


def test_a_stage_ends_when_its_parent_is_killed(address: str, folder: Path) -> None:
    pids = folder / "pids"
    starter = (
        "import subprocess, sys, pathlib; stage = subprocess.Popen([sys.executable, '-c', *sys.argv[1:]]);"
        "pathlib.Path('stage').write_text(str(stage.pid)); stage.wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter, PROGRAM, address, PARAMETERS], env=starting(pids))
    wait_until(partial(all_began, pids))
    parent.kill()
    parent.wait()
    stage = int((folder / "stage").read_text())
    wait_until(partial(lambda: ended(stage) and all_ended(pids)))
