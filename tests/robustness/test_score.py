"""The scores of corrupted clips beside the same clips without a modality, on answers that are known."""

import numpy as np
import pytest

from lddu import metrics
from robustness import answers
from robustness.answers import Answers

TRUE = np.random.default_rng(0).random((40, 3)) < 0.4


def answered(shift: float, seed: int = 1) -> Answers:
    """Probabilities that are the truth, blurred by so much."""
    noise = np.random.default_rng(seed).random(TRUE.shape)
    probs = np.clip((1 - shift) * TRUE + shift * noise, 0.01, 0.99)
    return Answers(probs, np.log(probs), np.log1p(-probs), {})


def test_scores_are_those_of_the_metrics() -> None:
    given, thresholds = answered(0.6), np.full(3, 0.5)
    found = answers.scores_of(TRUE, given, thresholds, 10)
    expected = metrics.scores(TRUE, given.probs, thresholds, ["a", "b", "c"])
    assert found["micro_f1"] == pytest.approx(expected["micro_f1"])
    assert found["bce"] == pytest.approx(metrics.cross_entropy(TRUE, given.log_probs, given.log_not_probs))
    assert found["risk_coverage"] == found["risk_coverage_by_probability"] < found["chance"]


def test_what_is_equal_costs_nothing_and_what_is_worse_costs_more() -> None:
    thresholds = np.full(3, 0.5)
    same = answers.cost(TRUE, answered(0.6), answered(0.6), thresholds)
    assert set(same.values()) == {0.0}
    worse = answers.cost(TRUE, answered(0.9), answered(0.3), thresholds)
    assert worse["bce"] > 2 * worse["bce_error"] > 0
    assert worse["micro_f1"] > 2 * worse["micro_f1_error"] > 0
    better = answers.cost(TRUE, answered(0.3), answered(0.9), thresholds)
    assert better["bce"] == pytest.approx(-worse["bce"])
    assert better["micro_f1"] == pytest.approx(-worse["micro_f1"])


def test_the_standard_error_is_that_of_a_bootstrap_over_clips() -> None:
    thresholds, first, second = np.full(3, 0.5), answered(0.9), answered(0.5)
    found = answers.cost(TRUE, first, second, thresholds)
    rng, drawn = np.random.default_rng(2), []
    for _ in range(400):
        chosen = rng.integers(len(TRUE), size=len(TRUE))
        drawn.append(answers.cost(TRUE[chosen], first.part(chosen), second.part(chosen), thresholds))
    for score in ("bce", "micro_f1"):
        assert found[f"{score}_error"] == pytest.approx(np.std([cost[score] for cost in drawn]), rel=0.2)


def test_one_clip_has_no_standard_error() -> None:
    first = np.arange(len(TRUE)) < 1
    cost = answers.cost(TRUE[first], answered(0.9).part(first), answered(0.3).part(first), np.full(3, 0.5))
    assert cost["bce_error"] == cost["micro_f1_error"] == 0.0
