"""What is written as a pack and read by the stage features trains and scores as the tensors that it was made of."""

import argparse
import json
import shutil
from pathlib import Path

import pytest

import params
from lddu import evaluate
from lddu import train as stage
from preprocess.packs import command, passport
from preprocess.stages import features
from tests.lddu import small_corpus
from tests.lddu.conftest import Parameters
from tests.lddu.test_released import leaves

READ = Path("data/features/packed")


def results(settings: params.Params) -> dict[str, object]:
    """All scores, of the splits together."""
    for folder in ("data/model", "data/training", "metrics"):
        shutil.rmtree(folder, ignore_errors=True)
    stage.train(settings)
    evaluate.evaluate(settings)
    return leaves(
        {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path("metrics").glob("*.json"))}, ""
    )


@pytest.mark.slow
def test_a_pack_that_is_read_again_gives_the_same_metrics(parameters: Parameters) -> None:
    settings = parameters(epochs=2)
    passport.write(Path("data/tensors"), settings, small_corpus.DIMS)
    options = argparse.Namespace(form="lddu", rows=0, sentiment="")
    command.pack(options, settings, Path("data/tensors"), Path("pack"))
    source = {"source": "pack/features.pkl", "labels": "pack/clips.csv", "tokens": small_corpus.LABELS}
    features.convert(params.Features.model_validate(source), small_corpus.LABELS, READ)
    of_tensors = results(settings)
    of_pack = results(settings.model_copy(update={"tensors": str(READ)}))
    assert len(of_tensors) > 300
    assert of_pack == pytest.approx(of_tensors, abs=2e-6)  # clips are padded to other lengths, and scores have six digits
