"""Of the sure decisions at most the promised share is wrong, at the promised rate, whatever doubt is worth."""

import numpy as np
import pytest

from lddu import risk

LABELS, RISK, CONFIDENCE = 4, 0.1, 0.8
CORPORA = 80


def calibrated(rng: np.random.Generator, clips: int) -> tuple[np.ndarray, np.ndarray]:
    """Doubts that are the chances of being wrong."""
    doubt = rng.beta(0.6, 3, (clips, LABELS))
    return doubt, rng.random((clips, LABELS)) < doubt


def all_or_none(rng: np.random.Generator, clips: int) -> tuple[np.ndarray, np.ndarray]:
    """A clip's labels are all wrong or all right, just more often than may be: a bound on single decisions would be fooled."""
    wrong = rng.random((clips, 1)) < RISK + 0.002
    return np.full((clips, LABELS), 0.04), np.repeat(wrong, LABELS, axis=1)


def overconfident(rng: np.random.Generator, clips: int) -> tuple[np.ndarray, np.ndarray]:
    """The least doubtful decisions are wrong most often: the share of wrong ones falls as the cut rises."""
    doubt = rng.uniform(0.04, 0.3, (clips, LABELS))
    return doubt, rng.random((clips, LABELS)) < np.where(doubt < 0.1, 0.13, 0.02)


@pytest.mark.parametrize("draw", [calibrated, all_or_none, overconfident])
@pytest.mark.parametrize("clips", [60, 250])
def test_the_risk_of_sure_decisions_is_kept_at_the_promised_rate(draw, clips: int) -> None:
    rng = np.random.default_rng(clips)
    everyone = draw(rng, 20_000)
    broken = 0
    for _ in range(CORPORA):
        cut = risk.largest_cut(*draw(rng, clips), RISK, CONFIDENCE)
        broken += risk.mean_share_wrong(everyone[0] <= cut, everyone[1]) > RISK
    spread = np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / CORPORA)
    assert broken / CORPORA <= 1 - CONFIDENCE + 2 * spread


def test_more_clips_prove_more() -> None:
    rng = np.random.default_rng(0)
    coverage = []
    for clips in (80, 300, 2000):
        doubt, wrong = calibrated(rng, clips)
        coverage.append(risk.scores(doubt <= risk.largest_cut(doubt, wrong, RISK, 0.9), wrong, list("abcd"))["coverage"])
    assert coverage == sorted(coverage)
    assert coverage[-1] > 0.75


def test_what_cannot_be_proven_is_unsure() -> None:
    doubt, wrong = np.full((50, LABELS), 0.04), np.zeros((50, LABELS), bool)
    wrong[:10] = True
    assert risk.largest_cut(doubt, wrong, RISK, 0.9) == risk.NOTHING
    assert not (doubt <= risk.NOTHING).any()
    few = np.zeros((5, LABELS), bool)
    assert risk.largest_cut(doubt[:5], few, RISK, 0.9) == risk.NOTHING


def test_scores_count_by_clip_and_by_label() -> None:
    sure = np.array([[True, True], [True, False], [False, False]])
    wrong = np.array([[True, False], [False, True], [True, True]])
    found = risk.scores(sure, wrong, ["a", "b"])
    assert found["coverage"] == pytest.approx(0.5)
    assert found["risk"] == pytest.approx((0.5 + 0) / 2)
    assert found["per_label"] == {
        "a": {"coverage": pytest.approx(2 / 3), "risk": pytest.approx(0.5)},
        "b": {"coverage": pytest.approx(1 / 3), "risk": 0.0},
    }
