"""Logistic regressions of many labels, and of several strengths of the penalty, fitted to the same features.

Each minimises C · Σ log(1 + exp(∓z)) + |w|² / 2 with z = x w + b, as scikit-learn's LogisticRegression does; the bias is free.
A step multiplies the features by the weights of all labels together. The steps are taken in coordinates in which the curvature
is at most 1 in all directions: that of a logistic loss is at most a quarter of the features' products, which are factorised
once for each strength. So tens of steps are enough, where one regression by itself takes hundreds. The strengths share the
cores.

n rows, D features, S strengths, C labels.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit

STEPS = 500
TOLERANCE = 1e-5  # largest gradient at which the steps end, in those coordinates


def fit(x: np.ndarray, labels: np.ndarray, strengths: Sequence[float], advance: Callable[[], object]) -> np.ndarray:
    """(S, D + 1, C): weights and, last, the bias for features (n, D) and labels (n, C) bool, none of which is constant.

    `strengths` are inverse: scikit-learn's C. `advance` is called after each step, by several threads.
    """
    x, signs = with_one(x), np.where(labels, 1.0, -1.0)
    penalised = np.append(np.ones(x.shape[1] - 1), 0.0)
    products = x.T @ x / 4

    def weights(strength: float) -> np.ndarray:
        root = cholesky(strength * products + np.diag(penalised))
        return _minimised(x, signs, strength, penalised[:, None], root, advance)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        return np.stack(list(threads.map(weights, strengths)))


def _minimised(
    x: np.ndarray, signs: np.ndarray, strength: float, penalised: np.ndarray, root: np.ndarray, advance: Callable[[], object]
) -> np.ndarray:
    """(D + 1, C): the weights of one strength, with steps in the coordinates of the upper triangle `root` (D + 1, D + 1)."""
    shape = x.shape[1], signs.shape[1]

    def weights_at(place: np.ndarray) -> np.ndarray:
        return solve_triangular(root, place.reshape(shape), check_finite=False)

    def objective(place: np.ndarray) -> tuple[float, np.ndarray]:
        weights = weights_at(place)
        margins = signs * (x @ weights)  # (n, C)
        loss = strength * np.logaddexp(0, -margins).sum() + (penalised * weights**2).sum() / 2
        slopes = x.T @ (-strength * signs * expit(-margins)) + penalised * weights
        return float(loss), solve_triangular(root, slopes, trans="T", check_finite=False).ravel()

    options = {"maxiter": STEPS, "maxfun": 2 * STEPS, "maxcor": 20, "gtol": TOLERANCE, "ftol": 0.0}
    start, after = np.zeros(shape[0] * shape[1]), lambda intermediate_result: advance()
    return weights_at(minimize(objective, start, jac=True, method="L-BFGS-B", options=options, callback=after).x)


def probabilities(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, C): for features (n, D), by the weights (D + 1, C) of one strength."""
    return expit(with_one(x) @ weights)


def with_one(x: np.ndarray) -> np.ndarray:
    """(n, D + 1) float64: features, and 1 for the bias."""
    return np.concatenate([x, np.ones((len(x), 1))], axis=1, dtype=np.float64)
