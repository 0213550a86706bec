"""`python -m robustness STAGE`: how well the trained network does on corrupted clips.

corrupt   send clips whose raw sound, pictures or words are corrupted through every stage again
score     score the network and what it is compared with on them
"""

import argparse
import importlib
import sys

import params
import pipeline
import process

STAGES = ("corrupt", "score")


def main() -> None:
    process.configure_libraries()
    parser = argparse.ArgumentParser(prog="python -m robustness", description=__doc__)
    parser.add_argument("stage", choices=STAGES, metavar="STAGE", help=", ".join(STAGES))
    stage = parser.parse_args().stage
    process.end_with_parent()
    from preprocess.run import work

    try:
        settings = params.load()
        importlib.import_module(f"robustness.{stage}").main()
        pipeline.require_unchanged(settings, stage)
    except failures() as error:
        work.stop()
        sys.exit(f"{stage}: {error}")
    except KeyboardInterrupt:
        work.stop()
        print(f"{stage}: stopped; finished cases are kept, run again to go on", file=sys.stderr)
        sys.exit(130)


def failures() -> tuple[type[Exception], ...]:
    """What a stage raises for a person to mend: its message says it all. Imported only when something is raised."""
    from lddu.tensors import TensorError
    from lddu.weights import WeightsError
    from preprocess.media.probe import MediaError, MediumGoneError
    from preprocess.refusals import TooManyError
    from preprocess.run.engine import EngineError, WorkerDiedError
    from robustness.cases import CasesError

    return (
        params.ParameterError,
        CasesError,
        MediaError,
        MediumGoneError,
        TooManyError,
        EngineError,
        WorkerDiedError,
        TensorError,
        WeightsError,
    )


if __name__ == "__main__":
    main()
