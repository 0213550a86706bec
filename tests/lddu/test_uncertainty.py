"""Uncertainty that is known to be right, or wrong, is scored as such: the signs of all that tells what σ is worth."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import Tensor

from lddu import evaluate, uncertainty
from lddu.batches import Clips
from lddu.engine import Predictions
from lddu.evaluate import Scored
from lddu.model import LDDU, LDDUConfig
from lddu.tensors import Split

NETWORK = LDDUConfig(dims={"text": 4}, labels=2, width=16, latent=8, layers=0, heads=4, feedforward=16)
# Three decisions in eight are wrong at a threshold of one half; no two are equally wrong.
TRUE = np.array([[True, False], [True, False], [True, False], [False, True]])
PROBS = np.array([[0.9, 0.2], [0.45, 0.3], [0.75, 0.58], [0.05, 0.42]])
ERROR = np.abs(TRUE - PROBS)
HALF = np.full(2, 0.5)


def predictions(probs: np.ndarray, sigma: dict[str, np.ndarray], ambiguity: dict[str, np.ndarray] | None = None) -> Predictions:
    """With log ‖σ‖ of all of σ, and of its ambiguity; its noise is the opposite of that."""
    ambiguity = ambiguity or sigma
    there = {m: ~np.isnan(x).all(axis=1) for m, x in sigma.items()}
    return Predictions(np.log(probs), np.log1p(-probs), there, sigma, {m: -x for m, x in ambiguity.items()}, ambiguity)


def test_sigma_that_knows_the_errors_leaves_the_least_risk_and_its_opposite_the_most() -> None:
    """All of σ, and each block of it by itself."""
    found = uncertainty.risk_coverage(TRUE, predictions(PROBS, {"text": ERROR}, {"text": -ERROR}), HALF)
    least, most = (1 / 6 + 2 / 7 + 3 / 8) / 8, (3 + 3 / 4 + 3 / 5 + 3 / 6 + 3 / 7 + 3 / 8) / 8
    assert found["chance"] == 3 / 8
    assert [found[name] for name in ("best", "sigma", "noise", "probability")] == pytest.approx([least] * 4)
    assert found["ambiguity"] == pytest.approx(most)


def test_the_probability_is_uncertain_next_to_its_own_threshold() -> None:
    true, probs = np.array([[True], [False], [False], [True]]), np.array([[0.8], [0.5], [0.1], [0.97]])
    found = uncertainty.risk_coverage(true, predictions(probs, {"text": probs}), np.array([0.9]))
    assert found["probability"] == pytest.approx(found["best"]) == pytest.approx(1 / 16)


def test_sigma_that_rises_with_the_error_correlates_with_it() -> None:
    for sign in (1, -1):
        absent = np.full((4, 2), np.nan)
        predicted = predictions(PROBS, {"text": sign * ERROR, "audio": absent}, {"text": -sign * ERROR, "audio": absent})
        found = uncertainty.error_spearman(TRUE, predicted)
        assert [found[name] for name in ("sigma", "noise", "ambiguity")] == pytest.approx([sign, sign, -sign])
    certain = np.where(TRUE, 0.5 + np.arange(8).reshape(4, 2) / 20, 0.5 - np.arange(8).reshape(4, 2) / 20)
    for probs, sign in ((certain, 1), (1 - certain, -1)):
        assert uncertainty.error_spearman(TRUE, predictions(probs, {"text": ERROR}))["probability"] == pytest.approx(sign)


def test_each_modality_is_scored_by_its_own_noise_and_the_error() -> None:
    noise = np.array([0.1, 0.5, 0.3, 0.9])
    by_noise = noise[:, None] + np.array([0.01, -0.01])
    ambiguity = {"text": -by_noise, "audio": by_noise, "vision": -ERROR}
    part = Scored(TRUE, predictions(PROBS, {"text": ERROR, "audio": -ERROR, "vision": ERROR}, ambiguity), tuple("abcd"))
    found = evaluate.uncertainty_scores(part, {"text": noise, "audio": noise, "vision": ERROR.mean(axis=1)})
    assert [found[m]["noise_spearman"] for m in ambiguity] == pytest.approx([1, -1, 1])
    assert [found[m]["ambiguity_spearman"] for m in ambiguity] == pytest.approx([-1, 1, -1])
    assert [found[m]["error_spearman"] for m in ambiguity] == pytest.approx([1, -1, 1])


class Faint(LDDU):
    """Its log ‖σ‖ is the less the larger the features are."""

    def read(self, m: str, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mapped, mu, sigma = super().read(m, x, mask)
        return mapped, mu, torch.ones_like(sigma) * (-x.abs().mean(dim=(1, 2))).exp()[:, None, None]


def test_the_response_to_noise_is_positive_where_sigma_rises_with_it() -> None:
    """Features of 1 and -1 become smaller where they fade or are lost, and larger under Gaussian noise."""
    features = torch.ones(40, 3, 4)
    features[::2] = -1
    split = Split(
        "train", tuple(map(str, range(40))), ("a", "b"), {"text": features}, {"text": torch.ones(40, 3) > 0}, torch.zeros(40, 2)
    )
    clips = Clips(split, torch.device("cpu"))
    found = uncertainty.response_to_noise(Faint(NETWORK), clips, clips, 16, ["faded"], Accelerator(cpu=True))["text"]
    assert found["faded"] == {"spearman": pytest.approx(1), "rise": pytest.approx(1), "in_training": 1}
    assert found["dropped"] == {"spearman": pytest.approx(1, abs=0.1), "rise": pytest.approx(1), "in_training": 0}
    assert found["gaussian"]["spearman"] < -0.6
    assert found["gaussian"]["rise"] < -0.5
