"""Uncertainty that is known to be right, or wrong, is scored as such: the signs of all that tells what σ is worth."""

from dataclasses import replace

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


def test_sigma_that_knows_the_errors_leaves_the_least_risk_and_its_opposite_the_most() -> None:
    right, wrong = (uncertainty.risk_coverage(TRUE, PROBS, HALF, {"text": sign * ERROR}) for sign in (1, -1))
    assert right["chance"] == 3 / 8
    assert right["sigma"] == pytest.approx(right["best"]) == pytest.approx((1 / 6 + 2 / 7 + 3 / 8) / 8)
    assert wrong["sigma"] == pytest.approx((3 + 3 / 4 + 3 / 5 + 3 / 6 + 3 / 7 + 3 / 8) / 8)
    assert right["probability"] == pytest.approx(right["best"])


def test_the_probability_is_uncertain_next_to_its_own_threshold() -> None:
    true, probs = np.array([[True], [False], [False], [True]]), np.array([[0.8], [0.5], [0.1], [0.97]])
    found = uncertainty.risk_coverage(true, probs, np.array([0.9]), {"text": probs})
    assert found["probability"] == pytest.approx(found["best"]) == pytest.approx(1 / 16)


def test_sigma_that_rises_with_the_error_correlates_with_it() -> None:
    for sign in (1, -1):
        found = uncertainty.error_spearman(TRUE, PROBS, {"text": sign * ERROR, "audio": np.full((4, 2), np.nan)})
        assert found["sigma"] == pytest.approx(sign)
    certain = np.where(TRUE, 0.5 + np.arange(8).reshape(4, 2) / 20, 0.5 - np.arange(8).reshape(4, 2) / 20)
    assert uncertainty.error_spearman(TRUE, certain, {"text": ERROR})["probability"] == pytest.approx(1)
    assert uncertainty.error_spearman(TRUE, 1 - certain, {"text": ERROR})["probability"] == pytest.approx(-1)


def test_each_modality_is_scored_by_its_own_noise_and_the_error() -> None:
    noise = np.array([0.1, 0.5, 0.3, 0.9])
    by_noise = noise[:, None] + np.array([0.01, -0.01])
    log_sigma = {"text": by_noise, "audio": -by_noise, "vision": ERROR}
    present = dict.fromkeys(log_sigma, np.ones(4, dtype=bool))
    part = Scored(TRUE, Predictions(np.log(PROBS), np.log1p(-PROBS), present, log_sigma), tuple("abcd"))
    found = evaluate.uncertainty_scores(part, {"text": noise, "audio": noise, "vision": ERROR.mean(axis=1)})
    assert [found[m]["noise_spearman"] for m in log_sigma] == pytest.approx([1, -1, 1])
    assert found["vision"]["error_spearman"] == pytest.approx(1)
    opposite = Scored(TRUE, replace(part.predictions, log_sigma={"vision": -ERROR}), part.clip_ids)
    assert evaluate.uncertainty_scores(opposite, {"vision": noise})["vision"]["error_spearman"] == pytest.approx(-1)


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
