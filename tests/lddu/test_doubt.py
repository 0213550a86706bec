"""Doubt is the chance of being wrong; it learns from what the probability does not say, and never from chance."""

from pathlib import Path

import numpy as np
import pytest

from lddu import doubt
from lddu.doubt import Signs
from lddu.metrics import calibration_error, risk_coverage_area
from lddu.probability import logit

LABELS = 3
THRESHOLDS = np.full(LABELS, 0.3)


def corpus(clips: int, seed: int, noisy: bool = True, stretch: float = 1.0) -> tuple[Signs, np.ndarray, np.ndarray]:
    """Signs, truth and people. Where σ is high, log-odds mean half as much, if `noisy`; all are `stretch` times too large."""
    rng = np.random.default_rng(seed)
    share = rng.random((clips, LABELS))
    odds = 2.5 * rng.standard_normal((clips, LABELS)) - 1
    true = rng.random((clips, LABELS)) < 1 / (1 + np.exp(-odds * np.where(noisy & (share > 0.5), 0.2, 1)))
    alone = {m: odds + rng.standard_normal((clips, LABELS)) for m in ("audio", "vision")}
    alone["vision"][rng.random(clips) < 0.2] = np.nan
    return Signs(stretch * odds, alone, {"sigma audio": share}), true, np.arange(clips) % 10


def wrong(signs: Signs, true: np.ndarray) -> np.ndarray:
    return (signs.log_odds >= logit(THRESHOLDS)) != true


def test_doubt_learns_what_sigma_knows_and_is_calibrated() -> None:
    learned, _ = doubt.fit(*corpus(800, 0))
    signs, true, _ = corpus(2000, 1)
    errors, doubts = wrong(signs, true), learned.of(signs, THRESHOLDS)
    assert calibration_error(errors, doubts, 10) < 0.03
    plain, _ = doubt.fit(*corpus(800, 0, noisy=False))
    of_plain = plain.of(signs, THRESHOLDS)
    flat = errors.astype(float).ravel()
    assert risk_coverage_area(flat, doubts.ravel()) < 0.93 * risk_coverage_area(flat, of_plain.ravel())


def test_with_few_clips_it_is_no_worse_than_the_probability() -> None:
    """Nothing but the probability tells of errors here; 40 clips have many chances to mislead."""
    ratios = []
    for seed in range(6):
        learned, _ = doubt.fit(*corpus(40, 10 + seed, noisy=False))
        signs, true, _ = corpus(1500, 20 + seed, noisy=False)
        errors = wrong(signs, true).astype(float).ravel()
        of_probability = doubt.of_decisions(1 / (1 + np.exp(-signs.log_odds)), signs, THRESHOLDS)
        of_doubt = risk_coverage_area(errors, learned.of(signs, THRESHOLDS).ravel())
        ratios.append(of_doubt / risk_coverage_area(errors, of_probability.ravel()))
    assert np.mean(ratios) < 1.03
    assert max(ratios) < 1.08


def test_probabilities_that_are_too_sure_are_corrected() -> None:
    learned, left_out = doubt.fit(*corpus(400, 2, noisy=False, stretch=3.0))
    signs, true, _ = corpus(1500, 3, noisy=False, stretch=3.0)
    errors = wrong(signs, true)
    plain = doubt.of_decisions(1 / (1 + np.exp(-signs.log_odds)), signs, THRESHOLDS)
    found = calibration_error(errors, learned.of(signs, THRESHOLDS), 10)
    assert found < 0.03 < calibration_error(errors, plain, 10)
    assert left_out.shape == (400, LABELS)


def test_without_enough_to_learn_from_the_probability_is_believed() -> None:
    signs, true, people = corpus(5, 4)
    for truth in (true, np.ones_like(true)):
        learned, probs = doubt.fit(signs, truth, people)
        assert probs == pytest.approx(1 / (1 + np.exp(-signs.log_odds)))
        assert learned.strength == 0.0


def test_a_clip_without_any_modality_has_no_doubt() -> None:
    signs, true, people = corpus(60, 5)
    for x in signs.alone.values():
        x[0] = np.nan
    learned, _ = doubt.fit(signs, true, people)
    doubts = learned.of(signs, THRESHOLDS)
    assert np.isnan(doubts[0]).all()
    assert not np.isnan(doubts[1:]).any()


def test_what_is_read_back_doubts_the_same(tmp_path: Path) -> None:
    learned, _ = doubt.fit(*corpus(80, 6))
    doubt.write(tmp_path / doubt.FILE, learned)
    signs, _, _ = corpus(20, 7)
    assert np.array_equal(doubt.read(tmp_path / doubt.FILE).of(signs, THRESHOLDS), learned.of(signs, THRESHOLDS))
