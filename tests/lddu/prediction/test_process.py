"""The Python API leaves the process of the program that uses it as it found it, and one file costs no other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lddu import load
from lddu.prediction import command
from lddu.prediction.inference import Prediction, Predictor
from lddu.predictor import FOLDER
from tests.conftest import ROOT, Workspace

# What belongs to a process and not to a library in it, before and after predictions; printed where it differs.
PROGRAM = """
import json, os, random, resource, signal, sys, threading, warnings, logging
import cv2, numpy, torch
import torch._dynamo.package  # torch's compiler, which puts the folder of its cache into the environment
from transformers.utils import logging as transformers_logging
import lddu

def state():
    return {
        "torch threads": torch.get_num_threads(), "torch inter-op threads": torch.get_num_interop_threads(),
        "torch random": hash(torch.get_rng_state().numpy().tobytes()), "torch gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(), "tf32": torch.backends.cudnn.allow_tf32,
        "default type": str(torch.get_default_dtype()),
        "random": hash(random.getstate()), "numpy random": hash(numpy.random.get_state()[1].tobytes()),
        "OpenCV threads": cv2.getNumThreads(),
        "limits": [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")],
        **{f"environment: {name}": value for name, value in os.environ.items()}, "folder": os.getcwd(), "umask": mask(),
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)],
        "streams": [str(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "files": [os.readlink(f"/proc/self/fd/{number}") for number in (0, 1, 2)],
        "transformers": [transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()],
        "log": [logging.getLogger().level, len(logging.getLogger().handlers)],
        "print": str(numpy.get_printoptions()), "errors": str(numpy.geterr()), "recursion": sys.getrecursionlimit(),
    }

def mask():
    value = os.umask(0)
    os.umask(value)
    return value

torch.set_num_threads(2)
cv2.setNumThreads(2)
before = state()
predictor = lddu.load(sys.argv[1], device="cpu")
loaded = state()
film = predictor.predict(sys.argv[2])
wave = predictor.predict_arrays(0.1 * numpy.random.default_rng(1).standard_normal(16000), text="I am so glad")
text = predictor.predict_text("I am so glad")
after = state()
assert film[0].modalities and wave[0].modalities and text.modalities
changed = [
    {key: f"{before.get(key)} became {x.get(key)}" for key in {**before, **x} if before.get(key) != x.get(key)}
    for x in (loaded, after)
]
print(json.dumps(changed))
"""


def film_of(run: Workspace) -> Path:
    return next(path for path in sorted((run.folder / "data/sample").rglob("*")) if path.suffix in (".mp4", ".mkv", ".webm"))


@pytest.mark.slow
def test_predictions_change_nothing_of_the_callers_process(sample_run: Workspace, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, sample_run.folder / FOLDER, film_of(sample_run)],
        cwd=tmp_path,  # the checkout has a copy of the code
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded, predicted = json.loads(done.stdout.splitlines()[-1])
    assert loaded == {}
    assert predicted == {}


def test_a_file_of_many_lines_holds_no_file_open(sample_run: Workspace, tmp_path: Path) -> None:
    predictor = load(sample_run.folder / FOLDER, device="cpu")
    notes = tmp_path / "notes.txt"
    notes.write_text("".join(f"This is line {number}\n" for number in range(40)), encoding="utf-8")
    predictor.predict_text("The first text loads the networks")
    before = len(list(Path("/proc/self/fd").iterdir()))
    counts = {len(list(Path("/proc/self/fd").iterdir())) for _ in predictor.follow(notes)}
    assert counts == {before}
    for number in range(40):
        predictor.predict_text(f"This is text {number}")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_error_that_nobody_foresaw_costs_its_file_alone(
    sample_run: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["first.txt", "second.txt", "third.txt"]
    for name in names:
        (tmp_path / name).write_text(f"The {name}\n", encoding="utf-8")
    decide, calls = Predictor._decide, iter(range(3))

    def fails_once(self: Predictor, *arrays: dict) -> list[Prediction]:
        if next(calls) == 1:
            raise ZeroDivisionError("division by zero")
        return decide(self, *arrays)

    monkeypatch.setattr(Predictor, "_decide", fails_once)
    monkeypatch.chdir(tmp_path)
    options = command.parser().parse_args(["--json", "--model", str(sample_run.folder / FOLDER), *names])
    assert command.run(options) == command.FAILED
    printed = capsys.readouterr()
    recordings = json.loads(printed.out)["recordings"]
    assert [len(recording["utterances"]) for recording in recordings] == [1, 0, 1]
    assert recordings[1]["error"] == "second.txt: an error that nobody foresaw: ZeroDivisionError: division by zero"
    assert recordings[1]["error"] in printed.err


def test_a_reader_that_ends_early_gets_no_traceback(sample_run: Workspace, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("I am so glad\n" * 20, encoding="utf-8")
    command_line = f"{sys.executable} -m lddu predict --model {sample_run.folder / FOLDER} notes.txt | true"
    done = subprocess.run(
        command_line,
        shell=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [line for line in done.stderr.splitlines() if "trained on the corpus" not in line] == []
