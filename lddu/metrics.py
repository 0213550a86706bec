"""Scores of multi-label predictions: plain numbers, never NaN.

N clips, C labels; `true` and `predicted` are bool (N, C), `probs` float (N, C). Where a score is undefined it is 0: F1,
precision and recall without a positive, average precision of a label that no clip has, rank correlation of constants.
"""

from collections.abc import Iterable

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, precision_score, recall_score

from lddu.probability import clipped

# A rank correlation over fewer clips than this says nothing, and is written as 0.
FEWEST_RANKED = 3


def scores(true: np.ndarray, probs: np.ndarray, thresholds: np.ndarray | float, labels: list[str]) -> dict:
    """Every score of predictions at one threshold, or one a label (C,), as a tree of numbers.

    Micro-averaged scores are those of all N·C decisions as one binary problem; macro F1 is the mean over labels.
    """
    predicted = probs >= thresholds
    each = [float(f1_score(true[:, c], predicted[:, c], zero_division=0)) for c in range(len(labels))]
    decisions = true.ravel(), predicted.ravel()
    return {
        "accuracy": jaccard(true, predicted, empty=0.0),
        "accuracy_empty_one": jaccard(true, predicted, empty=1.0),
        "hamming_loss": float((true != predicted).mean()),
        "micro_f1": float(f1_score(*decisions, zero_division=0)),
        "macro_f1": float(np.mean(each)),
        "micro_precision": float(precision_score(*decisions, zero_division=0)),
        "micro_recall": float(recall_score(*decisions, zero_division=0)),
        "micro_ap": average_precision(true.ravel(), probs.ravel()),
        "brier": float(((probs - true) ** 2).mean()),
        "per_label": {
            label: {"f1": each[c], "ap": average_precision(true[:, c], probs[:, c])} for c, label in enumerate(labels)
        },
    } | likeliest(true, probs)


def likeliest(true: np.ndarray, probs: np.ndarray) -> dict[str, float]:
    """Where no clip has several labels: how often the one with the largest probability is right, over clips that have one.

    Weighted accuracy (WA) is the share of these clips, unweighted accuracy (UA) the mean of the labels' own shares. Nothing
    where a clip has several labels.
    """
    if true.sum(axis=1).max(initial=0) != 1:
        return {}
    clips = true.any(axis=1)
    label = true[clips].argmax(axis=1)
    right = probs[clips].argmax(axis=1) == label
    of_each = [right[label == c].mean() for c in np.unique(label)]
    return {"weighted_accuracy": float(right.mean()), "unweighted_accuracy": float(np.mean(of_each))}


def jaccard(true: np.ndarray, predicted: np.ndarray, empty: float) -> float:
    """Mean over clips of |y ∩ ŷ| / |y ∪ ŷ|; a clip whose union is empty counts `empty` (0 in the published tables)."""
    both, either = (true & predicted).sum(axis=1), (true | predicted).sum(axis=1)
    return float(np.where(either > 0, both / np.maximum(either, 1), empty).mean())


def average_precision(true: np.ndarray, probs: np.ndarray) -> float:
    """Of one label, (N,) each; 0 where no clip has it."""
    return float(average_precision_score(true, probs)) if true.any() else 0.0


def cross_entropy(true: np.ndarray, log_probs: np.ndarray, log_not_probs: np.ndarray) -> float:
    """Mean binary cross-entropy in nats."""
    return float(-np.where(true, log_probs, log_not_probs).mean())


def clipped_cross_entropy(true: np.ndarray, probs: np.ndarray) -> float:
    """As `cross_entropy`, of probabilities that may be 0 or 1."""
    probs = clipped(probs)
    return cross_entropy(true, np.log(probs), np.log1p(-probs))


def best_threshold(true: np.ndarray, probs: np.ndarray, step: float) -> float:
    """The threshold of the grid step, 2 step, ... below 1 with the highest micro F1; of several, the middle one.

    The middle, not the first: with few clips many neighbouring thresholds score the same, and at the edge of these a new
    clip would easily be decided wrongly.
    """
    multiples = np.round(np.arange(1, round(1 / step) + 1) * step, 6)
    grid = multiples[multiples < 1]
    positives = np.sort(probs[true])
    hits, predicted = (len(x) - np.searchsorted(x, grid) for x in (positives, np.sort(probs, axis=None)))
    scores = 2 * hits / np.maximum(len(positives) + predicted, 1)
    best = np.flatnonzero(scores == scores.max())
    return float(grid[best[len(best) // 2]])


def best_thresholds(true: np.ndarray, probs: np.ndarray, step: float, each: bool) -> np.ndarray:
    """(C,): the best threshold for all labels, the same for each; or, if `each`, every label's own."""
    if each:
        return np.array([best_threshold(true[:, c], probs[:, c], step) for c in range(true.shape[1])])
    return np.full(true.shape[1], best_threshold(true, probs, step))


def best_micro_f1(true: np.ndarray, probs: np.ndarray) -> float:
    """The highest micro F1 that any threshold gives."""
    if not true.any():
        return 0.0
    precision, recall, _ = precision_recall_curve(true.ravel(), probs.ravel())
    return float((2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)).max())


def calibration(true: np.ndarray, probs: np.ndarray, bins: int) -> list[dict[str, float]]:
    """Mean probability, observed frequency and number of all N·C decisions in each of equally wide bins that has any."""
    true, probs = true.ravel(), probs.ravel()
    place = np.minimum((probs * bins).astype(int), bins - 1)
    rows = []
    for i in np.unique(place):
        inside = place == i
        rows.append(
            {
                "probability": float(probs[inside].mean()),
                "frequency": float(true[inside].mean()),
                "decisions": int(inside.sum()),
            }
        )
    return rows


def calibration_error(true: np.ndarray, probs: np.ndarray, bins: int) -> float:
    """Expected calibration error: |probability - frequency| of the bins, weighted by their decisions."""
    rows = calibration(true, probs, bins)
    return sum(abs(row["probability"] - row["frequency"]) * row["decisions"] for row in rows) / true.size


def rank_correlation(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    """Spearman's correlation over the pairs of which both are known, and their number; 0 where it is undefined."""
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    if len(a) < FEWEST_RANKED or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0, len(a)
    return float(spearmanr(a, b).statistic), len(a)


def risk_coverage_area(wrong: np.ndarray, uncertainty: np.ndarray) -> float:
    """Mean over all coverages of the share of wrong (n,) among the decisions that are kept, the most certain first.

    Equally uncertain decisions are kept in no order: each counts as their mean.
    """
    _, group = np.unique(uncertainty, return_inverse=True)
    mean = np.bincount(group, weights=wrong) / np.bincount(group)
    ordered = mean[np.sort(group)]
    return float((np.cumsum(ordered) / np.arange(1, len(ordered) + 1)).mean())


def over_seeds(scores: list[dict], keys: Iterable[str]) -> dict:
    """Mean and standard deviation of the scores of networks of several seeds, of those keys that they have."""
    trees = [{key: of_seed[key] for key in keys if key in of_seed} for of_seed in scores]
    return {"networks": len(scores)} | spread(trees)


def spread(trees: list[dict]) -> dict:
    """Mean and standard deviation of each number of some trees of one form; counts, which are whole, stay as they are."""
    result: dict = {}
    for key, first in trees[0].items():
        values = [tree[key] for tree in trees]
        if isinstance(first, dict):
            result[key] = spread(values)
        elif isinstance(first, float):
            result[key] = {"mean": float(np.mean(values)), "deviation": float(np.std(values, ddof=1))}
        else:
            result[key] = first
    return result
