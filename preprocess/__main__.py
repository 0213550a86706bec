"""`python -m preprocess STAGE`: run one stage on the corpus that params.yaml names."""

import argparse
import importlib
import sys

from params import ParameterError
from preprocess.corpus import CorpusError
from preprocess.media import MediaError
from preprocess.models import ModelError
from preprocess.refusals import TooManyError

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
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m preprocess", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    stage = parser.parse_args().stage
    try:
        importlib.import_module(f"preprocess.{stage}").main()
    except (ParameterError, CorpusError, MediaError, ModelError, TooManyError) as error:
        sys.exit(f"{stage}: {error}")


if __name__ == "__main__":
    main()
