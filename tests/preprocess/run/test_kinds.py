"""Shares on a machine that would make other bytes decline, by name; with a stage whose work is next to nothing."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from preprocess.run import kinds, machine, share, stage
from preprocess.run.machine import Machine
from preprocess.run.share import Share, ShareError
from preprocess.store import entries
from preprocess.store.entries import Store
from tests.preprocess.run.test_share import CLIPS, RUN, job, log

Become = Callable[..., None]


@pytest.fixture
def become(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Become:
    """Lets this process take itself for another machine, with another name and what else is given."""
    here = machine.of_stage

    def made(name: str, **values: object) -> None:
        monkeypatch.setenv("SLURMD_NODENAME", name)
        monkeypatch.setattr(machine, "of_stage", lambda *parts: replace(here(*parts), **values))
        if "vectors" in values:
            monkeypatch.setattr(entries, "capability", lambda: values["vectors"])

    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"vectors": "avx1024"}, "node7 has a processor with avx1024, and the stage's clips are of one with .*--constraint"),
        ({"ffmpeg": "ffmpeg version 1.0"}, "node7 has the decoder 'ffmpeg version 1.0' instead of .*decoder.ffmpeg"),
        ({"libraries": {"numpy": "1.0"}}, r"node7 has numpy 1\.0 instead of .*make install"),
        ({"gpu": "Tesla T4"}, "node7 has the GPU Tesla T4, and the stage's clips are of a processor: write cpu"),
    ],
)
def test_a_share_on_another_kind_of_machine_than_the_stages_declines(become: Become, values: dict, said: str) -> None:
    become("login", libraries={"numpy": "2.0"})
    share.note_machine(job(Path()), RUN)
    become("node7", **{"libraries": {"numpy": "2.0"}} | values)
    with pytest.raises(ShareError) as raised:
        share.fill(job(Path()), RUN, Share(1, 2))
    assert re.search(rf"share 1/2: {said}.* compared with login, the machine of the stage itself", str(raised.value))
    assert "python -m preprocess stage --note-machine" in str(raised.value)
    assert log(Path()) == []


def test_shares_on_machines_of_one_kind_run(become: Become) -> None:
    become("login")
    share.note_machine(job(Path()), RUN)
    for number, name in enumerate(["node1", "node2"], 1):
        become(name)
        share.fill(job(Path()), RUN, Share(number, 2))
    assert sorted(log(Path())) == sorted(CLIPS)


def test_without_a_note_the_first_share_decides_and_the_stage_says_that_it_is_another(
    become: Become, capsys: pytest.CaptureFixture[str]
) -> None:
    become("node1", vectors="avx1024")
    share.fill(job(Path()), RUN, Share(1, 2))
    become("node2", vectors="avx2")
    with pytest.raises(ShareError, match=r"share 2/2: node2 has .* compared with node1, .* of a share that ran before"):
        share.fill(job(Path()), RUN, Share(2, 2))
    become("login", vectors="avx2")
    stage.fill(job(Path()), RUN)
    assert "stage: login has a processor with avx2, and the stage's clips are of one with avx1024" in capsys.readouterr().err
    share.fill(job(Path()), RUN, Share(2, 2))  # the stage's machine counts from now on
    stage.fill(job(Path()), RUN)
    assert "avx1024" not in capsys.readouterr().err


def test_each_checkout_has_a_note_of_its_own_and_a_broken_one_counts_as_none(become: Become, tmp_path: Path) -> None:
    store = Store(tmp_path / ".store/stage")
    share.note_machine(job(Path()), RUN)
    kind = kinds.noted(store)
    assert kind
    assert isinstance(kind.machine, Machine)
    with chdir(tmp_path / ".store"):
        assert kinds.noted(store) is None
    next(store.folder.glob("*.machine")).write_text('{"node": 1}')
    assert kinds.noted(store) is None


def test_of_first_shares_that_start_at_once_all_go_by_one_note(become: Become) -> None:
    become("node0")
    store = Store(Path("store"), is_shared=True)
    many, together = 12, Barrier(12)

    def first(number: int) -> str:
        own = replace(kinds.here("tests.preprocess.run.test_share", "", by_share=True), node=f"node{number}")
        together.wait()
        return kinds.note_first(store, own).node

    for _ in range(5):
        with ThreadPoolExecutor(many) as threads:
            named = set(threads.map(first, range(many)))
        assert len(named) == 1
        (path,) = store.folder.glob(f"*{kinds.SUFFIX}")
        assert json.loads(path.read_text(encoding="utf-8"))["node"] in named
        path.unlink()
    path.write_text("damaged", encoding="utf-8")
    assert kinds.note_first(store, kinds.here("tests.preprocess.run.test_share", "")).node == "node0"
