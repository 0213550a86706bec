"""Doubt: the chance that a decision is wrong, learned on valid from everything that the network shows of its state.

A logistic regression says how probable a label is, given the network's own log-odds and small corrections: how far each
modality's own reading is from the joint one, which modalities are absent, how far the readings disagree, and σ and novelty as
shares of the training split. A correction shifts the log-odds, or stretches them: where the readings disagree, the same
log-odds mean less. The doubt is the probability of the answer that was not given.

valid may be small, so all corrections are penalised, and the two numbers that every calibration has (slope and intercept of
the log-odds, Platt 1999) are nearly free. The penalty is chosen by cross-fitting over folds of speakers, the strongest one
that is within a standard error of the best: with few clips, doubt is the recalibrated probability and nothing else. The doubt
of valid's own clips is that of the fold in which they were left out.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from lddu import folds
from lddu.probability import LEAST, logit

FILE = "doubt.json"
# Inverse penalties of the corrections; the smallest leaves nothing of them.
STRENGTHS = (1e-6, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
FREE = 30.0  # the log-odds are multiplied by this, so that their slope is hardly penalised
FEWEST = 8  # clips of valid; of fewer, and of labels that are always or never there, the probability is believed as it is
STEPS = 100
FARTHEST = 6.0  # log-odds of a reading are at most so far from the joint ones


@dataclass(frozen=True)
class Signs:
    """What doubt is judged from: N clips, C labels."""

    log_odds: np.ndarray  # (N, C) log p - log (1 - p)
    alone: dict[str, np.ndarray]  # (N, C) by modality: log-odds of its own reading, NaN where it is absent
    shares: dict[str, np.ndarray]  # (N, C) by name: quantiles of the training split from 0 to 1, NaN where there is none

    def select(self, chosen: np.ndarray) -> "Signs":
        """The clips where `chosen` (N,) is true, or of these indices."""
        alone, shares = ({name: x[chosen] for name, x in group.items()} for group in (self.alone, self.shares))
        return Signs(self.log_odds[chosen], alone, shares)


@dataclass(frozen=True)
class Doubt:
    """A fitted regression."""

    strength: float  # inverse penalty that was chosen; 0: the probability as it is
    intercept: float
    weights: dict[str, float]  # by name of the feature

    def probabilities(self, signs: Signs) -> np.ndarray:
        """(N, C): the corrected probability of each label; KeyError where signs have other features than those learned from."""
        total = self.intercept + sum((self.weights[name] * x for name, x in features(signs)), np.zeros(signs.log_odds.shape))
        return 1 / (1 + np.exp(-total))

    def of(self, signs: Signs, thresholds: np.ndarray) -> np.ndarray:
        """(N, C): the chance that the decision at these thresholds (C,) is wrong; NaN where a clip has no modality."""
        return of_decisions(self.probabilities(signs), signs, thresholds)


def of_decisions(probs: np.ndarray, signs: Signs, thresholds: np.ndarray) -> np.ndarray:
    """(N, C): of corrected probabilities, those of the answers that were not given."""
    doubt = np.where(signs.log_odds >= logit(thresholds), 1 - probs, probs)
    nothing = np.isnan(np.stack(list(signs.alone.values()))).all(axis=0)
    return np.where(nothing, np.nan, doubt)


def features(signs: Signs) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values (N, C) of everything that the regression sees."""
    odds = np.clip(signs.log_odds, -logit(1 - LEAST), logit(1 - LEAST))
    yield "log-odds", FREE * odds
    for c in range(odds.shape[1]):
        yield f"label {c}", np.repeat(np.eye(odds.shape[1])[c][None], len(odds), axis=0)
    stacked = np.stack([odds, *signs.alone.values()])
    stretching = {"disagreement": np.nan_to_num(np.nanstd(stacked, axis=0))}
    for m, reading in signs.alone.items():
        yield f"{m} alone", np.nan_to_num(np.clip(reading - odds, -FARTHEST, FARTHEST))
        stretching[f"no {m}"] = np.isnan(reading).astype(float)
    stretching |= {name: np.nan_to_num(share - 0.5) for name, share in signs.shares.items()}
    for name, values in stretching.items():
        yield name, values
        yield f"{name} × log-odds", values * odds / 2


