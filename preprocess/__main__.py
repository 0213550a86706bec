"""`python -m preprocess STAGE`: run one stage on the corpus that params.yaml names. `store` instead of STAGE looks after the
store of finished work, `pack` writes the tensors for other models, `audit` looks for faults in the corpus."""

import argparse
import errno
import importlib
import sys

import params
import pipeline
import process
from params import ParameterError
from preprocess.corpus import CorpusError
from preprocess.downloads.problem import ModelError
from preprocess.media.probe import MediaError, MediumGoneError
from preprocess.packs import command
from preprocess.packs.problem import PackError
from preprocess.refusals import TooManyError
from preprocess.run import work
from preprocess.run.work import WorkerDiedError
from preprocess.store import inventory

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

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk, the quota, or the largest file size is reached
FAILURES = (ParameterError, CorpusError, MediaError, MediumGoneError, ModelError, PackError, TooManyError, WorkerDiedError)


def main() -> None:
    process.configure_libraries()
    parser = argparse.ArgumentParser(prog="python -m preprocess", description=__doc__)
    others = ["pack", "store", "audit"]
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE", help=", ".join([*STAGES, *others]))
    for name in STAGES:
        stages.add_parser(name)
    stages.choices["features"].add_argument("name", metavar="NAME", help="of a file under `features` in params.yaml")
    stages.add_parser("store", description=inventory.__doc__).add_argument("command", choices=inventory.COMMANDS)
    raw = argparse.RawDescriptionHelpFormatter
    command.add_arguments(stages.add_parser("pack", description=command.__doc__, formatter_class=raw))
    stages.add_parser("audit", description="Look for faults in the corpus, and propose what to do.")
    arguments = parser.parse_args()
    stage = arguments.stage
    process.end_with_parent()
    try:
        if stage == "store":
            return inventory.main(arguments.command)
        if stage == "pack":
            return command.main(arguments)
        if stage == "audit":
            return importlib.import_module("preprocess.audit.audit").main()
        settings = params.load()
        module = importlib.import_module(f"preprocess.stages.{stage}")
        module.main(arguments.name) if stage == "features" else module.main()
        pipeline.require_unchanged(settings, f"features@{arguments.name}" if stage == "features" else stage)
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


if __name__ == "__main__":
    main()
