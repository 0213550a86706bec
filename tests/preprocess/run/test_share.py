"""Shares of a stage's clips: disjoint, in any order, killed or not; and the store that they fill together."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import params
from preprocess.clips import Task
from preprocess.run import records, share, sources, stage
from preprocess.run.records import Record
from preprocess.run.share import Share, ShareError
from preprocess.run.stage import Job, Stage
from preprocess.store import entries, inventory
from preprocess.store.entries import Store, StoreError
from tests.conftest import ROOT

MODULE = "tests.preprocess.run.test_share"
RUN = params.load(sources.ROOT / params.PATH).run.model_copy(update={"workers": 2, "device": "cpu", "store": ".store"})
CLIPS = [f"clip{i}" for i in range(24)]
IDS = st.text("abcxyz019_-.", min_size=1, max_size=12)


def work(task: Task, folder: Path, log: Path) -> None:
    """A clip's id in a file; each time that it is made leaves a line, and waits where a file asks for it."""
    with log.open("a") as file:
        file.write(f"{task.clip_id}\n")
    while Path("wait").exists():
        time.sleep(0.01)
    (folder / "txt").write_text(task.clip_id * 50, encoding="utf-8")


def job(folder: Path) -> Job:
    made = Stage("stage", MODULE, partial(work, log=(folder / "log").absolute()), parameters={})
    return Job(made, [Task(clip_id, {"id": clip_id}, 1.0) for clip_id in CLIPS])


def log(folder: Path) -> list[str]:
    return (folder / "log").read_text().split() if (folder / "log").exists() else []


def output(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "data/stage").iterdir()}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    with chdir(tmp_path):
        yield tmp_path


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The output of one process, without shares."""
    folder = tmp_path_factory.mktemp("alone")
    with chdir(folder):
        stage.fill(job(folder), RUN.model_copy(update={"workers": 1}))
    return output(folder)


@settings(deadline=None)
@given(st.sets(IDS, max_size=50), st.integers(1, 40), st.randoms())
def test_every_clip_is_in_one_share_whatever_other_clips_there_are(ids: set[str], total: int, random: object) -> None:
    shares = [Share(number, total) for number in range(1, total + 1)]
    assert [sum(clip_id in of for of in shares) for clip_id in ids] == [1] * len(ids)


def test_shares_are_of_similar_sizes() -> None:
    counts = [sum(f"clip{i:05d}" in Share(number, 16) for i in range(16_000)) for number in range(1, 17)]
    assert 850 < min(counts) <= max(counts) < 1150


@settings(deadline=None)
@given(st.from_regex(r"[0-9]{1,3}[/:][0-9]{1,3}", fullmatch=True) | st.text(max_size=8))
def test_what_is_no_share_is_named(text: str) -> None:
    number, _, total = text.partition("/")
    if number.isascii() and total.isascii() and number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total):
        assert share.parse(text) == Share(int(number), int(total))
    else:
        with pytest.raises(ValueError, match="is no share: expected a number from 1"):
            share.parse(text)


@pytest.mark.slow
def test_shares_in_any_order_leave_nothing_to_compute_and_the_same_bytes(here: Path, expected: dict[str, bytes]) -> None:
    for number in (3, 1, 4, 2):
        share.fill(job(here), RUN, Share(number, 4))
        assert not (here / "data").exists()
    assert sorted(log(here)) == sorted(CLIPS)
    stage.fill(job(here), RUN)
    assert sorted(log(here)) == sorted(CLIPS)
    assert output(here) == expected


SHARE = """
import sys
from pathlib import Path
from preprocess.run import share
from tests.preprocess.run.test_share import RUN, job
share.fill(job(Path.cwd()), RUN, share.parse(sys.argv[1]))
"""


@pytest.fixture
def start(here: Path) -> Iterator[Callable[[str], subprocess.Popen]]:
    """Starts a share in a process of its own, which leads a group, so that it can be killed with its workers."""
    started: list[subprocess.Popen] = []

    def begin(which: str) -> subprocess.Popen:
        command = [sys.executable, "-c", SHARE, which]
        variables = os.environ | {"PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen(command, cwd=here, env=variables, start_new_session=True, stderr=subprocess.DEVNULL))
        return started[-1]

    yield begin
    (here / "wait").unlink(missing_ok=True)
    for process in started:
        process.kill()
        process.wait()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 200
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_a_share_that_was_killed_is_started_again_alone(
    here: Path, start: Callable[[str], subprocess.Popen], expected: dict[str, bytes]
) -> None:
    (here / "wait").touch()
    killed, other = start("1/2"), start("2/2")
    until(lambda: len(log(here)) >= 4)  # two workers each
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (here / "wait").unlink()
    assert other.wait() == 0
    until(lambda: len(log(here)) >= 2 + sum(clip_id in Share(2, 2) for clip_id in CLIPS))
    assert start("1/2").wait() == 0
    stage.fill(job(here), RUN)
    assert output(here) == expected
    assert set(log(here)) == set(CLIPS)
    assert len(log(here)) <= len(CLIPS) + 4  # those in hand were done again, nothing else


def test_shares_with_another_total_are_refused_while_the_first_are_at_work(
    here: Path, start: Callable[[str], subprocess.Popen]
) -> None:
    (here / "wait").touch()
    first = start("1/2")
    until(lambda: log(here))
    with pytest.raises(ShareError, match=r"share 1/3: share 1/2 of the same clips is at work on .* the same total"):
        share.fill(job(here), RUN, Share(1, 3))
    (here / "wait").unlink()
    assert first.wait() == 0
    share.fill(job(here), RUN, Share(1, 3))


def test_a_share_does_not_disturb_the_stage_nor_the_stage_the_share(
    here: Path, start: Callable[[str], subprocess.Popen], expected: dict[str, bytes]
) -> None:
    (here / "wait").touch()
    first = start("1/1")
    until(lambda: len(log(here)) >= 2)
    Store(here / ".store/stage").sweep(alone=True)  # as the stage does when it begins
    (here / "wait").unlink()
    stage.fill(job(here), RUN)
    assert first.wait() == 0
    assert output(here) == expected
    assert set(log(here)) == set(CLIPS)


def test_what_another_process_made_meanwhile_is_not_made_again(here: Path) -> None:
    store = Store(here / ".store/stage")
    made = job(here)
    missing = [stage.Missing(task, stage.keys_of(made)[task.clip_id]) for task in made.tasks[:4]]
    stage._compute(missing[:2], made.stage, store)
    assert [item.is_done for item in stage._compute(missing, made.stage, store)] == [True, True, False, False]
    assert sorted(log(here)) == sorted(CLIPS[:4])


@pytest.mark.slow
def test_two_checkouts_shares_and_pruning_at_once(here: Path, expected: dict[str, bytes]) -> None:
    """Entries that pruning takes away between look-up and output are made again."""
    run = RUN.model_copy(update={"store": str(here / "store")})
    ended = threading.Event()
    problems: list[BaseException] = []

    def disturb() -> None:
        while not ended.is_set():
            time.sleep(0.05)
            try:
                for command in (inventory.prune, inventory.check, inventory.size):
                    command(here / "store/stage")
            except BaseException as error:
                problems.append(error)
                raise

    (here / "store/stage").mkdir(parents=True)
    thread = threading.Thread(target=disturb)
    thread.start()
    command = [sys.executable, "-c", CHECKOUT, str(here / "store")]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    folders = [here / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        (folder / "params.yaml").touch()
    started = [subprocess.Popen(command, cwd=folder, env=variables, stderr=subprocess.DEVNULL) for folder in folders]
    assert [process.wait() for process in started] == [0, 0]
    ended.set()
    thread.join()
    assert problems == []
    assert [output(folder) for folder in folders] == [expected, expected]
    assert run.store_folder == here / "store"


CHECKOUT = """
import sys
from pathlib import Path
from preprocess.run import share, stage
from preprocess.run.share import Share
from tests.preprocess.run.test_share import RUN, job
run = RUN.model_copy(update={"store": sys.argv[1]})
for number in (1, 2):
    share.fill(job(Path.cwd()), run, Share(number, 2))
