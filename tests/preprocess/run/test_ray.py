"""Stages on three Ray nodes: the bytes of worker processes, whatever dies. What is said of a cluster that cannot be used."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from preprocess.run import cluster, work
from preprocess.run.engine import EngineError
from tests.conftest import ONE_BY_ONE, ROOT, STAGES, Workspace
from tests.preprocess.run.conftest import RUN, Nodes
from tests.preprocess.run.tasks import node_of, square
from tests.preprocess.run.test_engines import wait_until

pytestmark = pytest.mark.slow  # nodes take seconds to start
MODULE = "tests.preprocess.run.tasks"
CLIPS = 9
BEFORE_ALIGN = [stage for stage in STAGES if stage != "align"]


@pytest.fixture(scope="module")
def alone(sample_run: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Some clips of the sample, taken to tensors by one worker process."""
    return taken(sample_run, tmp_path_factory.mktemp("alone"), **{"run.workers": 1})


@pytest.fixture(scope="module")
def on_nodes(sample_run: Workspace, nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The same clips, taken to tensors by three nodes, with an empty store of their own."""
    return taken(sample_run, tmp_path_factory.mktemp("on_nodes"), **joining(nodes))


def joining(nodes: Nodes) -> dict[str, object]:
    return {"run.engine": "ray", "run.address": nodes.address}


def taken(sample_run: Workspace, folder: Path, **values: object) -> Workspace:
    made = prepared(sample_run, folder, **values)
    made.stages(*STAGES)
    return made


def prepared(sample_run: Workspace, folder: Path, **values: object) -> Workspace:
    """A workspace with the first clips of the sample."""
    made = Workspace(folder)
    (folder / "data").mkdir()
    (folder / "data/models").symlink_to(sample_run.folder / "data/models")
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    source = sample_run.folder / "data/sample"
    made.set(**{"corpus.root": "films", **values})
    shutil.copytree(source, folder / "films")
    table = folder / "films/clips.csv"
    lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
    step = (len(lines) - 1) // CLIPS  # of all splits
    table.write_text("".join([lines[0], *lines[1::step][:CLIPS]]), encoding="utf-8")
    return made


def test_three_nodes_make_the_bytes_of_one_process(alone: Workspace, on_nodes: Workspace) -> None:
    stages = [*BEFORE_ALIGN, "tensors"]
    assert on_nodes.bytes_of(*stages) == alone.bytes_of(*stages)


def started(made: Workspace, stage: str) -> subprocess.Popen[str]:
    """Run a stage in the background."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ONE_BY_ONE, stage]
    return subprocess.Popen(
        command, cwd=made.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def has_begun(made: Workspace, stage: str) -> bool:
    """Whether a stage has finished a clip, and not all."""
    return any((made.folder / ".store" / stage).glob("??/*.zip"))


def forget(made: Workspace, stage: str) -> None:
    for path in (made.folder / ".store" / stage).glob("??/*.zip"):
        path.unlink()


def test_a_node_that_is_switched_off_half_way_costs_nothing(alone: Workspace, on_nodes: Workspace, nodes: Nodes) -> None:
    forget(on_nodes, "faces")
    stage = started(on_nodes, "faces")
    wait_until(partial(has_begun, on_nodes, "faces"), 120)
    nodes.kill_one()
    said = stage.communicate()[0]
    nodes.start_one()
    assert stage.returncode == 0, said
    refused = len((alone.folder / "data/faces/refused.csv").read_text(encoding="utf-8").splitlines()) - 1
    assert f"faces: {CLIPS} clips, {CLIPS} computed, 0 reused, {refused} refused" in said
    assert "Raylet is terminated" not in said  # with the end of its log
    assert on_nodes.bytes_of("faces") == alone.bytes_of("faces")


def test_a_driver_that_is_killed_half_way_goes_on(alone: Workspace, on_nodes: Workspace) -> None:
    forget(on_nodes, "faces")
    stage = started(on_nodes, "faces")
    wait_until(partial(has_begun, on_nodes, "faces"), 120)
    stage.send_signal(signal.SIGKILL)
    stage.communicate()
    assert ", 0 reused" not in on_nodes.stages("faces")
    assert on_nodes.bytes_of("faces") == alone.bytes_of("faces")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(tmp_path / "store")


def test_a_node_of_another_kind_gets_no_clips(nodes: Nodes, store: str, capfd: pytest.CaptureFixture[str]) -> None:
    """One whose `ffmpeg` is another; the stage's own module decodes."""
    folder = Path(store).parent / "bin"
    folder.mkdir()
    for name, version in {"own": "1.0", "other": "2.0"}.items():
        (folder / name).mkdir()
        (folder / name / "ffmpeg").write_text(f"#!/bin/sh\necho ffmpeg version {version}\n", encoding="utf-8")
        (folder / name / "ffmpeg").chmod(0o755)
    Path("params.yaml").write_text("decoder: {ffmpeg: ffmpeg}\n", encoding="utf-8")
    os.environ["PATH"], before = f"{folder / 'own'}:{os.environ['PATH']}", os.environ["PATH"]
    try:
        nodes.start_one(labels={"of": "both"}, env_vars={"PATH": f"{folder / 'other'}:{before}"})
        other = nodes.workers[-1].node_id
        nodes.start_one(labels={"of": "both"}, env_vars={"PATH": os.environ["PATH"]})
        run = nodes.run(store=store, label="of=both")
        engine = work.engine(run, "frames")
        assert engine.workers() == 2
        ran_on = set(work.each(node_of, range(12), engine, "preprocess.stages.frames"))
    finally:
        os.environ["PATH"] = before
        nodes.kill_one()
        nodes.kill_one()
    assert len(ran_on) == 1
    assert other not in ran_on
    assert "has the decoder 'ffmpeg version 2.0' instead of 'ffmpeg version 1.0'" in capfd.readouterr().err


def test_an_address_that_nobody_answers_at_is_named(store: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    cluster.leave()
    run = RUN.model_copy(update={"engine": "ray", "address": address, "store": store})
    with pytest.raises(
        EngineError, match=rf"run\.address is {address}, and no Ray cluster answers there.*refused.*ray start --head"
    ):
        work.engine(run, "squares").workers()
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("values", "gpu", "said"),
    [
        (
            {"cpus": 64.0},
            "",
            r"a worker takes run\.cpus 64, which no node of the Ray cluster has \(.* has 1 processors.*ask for less",
        ),
        ({"gpus": 0.5}, "simulated", r"takes run\.cpus 1 and run\.gpus 0\.5, which no node .* and 0 GPUs.*--num-gpus"),
        ({"label": "kind=avx1024"}, "", r"run\.label is kind=avx1024, and no node .* has that label .*--labels kind=avx1024"),
    ],
)
def test_more_than_there_is_is_named(nodes: Nodes, store: str, values: dict[str, object], gpu: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        work.engine(nodes.run(store=store, **values), "squares", gpu).workers()


def test_ray_that_is_not_installed_is_named(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"run\.engine is ray, which is not installed here: pip install .*\[ray\]"):
        list(work.each(square, range(3), work.engine(RUN.model_copy(update={"engine": "ray"}), "squares"), MODULE))


def test_one_gpu_of_a_cluster_has_no_number() -> None:
    with pytest.raises(ValueError, match=r"device \(cuda:1\) names a GPU of one machine: with engine ray, write cuda"):
        type(RUN).model_validate(RUN.model_dump() | {"engine": "ray", "device": "cuda:1"})