def fit(signs: Signs, true: np.ndarray, people: np.ndarray) -> tuple[Doubt, np.ndarray]:
    """The regression, and the corrected probabilities (N, C) of the very clips that it is fitted to, each left out.

    `true` (N, C) bool, `people` (N,) the same number for clips of one speaker.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    names, x = zip(*features(signs), strict=True)
    design = np.stack(x, axis=-1)  # (N, C, F)
    divided = list(folds.of_people(people)) if len(true) >= FEWEST else []
    if not divided or any(true[learned].all() or not true[learned].any() for learned, _ in divided):
        doubt = Doubt(0.0, 0.0, dict.fromkeys(names, 0.0) | {"log-odds": 1 / FREE})
        return doubt, doubt.probabilities(signs)
    with threadpool_limits(1):  # sums repeat whatever the number of cores
        found = {strength: left_out(design, true, divided, strength) for strength in STRENGTHS}
        strength = strongest_penalty({strength: surprise(true, probs) for strength, probs in found.items()})
        intercept, weights = regression(design, true, strength)
    return Doubt(strength, intercept, dict(zip(names, weights.tolist(), strict=True))), found[strength]


def left_out(design: np.ndarray, true: np.ndarray, divided: list, strength: float) -> np.ndarray:
    """(N, C): corrected probabilities of each fold's clips by the regression on all others."""
    probs = np.zeros(true.shape)
    for learned, judged in divided:
        intercept, weights = regression(design[learned], true[learned], strength)
        probs[judged] = 1 / (1 + np.exp(-(intercept + design[judged] @ weights)))
    return probs


def regression(design: np.ndarray, true: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
    """Intercept and weights (F,) on features (N, C, F)."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=STEPS)
    model.fit(design.reshape(-1, design.shape[-1]), true.ravel())
    return float(model.intercept_[0]), model.coef_[0]


def surprise(true: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """(N,): mean cross-entropy of each clip, in nats."""
    of_truth = np.clip(np.where(true, probs, 1 - probs), LEAST, 1)
    return -np.log(of_truth).mean(axis=1)


def strongest_penalty(losses: dict[float, np.ndarray]) -> float:
    """The smallest strength whose mean loss (N,) is within a standard error of the smallest one, by the clips' differences."""
    best = min(losses, key=lambda strength: float(losses[strength].mean()))
    for strength in sorted(losses):
        worse = losses[strength] - losses[best]
        if worse.mean() <= worse.std() / np.sqrt(len(worse)):
            return strength
    return best


def scores(doubts: np.ndarray, wrong: np.ndarray, bins: int) -> dict[str, float]:
    """Of decisions (n,): mean doubt beside the share of wrong ones, the calibration error, the area under risk-coverage."""
    from lddu.metrics import calibration_error, risk_coverage_area

    if not len(doubts):
        return dict.fromkeys(("mean", "wrong", "calibration_error", "risk_coverage"), 0.0)
    return {
        "mean": float(doubts.mean()),
        "wrong": float(wrong.mean()),
        "calibration_error": calibration_error(wrong, doubts, bins),
        "risk_coverage": risk_coverage_area(wrong.astype(float), doubts),
    }


def write(path: Path, doubt: Doubt) -> None:
    path.write_text(json.dumps(asdict(doubt), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Doubt:
    """KeyError, TypeError or ValueError where the file is of another version."""
    tree = json.loads(path.read_text(encoding="utf-8"))
    return Doubt(**{field.name: tree[field.name] for field in fields(Doubt)})