stage.fill(job(Path.cwd()), run)
"""


def test_a_store_that_cannot_be_written_is_named_with_the_machine(here: Path) -> None:
    (here / ".store").write_text("a file")
    with pytest.raises(StoreError, match=rf"\.store/stage cannot be written on {entries.node()} \(Not a directory\)"):
        share.fill(job(here), RUN, Share(1, 2))


def test_an_entry_that_another_machine_replaced_while_it_was_read_is_made_again(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system says so with ESTALE."""
    stage.fill(job(here), RUN)
    digest, times = entries.content_digest, []

    def stale(archive: object) -> str:
        times.append(1)
        if len(times) == 3:
            raise OSError(errno.ESTALE, "Stale file handle")
        return digest(archive)  # type: ignore[arg-type]

    monkeypatch.setattr(entries, "content_digest", stale)
    stage.fill(job(here), RUN)
    assert len(log(here)) <= len(CLIPS) + 1


def test_a_record_says_what_was_done_where_and_is_dead_when_nothing_is_heard(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURMD_NODENAME", "node7")
    share.fill(job(here), RUN, Share(2, 3))
    (run,) = records.read(here / ".store/stage")
    assert (run.state, run.share, run.machine) == (records.ENDED, "2/3", "node7")
    assert run.done.clips == run.done.media == len(log(here)) == run.todo
    assert run.done.size > 0
    with Record(Store(here / ".store/stage"), ["key"], "cpu") as record:
        record.begin(5, 2, 1)
        live = records.read(here / ".store/stage")[-1]
        assert live.is_live(time.time())
        assert live.in_hand == 2
        assert not live.is_live(time.time() + records.LOST + 1)
    (here / ".store/stage/runs/broken.json").write_text("{")
    assert [run.state for run in records.read(here / ".store/stage")] == [records.ENDED] * 2
