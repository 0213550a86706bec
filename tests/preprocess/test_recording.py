"""A recording costs nothing but itself: no open file stays behind, no setting of the caller's process changes."""

import json
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from transformers.utils import logging

import params
from contract import MODALITIES
from preprocess import recording
from preprocess.clips import Task
from preprocess.downloads.problem import ModelError
from preprocess.encoders.speakers import Usual
from preprocess.media import decoder, header, probe
from preprocess.media.probe import Reading, Streams
from preprocess.recording import RecordingError, Tools
from preprocess.refusals import Code
from preprocess.store import shards
from tests.conftest import ROOT

FILM = ["-f", "lavfi", "-i", "testsrc=s=320x240:r=10:d=1", "-f", "lavfi", "-i", "sine=d=1:r=16000", "-c:v", "mpeg4"]


@pytest.fixture(scope="module")
def tools(models: Path) -> Tools:
    return Tools(params.load(ROOT / "params.yaml"), lambda role: models / role, MODALITIES, lambda: "cpu")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a test picture and a tone: no face, no speech."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    subprocess.run([decoder.ffmpeg_path("bundled"), "-loglevel", "error", *FILM, path], check=True)
    return path


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_texts_one_after_the_other_hold_no_file_open(tools: Tools) -> None:
    recording.of_text("the first one loads the networks", tools)
    before, archives = open_files(), set(shards._open)
    for number in range(30):
        assert "text" in recording.of_text(f"this is text number {number}", tools).rows
    assert open_files() == before
    assert set(shards._open) == archives


def test_a_new_recording_is_measured_by_what_is_usual_for_the_training_split(tools: Tools) -> None:
    plain = recording.of_text("I am glad", tools).rows["text"]
    usual = {"text": Usual(np.full(384, 0.5), np.full(384, 2.0)), "audio": Usual(np.zeros(1), np.ones(1))}
    found = recording.of_text("I am glad", replace(tools, usual=usual)).rows["text"]
    assert plain.states.shape == (3, 384)
    assert found.states == pytest.approx((plain.states - 0.5) / 2, abs=1e-5)


def test_a_recording_that_is_left_in_the_middle_holds_no_file_open(tools: Tools, tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("one\ntwo\nthree\n", encoding="utf-8")
    recording.of_text("the first one loads the networks", tools)
    before = open_files()
    utterances = recording.of_file(lines, tools)
    next(utterances)
    utterances.close()
    assert open_files() == before


def settings() -> dict[str, object]:
    """What belongs to the process, and therefore to the program that calls the API."""
    return {
        "torch threads": torch.get_num_threads(),
        "torch gradients": torch.is_grad_enabled(),
        "torch tf32": torch.backends.cudnn.allow_tf32,
        "OpenCV threads": cv2.getNumThreads(),
        "limits": [resource.getrlimit(kind) for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)],
        "environment": dict(os.environ),
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "transformers' messages": (logging.get_verbosity(), logging.is_progress_bar_enabled()),
        "folder": Path.cwd(),
    }


@contextmanager
def limits_watched() -> Iterator[set[tuple[int, int]]]:
    """Every limit of memory that another thread of this process meets meanwhile."""
    limits: set[tuple[int, int]] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            limits.add(resource.getrlimit(resource.RLIMIT_AS))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield limits
    finally:
        done.set()
        thread.join()


def test_a_recording_changes_nothing_of_the_process_that_asks_for_it(tools: Tools, film: Path) -> None:
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    before = settings()
    try:
        with limits_watched() as limits:
            (utterance,) = recording.of_file(film, tools, text="hello there")
        assert "audio" in utterance.rows
        assert settings() == before
        assert limits == {resource.getrlimit(resource.RLIMIT_AS)}
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


def test_a_header_is_the_same_in_a_process_of_its_own(film: Path) -> None:
    streams = replace(probe.streams_of(film), reading=Reading(track=1, gaps=((0.5, 2.0),)), notes=(("clock_gap", "a gap"),))
    assert header.streams_of(film) == probe.streams_of(film)
    assert Streams.from_json(json.loads(json.dumps(asdict(streams)))) == streams


def test_a_file_that_another_one_replaces_meanwhile_is_not_read_without_a_limit(
    tools: Tools, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header of the one was read in a process of limited memory, that of the other was not."""
    source, other = tmp_path / "film.mkv", tmp_path / "other.mkv"
    source.write_bytes(film.read_bytes())
    other.write_bytes(film.read_bytes())
    streams_of = header.streams_of

    def replaced(path: Path) -> Streams:
        streams = streams_of(path)
        other.replace(path)
        return streams

    monkeypatch.setattr(header, "streams_of", replaced)
    with pytest.raises(RecordingError, match=r"film\.mkv: it was changed while it was read"):
        list(recording.of_file(source, tools))


def test_an_error_that_nobody_foresaw_costs_the_stage_alone(tmp_path: Path) -> None:
    def fail(task: Task, folder: Path) -> None:
        raise ZeroDivisionError("division by zero")

    clip = recording.Clip("film.mkv", tmp_path)
    clip.run("faces", fail, {}, tmp_path)
    (refused,) = clip.refused
    assert (refused.clip_id, refused.stage, refused.code) == ("film.mkv", "faces", Code.FAILED)
    assert refused.detail == "ZeroDivisionError: division by zero"
    assert not clip.has("faces")


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), OSError(28, "No space left on device")])
def test_an_error_outside_the_stages_names_the_file_that_it_costs(tools: Tools, film: Path, error: Exception) -> None:
    def network(role: str) -> Path:
        raise error

    with pytest.raises(RecordingError, match=r"film\.mkv: .*(out of memory|No space left)"):
        list(recording.of_file(film, replace(tools, network=network)))


def test_a_network_that_cannot_be_had_is_the_fault_of_no_file(tools: Tools, film: Path) -> None:
    def network(role: str) -> Path:
        raise ModelError(f"models.{role}.source: cannot be had")

    with pytest.raises(ModelError):
        list(recording.of_file(film, replace(tools, network=network)))


def test_a_file_that_is_no_medium_is_named(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_bytes(b"no film at all")
    with pytest.raises(RecordingError, match=r"notes\.mp4: no film or sound that can be read"):
        list(recording.of_file(tmp_path / "notes.mp4", tools))
