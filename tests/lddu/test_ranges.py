"""Every parameter of training and evaluation at both ends of its range: it works, or it is refused before any work."""

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from pydantic import ValidationError

import params
from lddu import metrics
from lddu import train as stage
from lddu.batches import Clips
from tests.lddu.conftest import Parameters

# The largest value of a parameter without an upper end is one that no one would set.
ENDS: dict[str, tuple] = {
    "seed": (0, 2**32 - 1),
    "patience": (0, 10**9),
    "batch_size": (1, 10**9),
    "accumulate": (1, 32),
    "lr": (1e-300, 1.0),
    "weight_decay": (0.0, 1.0),
    "warmup": (0.0, 1.0),
    "gradient_norm": (1e-300, 1e300),
    "averaging": (0.0, 0.9999999),
    "model.width": (2, 64),
    "model.latent": (2, 64),
    "model.layers": (0, 8),
    "model.heads": (1, 32),
    "model.feedforward": (1, 256),
    "model.positions": (1, 512),
    "model.dropout": (0.0, 0.99),
    "model.head_dropout": (0.0, 0.99),
    "model.modality_dropout": (0.0, 0.9999999),
    "loss.info": (0.0, 1000.0),
    "loss.contrast": (0.0, 1000.0),
    "loss.calibration": (0.0, 1000.0),
    "loss.ambiguity": (0.0, 1000.0),
    "loss.ordinality": (0.0, 1000.0),
    "loss.temperature": (0.001, 1000.0),
    "loss.queue": (0, 2**12),
    "loss.sharpness": (1e-300, 1000.0),
    "loss.noised": (1, 10**9),
    "loss.noise": ([], ["gaussian", "dropped", "faded", "scaled", "swapped"]),
}
BEYOND: dict[str, tuple] = {
    "seed": (-1, 2**32),
    "threads": (0, 1025),
    "processes": (0, 65),
    "accumulate": (0, 33),
    "lr": (0.0, -1.0),
    "weight_decay": (-0.1, 1.1),
    "averaging": (-0.1, 1.0),
    "model.width": (1, 8200),
    "model.dropout": (-0.1, 0.999),
    "model.head_dropout": (-0.1, 0.999),
    "loss.contrast": (-0.1, 1001.0),
    "loss.ambiguity": (-0.1, 1001.0),
    "loss.temperature": (0.0, 1001.0),
    "loss.queue": (-1, 2**21),
    "loss.sharpness": (0.0, 1001.0),
}


def changed(settings: params.Train, key: str, value: object) -> params.Train:
    tree = settings.model_dump()
    *sections, leaf = key.split(".")
    branch = tree
    for section in sections:
        branch = branch[section]
    branch[leaf] = value
    if key == "model.width":
        tree["model"]["heads"] = 2 if value != 1 else 1
    if key == "loss.noise" and not value:
        tree["loss"]["ordinality"] = 0.0
    return params.Train.model_validate(tree)


@pytest.mark.parametrize("end", [0, 1])
def test_training_works_at_the_ends_of_every_range(parameters: Parameters, end: int) -> None:
    """Each parameter by itself, one epoch of few clips; the scores are numbers."""
    usual = parameters(epochs=1, averaging=0.9)
    learning, held_out, statistics = stage.read(usual)
    few = learning.select(torch.arange(len(learning)) < 12)
    wanted = torch.zeros(len(few), len(few.masks), few.labels.shape[1], 2)
    clips, others = Clips(few, torch.device("cpu"), wanted), Clips(held_out, torch.device("cpu"))
    for key, ends in ENDS.items():
        settings = changed(usual.train, key, ends[end])
        training = stage.begin(settings, few, statistics, torch.device("cpu"))
        stage.fit(training, clips, others, settings, Accelerator(cpu=True), Path("checkpoints"), key)
        (row,) = training.curves
        assert all(np.isfinite(list(row.values()))), key


@pytest.mark.parametrize(("key", "values"), BEYOND.items())
def test_what_lies_beyond_a_range_is_refused(parameters: Parameters, key: str, values: tuple) -> None:
    usual = parameters().train
    for value in values:
        with pytest.raises(ValidationError):
            changed(usual, key, value)


@pytest.mark.parametrize("step", [0.0001, 0.5])
@pytest.mark.parametrize("bins", [2, 100])
def test_evaluation_works_at_the_ends_of_its_ranges(step: float, bins: int) -> None:
    settings = params.Evaluate(threshold="one", threshold_step=step, bins=bins, risk=None, confidence=0.9)
    generator = np.random.default_rng(1)
    true, probs = generator.random((50, 3)) < 0.3, generator.random((50, 3))
    assert 0 < metrics.best_threshold(true, probs, settings.threshold_step) < 1
    assert 0 <= metrics.calibration_error(true, probs, settings.bins) <= 1
