"""What full disks, deadly files and stages side by side cost: the clips in hand, at most."""

import os
import resource
import shutil
import subprocess
import sys
import threading
import wave
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

from preprocess import refusals
from preprocess.media import decoder
from preprocess.refusals import Code
from tests.conftest import ROOT, Workspace

SMALL, LARGE = "color=gray:s=64x64:r=1:d=3", "nullsrc=s=320x240:r=10:d=2,geq=random(1)*255:128:128"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two films, the shorter of which makes a file of more than a megabyte, in the manifest of a workspace."""
    made = Workspace(tmp_path_factory.mktemp("prepared"))
    (made.folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    made.set(**{"corpus.root": "films", "corpus.labels": ["happy"], "run.workers": 1})
    films = made.folder / "films"
    films.mkdir()
    for name, picture in {"small": SMALL, "large": LARGE}.items():
        lossless = ["-f", "lavfi", "-i", picture, "-c:v", "ffv1", films / f"{name}.mkv"]
        subprocess.run([decoder.ffmpeg_path("bundled"), "-loglevel", "error", *lossless], check=True)
    (films / "clips.csv").write_text("clip_id,media,happy\nsmall,small.mkv,1\nlarge,large.mkv,0\n", encoding="utf-8")
    made.stages("manifest")
    return made


@pytest.fixture
def workspace(prepared: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(prepared.folder, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path)


def start(workspace: Workspace, stage: str, most: int = resource.RLIM_INFINITY) -> subprocess.Popen:
    """Begin a stage, none of whose files may be larger than `most` bytes."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("DVC_ROOT", None)
    return subprocess.Popen(
        [sys.executable, "-m", "preprocess", stage],
        cwd=workspace.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most, most)),
    )


def test_a_full_disk_is_no_refusal_and_keeps_what_was_finished(workspace: Workspace) -> None:
    stopped = start(workspace, "frames", most=500_000)
    printed = stopped.communicate()[1]
    assert stopped.returncode == 1
    assert "frames: the disk is full" in printed
    assert "Traceback" not in printed
    assert "frames: 2 clips, 1 computed, 1 reused, 0 refused" in workspace.stages("frames")


def test_a_medium_that_goes_away_meanwhile_is_no_refusal(workspace: Workspace) -> None:
    """As those on a disk that is pulled out do; nor is one waited for that becomes a pipe."""
    medium = workspace.folder / "films/large.mkv"
    content = medium.read_bytes()
    medium.unlink()
    os.mkfifo(medium)
    printed = workspace.run("preprocess", "frames", fails=True)
    assert "films/large.mkv was a file when the run began" in printed
    assert "Traceback" not in printed
    medium.unlink()
    medium.write_bytes(content)
    assert "frames: 2 clips, 1 computed, 1 reused, 0 refused" in workspace.stages("frames")


def test_stages_side_by_side_wait_for_each_other(workspace: Workspace) -> None:
    with FileLock(workspace.folder / "logs/frames.lock"):
        waiting = [start(workspace, "frames") for _ in range(2)]
        for stage in waiting:
            assert stage.stderr
            assert stage.stderr.readline() == "frames: waiting for another process that runs this stage here\n"
        assert not (workspace.folder / "data/frames").exists()
    printed = sorted(stage.communicate()[0].splitlines()[0] for stage in waiting)
    assert printed == ["frames: 2 clips, 0 computed, 2 reused, 0 refused", "frames: 2 clips, 2 computed, 0 reused, 0 refused"]


def test_a_file_that_ends_the_process_that_reads_it_costs_its_own_clip(workspace: Workspace) -> None:
    """A sound of so many zeros that there is time to kill whoever reads them."""
    deadly = workspace.folder / "films/deadly.wav"
    with wave.open(str(deadly), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    os.truncate(deadly, 1 << 36)
    with (workspace.folder / "films/clips.csv").open("a", encoding="utf-8") as table:
        table.write("deadly,deadly.wav,0\n")
    done = threading.Event()
    killer = threading.Thread(target=kill_readers, args=(deadly, done))
    killer.start()
    workspace.stages("manifest")
    done.set()
    killer.join()
    (refused,) = refusals.read(workspace.folder / "data/manifest/refused.csv")
    assert (refused.clip_id, refused.code) == ("deadly", Code.WORKER_DIED)
    assert len((workspace.folder / "data/manifest/media.csv").read_text().splitlines()) == 3


def kill_readers(path: Path, done: threading.Event) -> None:
    while not done.wait(0.05):
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            try:
                if link.readlink() == path:
                    os.kill(int(link.parts[2]), 9)
            except OSError:  # gone meanwhile, or another's
                continue
