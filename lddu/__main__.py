"""`python -m lddu STAGE`: run a stage on the tensors that params.yaml names; others use the trained network."""

import argparse
import importlib
import sys
from pathlib import Path

import params
import pipeline
import process

STAGES = ("train", "evaluate", "predictor", "report")


def main() -> None:
    process.configure_libraries()
    if sys.argv[1:2] == ["predict"]:  # its options are its own
        from lddu.prediction import command

        command.main(sys.argv[2:])
    if sys.argv[1:2] == ["write"]:
        from lddu.prediction import finished

        finished.main(sys.argv[2:])
    arguments = parser().parse_args()
    if arguments.command == "export":
        from lddu.prediction import command

        command.copy(arguments.model, arguments.target)
    else:
        run(arguments.command)


def parser() -> argparse.ArgumentParser:
    main_parser = argparse.ArgumentParser(prog="lddu", description=__doc__)
    commands = main_parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in STAGES:
        commands.add_parser(name, help="a stage of the pipeline")
    commands.add_parser("predict", help="emotions of new films, sounds and texts; see `lddu predict --help`", add_help=False)
    commands.add_parser(
        "write", help="the pipeline's predictions as files for other programs; see `lddu write --help`", add_help=False
    )
    export = commands.add_parser("export", help="copy a predictor's folder, with the pretrained networks that it needs")
    export.add_argument("target", type=Path, metavar="FOLDER", help="where to; it may then be copied to another machine")
    export.add_argument("--model", type=Path, default=Path("data/predictor"), metavar="FOLDER", help="what is copied")
    return main_parser


def run(stage: str) -> None:
    try:
        settings = params.load()
    except params.ParameterError as error:  # reported before torch is imported, which takes seconds
        sys.exit(f"{stage}: {error}")
    process.end_with_parent()
    try:
        getattr(importlib.import_module(f"lddu.{stage}"), stage)(settings)
        pipeline.require_unchanged(settings, stage)
    except KeyboardInterrupt:
        print(f"{stage}: stopped; run again to go on from where it was", file=sys.stderr)
        sys.exit(130)
    except refusals() as error:  # called, and its modules imported, only when something is raised
        sys.exit(f"{stage}: {error}")


def refusals() -> tuple[type[Exception], ...]:
    """What a stage raises for a person to mend: its message says it all, and a traceback would hide it."""
    from lddu.checkpoint import CheckpointError
    from lddu.decisions import DecisionsError
    from lddu.device import DeviceError
    from lddu.predictor import PredictorError
    from lddu.processes import ProcessError
    from lddu.tensors import TensorError
    from lddu.trackers import TrackerError
    from lddu.train import TrainingError
    from lddu.weights import WeightsError

    of_network = (CheckpointError, DeviceError, ProcessError, TensorError, TrackerError, TrainingError, WeightsError)
    return (params.ParameterError, DecisionsError, PredictorError, *of_network)


if __name__ == "__main__":
    main()
