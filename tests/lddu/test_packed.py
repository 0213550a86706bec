"""What is written as a pack and read by the stage features trains and scores as the tensors that it was made of."""

import argparse
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import params
from lddu import evaluate
from lddu import train as stage
from preprocess.packs import command, passport
from preprocess.stages import features
from tests.lddu import small_corpus
from tests.lddu.conftest import Parameters

READ = Path("data/features/packed")
STATISTICS = "statistics.safetensors"


def results(settings: params.Params) -> dict[str, bytes]:
    for folder in ("data/model", "data/training", "metrics"):
        shutil.rmtree(folder, ignore_errors=True)
    stage.train(settings)
    evaluate.evaluate(settings)
    return {path: Path(path).read_bytes() for path in ("metrics/train.json", "metrics/valid.json", "metrics/test.json")}


@pytest.mark.slow
def test_a_pack_that_is_read_again_gives_the_same_metrics(parameters: Parameters) -> None:
    settings = parameters(epochs=2)
    passport.write(Path("data/tensors"), settings, small_corpus.DIMS)
    options = argparse.Namespace(form="lddu", rows=0, sentiment="")
    command.pack(options, settings, Path("data/tensors"), Path("pack"))
    source = {"source": "pack/features.pkl", "labels": "pack/clips.csv", "tokens": small_corpus.LABELS}
    features.convert(params.Features.model_validate(source), small_corpus.LABELS, READ)
    own, of_pack = (load_file(folder / STATISTICS) for folder in (Path("data/tensors"), READ))
    assert all(np.allclose(own[name], of_pack[name], atol=1e-6) for name in own)
    shutil.copy(READ / STATISTICS, "data/tensors")  # the small corpus' means are summed in another order: a last digit differs
    of_tensors = results(settings)
    assert results(settings.model_copy(update={"tensors": str(READ)})) == of_tensors
