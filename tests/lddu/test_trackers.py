"""Curves are written for TensorBoard and DVCLive as they come, and read back by their own libraries."""

import csv
import json
from pathlib import Path

import pytest
from accelerate import Accelerator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lddu import trackers
from lddu import train as stage
from tests.lddu.conftest import Parameters


def with_trackers(parameters: Parameters, names: list[str]):
    made = parameters(epochs=2)
    return made.model_copy(update={"run": made.run.model_copy(update={"trackers": names})})


def test_every_epoch_is_in_the_files_of_every_tracker(parameters: Parameters) -> None:
    stage.train(with_trackers(parameters, ["tensorboard", "dvclive"]))
    with Path("data/training/curves.csv").open(newline="") as file:
        losses = [float(row["valid_bce"]) for row in csv.DictReader(file)]
    events = EventAccumulator("data/live/tensorboard/lddu").Reload()
    assert [event.step for event in events.Scalars("valid/bce")] == [1, 2]
    assert [event.value for event in events.Scalars("valid/bce")] == pytest.approx(losses, abs=1e-5)
    live = Path("data/live/dvclive/lddu")
    with (live / "plots/metrics/valid/bce.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert [float(row["bce"]) for row in rows] == pytest.approx(losses, abs=1e-5)
    assert json.loads((live / "metrics.json").read_text())["valid"]["bce"] == pytest.approx(losses[-1], abs=1e-5)
    assert "plots/metrics" in (live / "dvc.yaml").read_text()
    assert not Path("dvc.yaml").exists()


def test_a_tracker_that_is_not_installed_is_named_before_any_work(
    parameters: Parameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(trackers.PACKAGES, "mlflow", "no_such_package")
    with pytest.raises(trackers.TrackerError, match=r"no_such_package is not installed: pip install -c constraints\.txt"):
        stage.train(with_trackers(parameters, ["mlflow"]))


def test_a_tracker_that_fails_costs_nothing_else(parameters: Parameters, capfd: pytest.CaptureFixture[str]) -> None:
    Accelerator(cpu=True)
    with trackers.Trackers(["tensorboard", "dvclive"], "") as live:
        broken, whole = live._trackers
        broken.writer.close()
        broken.writer = None  # as of a disk that is gone
        live.log({"epoch": 1, "valid_bce": 0.5})
        assert live._trackers == [whole]
    assert "run.trackers: tensorboard is left out" in capfd.readouterr().err
    assert Path("data/live/dvclive/lddu/plots/metrics/valid/bce.tsv").is_file()
