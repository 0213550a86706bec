"""`python -m preprocess STAGE`: run one stage on the corpus that params.yaml names. Instead of STAGE, `store` looks after the
store of finished work, `status` shows how far the stages are, `plan` what a run would cost, `audit` looks for faults in the
corpus, and `pack` writes the tensors for other models."""

import argparse
import errno
import importlib
import sys
from collections.abc import Callable

import params
import pipeline
import process
from params import ParameterError
from preprocess.corpus import CorpusError
from preprocess.downloads.problem import ModelError
from preprocess.media.probe import MediaError, MediumGoneError
from preprocess.overview import plan, status
from preprocess.overview.foreseen import BY_CLIP
from preprocess.packs import command as packing
from preprocess.packs.problem import PackError
from preprocess.refusals import TooManyError
from preprocess.run import share, work
from preprocess.run.engine import EngineError, WorkerDiedError
from preprocess.run.inputs import Inputs
from preprocess.run.share import Share, ShareError
from preprocess.store import inventory
from preprocess.store.entries import StoreError

STAGES = (
    "models",
    "manifest",
    "frames",
    "audio",
    "faces",
    "transcripts",
    "tune_text",
    "encode_text",
    "encode_audio",
    "encode_vision",
    "align",
    "features",
)

SAMPLE = 20  # clips that `plan --sample` times
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, the quota, or the largest file size is reached
FAILURES = (
    ParameterError,
    CorpusError,
    MediaError,
    MediumGoneError,
    ModelError,
    PackError,
    TooManyError,
    EngineError,
    WorkerDiedError,
    StoreError,
    ShareError,
)


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "store": lambda arguments: inventory.main(arguments.command),
    "pack": packing.main,
    "status": lambda arguments: status.main(),
    "plan": lambda arguments: plan.main(arguments.sample),
    "audit": lambda arguments: importlib.import_module("preprocess.audit.audit").main(),
}


def main() -> None:
    process.configure_libraries()
    arguments = parser().parse_args()
    stage = arguments.stage
    process.end_with_parent()
    try:
        run(arguments)
    except FAILURES as error:
        work.stop()
        sys.exit(f"{stage}: {error}")
    except OSError as error:
        work.stop()
        if error.errno not in FULL:
            raise
        where = f"{error.filename or 'unnamed file'}: {error.strerror}"
        sys.exit(f"{stage}: the disk is full ({where}); finished clips are kept, free some and run again")
    except KeyboardInterrupt:
        work.stop()
        print(f"{stage}: stopped; finished clips are kept, run again to go on", file=sys.stderr)
        sys.exit(130)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m preprocess", description=__doc__)
    stages = made.add_subparsers(dest="stage", required=True, metavar="STAGE", help=", ".join([*STAGES, *COMMANDS]))
    for name in STAGES:
        stages.add_parser(name)
    for name in BY_CLIP:
        how = stages.choices[name].add_mutually_exclusive_group()
        how.add_argument("--share", type=_share, metavar="K/N", help=share.__doc__)
        how.add_argument("--note-machine", action="store_true", help=share.note_machine.__doc__)
    stages.choices["features"].add_argument("name", metavar="NAME", help="of a file under `features` in params.yaml")
    stages.add_parser("store", description=inventory.__doc__).add_argument("command", choices=inventory.COMMANDS)
    raw = argparse.RawDescriptionHelpFormatter
    packing.add_arguments(stages.add_parser("pack", description=packing.__doc__, formatter_class=raw))
    stages.add_parser("status", description=status.__doc__)
    stages.add_parser("audit", description="Look for faults in the corpus, and propose what to do.")
    planning = stages.add_parser("plan", description=plan.__doc__)
    planning.add_argument(
        "--sample", type=_count, nargs="?", const=SAMPLE, default=0, metavar="CLIPS", help="time some clips first"
    )
    return made


def _share(text: str) -> Share:
    try:
        return share.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: a number of clips from 1 to 1000 is expected")
    return int(text)


def run(arguments: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    stage = arguments.stage
    if stage in COMMANDS:
        COMMANDS[stage](arguments)
        return
    settings = params.load()
    module = importlib.import_module(f"preprocess.stages.{stage}")
    if getattr(arguments, "share", None):
        share.fill(module.job(settings, Inputs()), settings.run, arguments.share)
        return
    if getattr(arguments, "note_machine", False):
        share.note_machine(module.job(settings, Inputs()), settings.run)
        return
    module.main(arguments.name) if stage == "features" else module.main()
    pipeline.require_unchanged(settings, f"features@{arguments.name}" if stage == "features" else stage)


if __name__ == "__main__":
    main()
