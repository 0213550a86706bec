"""Parameters that are edited while a stage runs never end up beside an output of other values."""

import csv
import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

import params
import pipeline
from params import ParameterError
from preset import apply
from tests.conftest import ROOT, Workspace, checkout, set_params

STAGES = {
    f"{name}@mosei_aligned" if "do" in stage else name: stage.get("do", stage)["params"]
    for path in pipeline.FILES
    for name, stage in yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))["stages"].items()
}


@pytest.fixture
def small(tmp_path: Path) -> Workspace:
    """A checkout with a corpus of six sounds by three speakers."""
    (tmp_path / "films").mkdir()
    rows = ["clip_id,media,text,split,speaker,happy"]
    for number in range(6):
        with wave.open(str(tmp_path / f"films/{number}.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(16000))
        rows.append(f"clip{number},{number}.wav,hello,train,speaker{number % 3},1")
    (tmp_path / "films/clips.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return checkout(tmp_path, **{"corpus.root": "films", "corpus.labels": ["happy"]})


def edited_meanwhile(workspace: Workspace, stage: str, **values: object) -> tuple[int, str]:
    """Status and output of `dvc repro` of a stage, whose parameters are edited when it has read them.

    The stage waits for the lock on its output, which is held here until they are edited.
    """
    (workspace.folder / "logs").mkdir(exist_ok=True)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = ["dvc", "repro", stage]
    with FileLock(workspace.folder / f"logs/{stage}.lock"):
        running = subprocess.Popen(
            command, cwd=workspace.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert running.stdout
        printed = ""
        while "waiting for another process" not in printed:
            line = running.stdout.readline()
            assert line, printed
            printed += line
        workspace.set(**values)
    return running.wait(), printed + running.stdout.read()


def splits(workspace: Workspace) -> list[str]:
    with (workspace.folder / "data/manifest/labels.csv").open(encoding="utf-8") as file:
        return [row["split"] for row in csv.DictReader(file)]


@pytest.mark.slow
def test_a_parameter_of_the_stage_that_is_edited_while_it_runs_stops_it_and_spoils_no_cache(small: Workspace) -> None:
    status, printed = edited_meanwhile(small, "manifest", **{"corpus.folds": 3})
    assert status != 0
    assert "manifest: corpus changed in params.yaml while the stage ran" in printed
    small.program("dvc", "repro", "manifest")
    assert set(splits(small)) == {"train", "valid", "test"}
    small.set(**{"corpus.folds": 0})
    small.program("dvc", "repro", "manifest")
    assert set(splits(small)) == {"train"}
    small.set(**{"corpus.folds": 3})
    small.program("dvc", "repro", "manifest")  # from DVC's cache of runs
    assert set(splits(small)) == {"train", "valid", "test"}


def test_a_parameter_of_another_stage_may_be_edited_meanwhile(small: Workspace) -> None:
    assert edited_meanwhile(small, "manifest", **{"train.lr": 0.1})[0] == 0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the repository's parameters and pipelines."""
    for path in (params.PATH, *pipeline.FILES):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path / params.PATH


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_watches_the_parameters_that_dvc_notes_for_it(here: Path, stage: str) -> None:
    apply(ROOT / "presets/mosei_features.yaml", here)
    settings = params.load()
    pipeline.require_unchanged(settings, stage)
    assert len(pipeline.keys_of(stage)) == len(STAGES[stage])
    for key in pipeline.keys_of(stage):
        original = here.read_bytes()
        set_params(here, **{key: "edited"})
        with pytest.raises(ParameterError, match=rf"^{key.replace('.', '[.]')}.* changed in params.yaml while the stage ran"):
            pipeline.require_unchanged(settings, stage)
        here.write_bytes(original)


@pytest.mark.parametrize("content", [None, "train: [", "train:\n"])
def test_parameters_that_are_gone_or_half_written_stop_the_stage_too(here: Path, content: str | None) -> None:
    settings = params.load()
    here.unlink() if content is None else here.write_text(content, encoding="utf-8")
    with pytest.raises(ParameterError, match=r"params\.yaml"):
        pipeline.require_unchanged(settings, "train")
