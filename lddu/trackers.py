"""Curves that are seen while the network learns: TensorBoard, MLflow and DVCLive, through accelerate's trackers.

`run.trackers` names them. Their files lie in data/live/<tracker>/<network>, which is no output of a stage, since they hold
times of day. DVC's editor extension draws DVCLive's, which git does not ignore. MLflow writes where MLFLOW_TRACKING_URI says,
if it is set. A network that goes on from a checkpoint shows its first epochs too.
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from accelerate.tracking import DVCLiveTracker, GeneralTracker, MLflowTracker, TensorBoardTracker

FOLDER = Path("data/live")
FIRST = "lddu"  # the folder of the first network, which has no name of its own
PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "dvclive": "dvclive"}


class TrackerError(ValueError):
    """A tracker that params.yaml names cannot be used."""


def require(names: Sequence[str]) -> None:
    """TrackerError, before any work, where a tracker's package is not installed."""
    missing = [PACKAGES[name] for name in names if importlib.util.find_spec(PACKAGES[name]) is None]
    if missing:
        raise TrackerError(
            f"run.trackers: {', '.join(missing)} is not installed: pip install -c constraints.txt {' '.join(missing)}, "
            "or name no such tracker"
        )


class Trackers:
    """Those of one network; they are closed where the `with` ends."""

    def __init__(self, names: Sequence[str], network: str) -> None:
        self._trackers = [_start(name, network or FIRST) for name in names]

    def __enter__(self) -> "Trackers":
        return self

    def __exit__(self, *_: object) -> None:
        for tracker in self._trackers:
            self._attempt(tracker, tracker.finish)

    def log(self, row: dict[str, float]) -> None:
        """An epoch's row of the curves."""
        values = {name.replace("_", "/", 1): float(value) for name, value in row.items() if name != "epoch"}
        for tracker in list(self._trackers):
            self._attempt(tracker, partial(tracker.log, values, step=int(row["epoch"])))

    def _attempt(self, tracker: GeneralTracker, action: Callable[[], object]) -> None:
        """A tracker that fails, as one whose server is gone, is left out from then on: the training is worth more."""
        try:
            action()
        except Exception as error:
            print(f"run.trackers: {tracker.name} is left out: {type(error).__name__}: {error}", file=sys.stderr)
            self._trackers = [other for other in self._trackers if other is not tracker]


def _start(name: str, network: str) -> GeneralTracker:
    """A tracker that begins anew: what an earlier training left in its folder is deleted."""
    folder = FOLDER / name / network
    tracker: GeneralTracker
    if name == "mlflow":
        if "MLFLOW_TRACKING_URI" not in os.environ:
            FOLDER.mkdir(parents=True, exist_ok=True)
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{(FOLDER / 'mlflow.db').resolve()}"
        tracker = MLflowTracker(experiment_name=FIRST, logging_dir=str((FOLDER / name).resolve()), run_name=network)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if name == "tensorboard":
            tracker = TensorBoardTracker(run_name=network, logging_dir=folder.parent)
        else:
            tracker = DVCLiveTracker(dir=str(folder), save_dvc_exp=False, report=None, dvcyaml=str(folder / "dvc.yaml"))
    tracker.start()
    return tracker
