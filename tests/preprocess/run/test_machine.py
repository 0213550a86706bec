"""A worker whose machine would make other bytes says what differs, and what to do."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from preprocess.run import machine, node, rays
from preprocess.run.engine import Call
from preprocess.run.machine import Machine
from preprocess.run.node import Order, Worker
from tests.preprocess.run.conftest import RUN
from tests.preprocess.run.tasks import square

MODULE = "tests.preprocess.run.tasks"
WANTED = Machine("3.11", "avx512f", "NVIDIA H200", {"torch": "2.14.1", "scipy": "1.17.1"}, "ffmpeg version 9.0")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {"vectors": "avx2"},
            "has a processor with avx2, and the stage's clips are of one with avx512f: choose nodes of one kind",
        ),
        ({"gpu": "Tesla T4"}, "has the GPU Tesla T4, and the stage's clips are of NVIDIA H200: choose .* by run.label"),
        ({"gpu": ""}, "has no GPU, and the stage's clips are of NVIDIA H200: choose .*--constraint"),
        ({"python": "3.12"}, "has Python 3.12 instead of 3.11: use one environment"),
        ({"libraries": WANTED.libraries | {"torch": "2.15.0"}}, r"has torch 2\.15\.0 instead of 2\.14\.1: run `make install`"),
        ({"libraries": WANTED.libraries | {"scipy": ""}}, r"has scipy not at all instead of 1\.17\.1: run `make install`"),
        ({"ffmpeg": "ffmpeg version 8.1"}, "has the decoder 'ffmpeg version 8.1' instead of 'ffmpeg version 9.0': name one"),
    ],
)
def test_each_difference_is_named_with_what_to_do(found: dict[str, object], said: str) -> None:
    (line,) = machine.differences(WANTED, replace(WANTED, **found))
    assert re.search(said, line)


def test_a_gpu_where_the_stage_has_none_is_named() -> None:
    (line,) = machine.differences(replace(WANTED, gpu=""), WANTED)
    assert line.startswith("has the GPU NVIDIA H200, and the stage's clips are of a processor: write cpu as run.device")


@pytest.mark.parametrize("stage", ["frames", "encode_text"])
def test_a_machine_is_like_itself(stage: str) -> None:
    here = machine.of_stage(f"preprocess.stages.{stage}", "", "bundled")
    assert machine.differences(here, machine.like(here, "", "bundled")) == []
    assert bool(here.ffmpeg) == (stage == "frames")


def test_a_node_with_another_ffmpeg_declines(tmp_path: Path) -> None:
    other = tmp_path / "ffmpeg"
    other.write_text("#!/bin/sh\necho ffmpeg version 1.0\n", encoding="utf-8")
    other.chmod(0o755)
    wanted = machine.of_stage("preprocess.stages.frames", "", "bundled")
    (line,) = machine.differences(wanted, machine.like(wanted, "", str(other)))
    assert "has the decoder 'ffmpeg version 1.0' instead of 'ffmpeg version" in line


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Order:
    """What a worker of squares is told, in a checkout whose stage depends on a parameter."""
    monkeypatch.chdir(tmp_path)
    for name in ("logs", "films", "store"):
        (tmp_path / name).mkdir()
    (tmp_path / "params.yaml").write_text("corpus: {root: films}\nframes: {rate: 10}\n", encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text("stages: {squares: {cmd: squares, params: [frames.rate]}}\n", encoding="utf-8")
    (tmp_path / "logs/sign").touch()
    engine = rays.Ray(RUN, "squares")
    return rays.order(engine, Call(square, 1, MODULE, (), "squares"), str(tmp_path / "logs/sign"), str(tmp_path / "store"))


def copied(order: Order, folder: Path) -> Order:
    """The same order in another checkout, in which the stage's sign cannot be seen."""
    folder.mkdir()
    (folder / "params.yaml").write_text(Path("params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return replace(order, checkout=str(folder))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "PAUSE", 0.01)


def test_a_node_without_the_checkout_says_so(order: Order) -> None:
    (line,) = Worker().prepare(replace(order, checkout="/nowhere/checkout"))
    assert (
        line
        == "has no folder /nowhere/checkout (No such file or directory): the checkout has to be there on every node, shared"
    )


def test_a_node_with_other_code_names_commit_and_file(order: Order, tmp_path: Path) -> None:
    other = copied(order, tmp_path / "other")
    edited = replace(other, code=other.code | {"preprocess/run/work.py": "0" * 64}, commit="0123456789ab")
    (line,) = Worker().prepare(edited)
    assert (
        f"has another checkout in {tmp_path / 'other'}, at commit {node.commit_of(Path(order.root))} instead of 0123456789ab"
        in line
    )
    assert "(preprocess/run/work.py differs)" in line


def test_a_node_with_other_parameters_names_them(order: Order, tmp_path: Path) -> None:
    other = copied(order, tmp_path / "other")
    (tmp_path / "other/params.yaml").write_text("frames: {rate: 5}\n", encoding="utf-8")
    (line,) = Worker().prepare(other)
    assert "with frames.rate 5 instead of 10: mount the stage's own checkout there" in line


def test_a_node_with_a_copy_of_the_checkout_says_so(order: Order, tmp_path: Path) -> None:
    (line,) = Worker().prepare(copied(order, tmp_path / "other"))
    assert "with the same code and parameters but data of its own" in line


@pytest.mark.parametrize(
    ("store", "said"),
    [
        ("/nowhere/store/stage/x", "does not see the stage's store in /nowhere/store/stage"),
        ("/sys", r"cannot write the store in / \("),
    ],
)
def test_a_store_that_a_node_does_not_see_or_cannot_write_is_named(store: str, said: str) -> None:
    assert re.search(said, *node.unwritable(store))


def test_a_corpus_that_a_node_does_not_see_is_named() -> None:
    assert node.absent({"the corpus": "/nowhere/films"}) == ["does not see the corpus in /nowhere/films: mount it there"]
