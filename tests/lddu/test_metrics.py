"""The scores against scikit-learn's own multi-label forms and against numbers worked out by hand."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    hamming_loss,
    jaccard_score,
    log_loss,
    precision_score,
    recall_score,
)

from lddu import metrics
from tests.lddu.small_corpus import spearman

NAMES = ["happy", "sad", "anger", "fear"]


def random_case(clips: int, seed: int, labels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.random((clips, labels)) < 0.3, generator.random((clips, labels)).round(2)


@settings(max_examples=40, deadline=None)
@given(clips=st.integers(1, 30), seed=st.integers(0, 10**6), threshold=st.floats(0.01, 0.99))
def test_scores_are_those_of_scikit_learn(clips: int, seed: int, threshold: float) -> None:
    true, probs = random_case(clips, seed)
    predicted = probs >= threshold
    found = metrics.scores(true, probs, threshold, NAMES)
    for average in ("micro", "macro"):
        assert found[f"{average}_f1"] == pytest.approx(f1_score(true, predicted, average=average, zero_division=0))
    assert found["micro_precision"] == pytest.approx(precision_score(true, predicted, average="micro", zero_division=0))
    assert found["micro_recall"] == pytest.approx(recall_score(true, predicted, average="micro", zero_division=0))
    assert found["hamming_loss"] == pytest.approx(hamming_loss(true, predicted))
    for empty in (0, 1):
        name = "accuracy" if empty == 0 else "accuracy_empty_one"
        expected = jaccard_score(true, predicted, average="samples", zero_division=empty)
        assert found[name] == pytest.approx(expected)
    for c, label in enumerate(NAMES):
        assert found["per_label"][label]["f1"] == pytest.approx(f1_score(true[:, c], predicted[:, c], zero_division=0))
        if true[:, c].any():
            assert found["per_label"][label]["ap"] == pytest.approx(average_precision_score(true[:, c], probs[:, c]))
    assert found["brier"] == pytest.approx(brier_score_loss(true.ravel(), probs.ravel()))


@settings(max_examples=20)
@given(clips=st.integers(1, 20), seed=st.integers(0, 10**6))
def test_cross_entropy_is_that_of_scikit_learn(clips: int, seed: int) -> None:
    true, probs = random_case(clips, seed)
    probs = probs.clip(0.01, 0.99)
    expected = log_loss(true.ravel(), probs.ravel(), labels=[False, True])
    assert metrics.cross_entropy(true, np.log(probs), np.log1p(-probs)) == pytest.approx(expected)
    assert metrics.clipped_cross_entropy(true, probs) == pytest.approx(expected)


def test_the_likeliest_label_is_scored_where_no_clip_has_several() -> None:
    true = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
    probs = np.array([[0.4, 0.3, 0.1], [0.2, 0.1, 0.1], [0.1, 0.2, 0.9], [0.1, 0.2, 0.1], [0.9, 0.9, 0.9]])
    found = metrics.scores(true, probs, 0.99, NAMES[:3])
    assert found["weighted_accuracy"] == pytest.approx(3 / 4)
    assert found["unweighted_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    true[0, 1] = True
    assert "weighted_accuracy" not in metrics.scores(true, probs, 0.99, NAMES[:3])
    assert "weighted_accuracy" not in metrics.scores(np.zeros_like(true), probs, 0.99, NAMES[:3])


def test_scores_by_hand() -> None:
    true = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0]], dtype=bool)
    probs = np.array([[0.9, 0.2, 0.1], [0.1, 0.1, 0.1], [0.1, 0.8, 0.6]])
    found = metrics.scores(true, probs, 0.5, NAMES[:3])
    assert found["accuracy"] == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)
    assert found["accuracy_empty_one"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert found["hamming_loss"] == pytest.approx(2 / 9)
    assert found["micro_precision"] == pytest.approx(2 / 3)
    assert found["micro_recall"] == pytest.approx(2 / 3)
    assert found["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_one_label_is_scored_as_one_label() -> None:
    true, probs = np.array([[True], [False], [False]]), np.array([[0.9], [0.8], [0.1]])
    assert metrics.scores(true, probs, 0.5, ["happy"])["micro_f1"] == pytest.approx(2 / 3)


def test_nothing_is_ever_nan() -> None:
    true, probs = np.zeros((3, 2), dtype=bool), np.zeros((3, 2))
    found = metrics.scores(true, probs, 0.5, NAMES[:2])
    assert "NaN" not in json.dumps(found)
    assert found["per_label"]["happy"] == {"f1": 0.0, "ap": 0.0}
    assert metrics.best_micro_f1(true, probs) == 0


@settings(max_examples=25, deadline=None)
@given(clips=st.integers(1, 20), seed=st.integers(0, 10**6), step=st.sampled_from([0.0001, 0.01, 0.05, 0.3, 0.4, 0.5]))
def test_no_threshold_of_the_grid_beats_the_chosen_one(clips: int, seed: int, step: float) -> None:
    true, probs = random_case(clips, seed)
    grid = [round(i * step, 6) for i in range(1, 10001) if round(i * step, 6) < 1]
    grid = grid if len(grid) < 200 else [*grid[::97], grid[-1]]
    of_grid = [f1_score(true.ravel(), (probs >= threshold).ravel(), zero_division=0) for threshold in grid]
    chosen = metrics.best_threshold(true, probs, step)
    assert round(chosen / step) * step == pytest.approx(chosen)
    assert 0 < chosen < 1
    assert f1_score(true.ravel(), (probs >= chosen).ravel(), zero_division=0) >= max(of_grid) - 1e-12
    assert metrics.best_micro_f1(true, probs) >= max(of_grid) - 1e-12


@pytest.mark.parametrize("step", [0.3, 0.35, 0.4, 0.45])
def test_the_last_step_below_one_is_tried_too(step: float) -> None:
    """Where 1 is no multiple of the step."""
    last = int(1 / step) * step
    true, probs = np.array([[True], [False]]), np.array([[last + 0.01], [last - 0.01]])
    assert metrics.best_threshold(true, probs, step) == pytest.approx(last)


def test_of_equal_thresholds_the_middle_one_is_chosen() -> None:
    assert metrics.best_threshold(np.array([[True], [False]]), np.array([[0.8], [0.2]]), 0.1) == pytest.approx(0.6)


@settings(max_examples=25)
@given(clips=st.integers(1, 40), seed=st.integers(0, 10**6), bins=st.integers(2, 12))
def test_calibration_error_is_its_formula(clips: int, seed: int, bins: int) -> None:
    true, probs = random_case(clips, seed)
    expected = 0.0
    for i in range(bins):
        inside = [(t, p) for t, p in zip(true.ravel(), probs.ravel(), strict=True) if min(int(p * bins), bins - 1) == i]
        if inside:
            gap = abs(sum(p for _, p in inside) - sum(bool(t) for t, _ in inside)) / len(inside)
            expected += gap * len(inside) / true.size
    assert metrics.calibration_error(true, probs, bins) == pytest.approx(expected)
    assert sum(row["decisions"] for row in metrics.calibration(true, probs, bins)) == true.size


@settings(max_examples=25)
@given(count=st.integers(3, 40), seed=st.integers(0, 10**6))
def test_rank_correlation_is_the_correlation_of_ranks(count: int, seed: int) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, count))
    found, clips = metrics.rank_correlation(np.append(a, np.nan), np.append(b, 1.0))
    assert found == pytest.approx(spearman(a, b))
    assert clips == count


@pytest.mark.parametrize("a", [[], [1.0, 2.0], [1.0, 1.0, 1.0], [math.nan] * 4])
def test_an_undefined_rank_correlation_is_written_as_zero(a: list[float]) -> None:
    correlation, clips = metrics.rank_correlation(np.array(a), np.arange(float(len(a))))
    assert correlation == 0
    assert clips == np.isfinite(a).sum()


def test_a_perfect_prediction_of_clips_without_labels_shows_both_conventions() -> None:
    true = np.array([[True, False]] * 4 + [[False, False]])
    found = metrics.scores(true, true.astype(float), 0.5, NAMES[:2])
    assert accuracy_score(true, true) == 1
    assert (found["accuracy"], found["accuracy_empty_one"]) == (0.8, 1.0)


def test_the_risk_coverage_area_is_the_mean_risk_of_the_most_certain() -> None:
    wrong = np.array([0.0, 1.0, 0.0, 1.0])
    assert metrics.risk_coverage_area(wrong, np.array([1, 4, 2, 3])) == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert metrics.risk_coverage_area(wrong, np.array([4, 1, 3, 2])) == pytest.approx((1 + 1 + 2 / 3 + 2 / 4) / 4)


@given(seed=st.integers(0, 10**6), count=st.integers(1, 30))
def test_equally_uncertain_decisions_are_in_no_order(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    wrong, uncertainty = (generator.random(count) < 0.4).astype(float), generator.integers(0, 4, count)
    order = generator.permutation(count)
    area = metrics.risk_coverage_area(wrong, uncertainty)
    assert metrics.risk_coverage_area(wrong[order], uncertainty[order]) == pytest.approx(area)
    assert metrics.risk_coverage_area(wrong, np.zeros(count)) == pytest.approx(wrong.mean())
