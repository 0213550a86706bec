"""`python -m lddu STAGE`: run one stage on the tensors that params.yaml names; `predict` and `export` use what it learned."""

import argparse
import importlib
import sys
from pathlib import Path

import params
import pipeline
import process

STAGES = ("train", "evaluate", "predictor", "report")


def main() -> None:
    process.wait_passively()
    if sys.argv[1:2] == ["predict"]:
        from lddu.prediction.command import main as predict

        predict(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="lddu", description=__doc__)
    commands = parser.add_subparsers(dest="stage", required=True, metavar="COMMAND")
    for name in STAGES:
        commands.add_parser(name, help="a stage of the pipeline")
    commands.add_parser("predict", help="emotions of new films, sounds and texts; see `lddu predict --help`", add_help=False)
    export = commands.add_parser("export", help="copy a predictor's folder, with the pretrained networks that it needs")
    export.add_argument("target", type=Path, metavar="FOLDER", help="where to; it may then be copied to another machine")
    export.add_argument("--model", type=Path, default=Path("data/predictor"), metavar="FOLDER", help="what is copied")
    asked = parser.parse_args()
    if asked.stage == "export":
        from lddu.prediction.command import copy

        copy(asked.model, asked.target)
    elif asked.stage == "predictor":
        gather()
    else:
        run(asked.stage)


def run(stage: str) -> None:
    # Torch takes seconds to import, and a wrong parameter should be told at once.
    try:
        settings = params.load()
    except params.ParameterError as error:
        sys.exit(f"{stage}: {error}")
    process.end_with_parent()
    from lddu.checkpoint import CheckpointError
    from lddu.device import DeviceError
    from lddu.predictions import PredictionsError
    from lddu.processes import ProcessError
    from lddu.tensors import TensorError
    from lddu.train import TrainingError
    from lddu.weights import WeightsError

    try:
        getattr(importlib.import_module(f"lddu.{stage}"), stage)(settings)
        pipeline.require_unchanged(settings, stage)
    except params.ParameterError as error:
        sys.exit(f"{stage}: {error}")
    except (CheckpointError, DeviceError, PredictionsError, ProcessError, TensorError, TrainingError, WeightsError) as error:
        sys.exit(f"{stage}: {error}")
    except KeyboardInterrupt:
        print(f"{stage}: stopped; run again to go on from where it was", file=sys.stderr)
        sys.exit(130)


def gather() -> None:
    """The stage predictor, for which torch need not be imported."""
    from lddu.predictor import PredictorError, predictor

    try:
        settings = params.load()
        predictor(settings)
        pipeline.require_unchanged(settings, "predictor")
    except (params.ParameterError, PredictorError) as error:
        sys.exit(f"predictor: {error}")


if __name__ == "__main__":
    main()
