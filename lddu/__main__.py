"""`python -m lddu STAGE`: run one stage on the tensors that params.yaml names."""

import os

# Threads that wait for each other without giving way make training six times slower beside any other busy program.
# OpenMP reads this once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import importlib
import sys

import params

STAGES = ("train", "evaluate", "report")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lddu", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    stage = parser.parse_args().stage
    # Torch takes seconds to import, and a wrong parameter should be told at once.
    try:
        settings = params.load()
    except params.ParameterError as error:
        sys.exit(f"{stage}: {error}")
    from lddu.checkpoint import CheckpointError
    from lddu.device import DeviceError
    from lddu.predictions import PredictionsError
    from lddu.processes import ProcessError
    from lddu.tensors import TensorError
    from lddu.train import TrainingError
    from lddu.weights import WeightsError

    try:
        getattr(importlib.import_module(f"lddu.{stage}"), stage)(settings)
    except (CheckpointError, DeviceError, PredictionsError, ProcessError, TensorError, TrainingError, WeightsError) as error:
        sys.exit(f"{stage}: {error}")


if __name__ == "__main__":
    main()
