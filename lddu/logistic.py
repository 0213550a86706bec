"""Logistic regressions of many labels, and of several strengths of the penalty, fitted to the same features at once.

Each minimises C · Σ log(1 + exp(∓z)) + |w|² / 2 with z = x w + b, as scikit-learn's LogisticRegression does; the bias is free.
A step multiplies the features by all weights together. The steps are taken in coordinates in which the curvature is at most 1
in all directions: that of a logistic loss is at most a quarter of the features' products, which are factorised once for each
strength. So tens of steps are enough, where one regression by itself takes hundreds.

n rows, D features, S strengths, C labels.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit

STEPS = 500
TOLERANCE = 1e-5  # largest gradient at which the steps end, in those coordinates


def fit(x: np.ndarray, labels: np.ndarray, strengths: Sequence[float], advance: Callable[[], object]) -> np.ndarray:
    """(S, D + 1, C): weights and, last, the bias for features (n, D) and labels (n, C) bool, none of which is constant.

    `strengths` are inverse: scikit-learn's C. `advance` is called after each step.
    """
    x, signs = with_one(x), np.where(labels, 1.0, -1.0)[:, None]
    penalised = np.append(np.ones(x.shape[1] - 1), 0.0)[:, None]
    products = x.T @ x / 4
    roots = [cholesky(strength * products + np.diag(penalised[:, 0])) for strength in strengths]
    shape = len(strengths), x.shape[1], labels.shape[1]
    weight = np.array(strengths)[:, None]

    def weights_at(place: np.ndarray) -> np.ndarray:
        return np.stack(
            [solve_triangular(root, part, check_finite=False) for root, part in zip(roots, place.reshape(shape), strict=True)]
        )

    def objective(place: np.ndarray) -> tuple[float, np.ndarray]:
        weights = weights_at(place)
        columns = weights.transpose(1, 0, 2).reshape(x.shape[1], -1)
        margins = signs * (x @ columns).reshape(len(x), *shape[::2])  # (n, S, C)
        loss = (weight * np.logaddexp(0, -margins).sum(0)).sum() + (penalised * weights**2).sum() / 2
        errors = -signs * expit(-margins) * weight
        slopes = (x.T @ errors.reshape(len(x), -1)).reshape(x.shape[1], *shape[::2]).transpose(1, 0, 2) + penalised * weights
        slopes = [solve_triangular(root, part, trans="T", check_finite=False) for root, part in zip(roots, slopes, strict=True)]
        return float(loss), np.stack(slopes).ravel()

    start = np.zeros(int(np.prod(shape)))
    options = {"maxiter": STEPS, "maxfun": 2 * STEPS, "maxcor": 20, "gtol": TOLERANCE, "ftol": 0.0}
    found = minimize(
        objective, start, jac=True, method="L-BFGS-B", options=options, callback=lambda intermediate_result: advance()
    )
    return weights_at(found.x)


def probabilities(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n, C): for features (n, D), by the weights (D + 1, C) of one strength."""
    return expit(with_one(x) @ weights)


def with_one(x: np.ndarray) -> np.ndarray:
    """(n, D + 1) float64: features, and 1 for the bias."""
    return np.concatenate([x, np.ones((len(x), 1))], axis=1, dtype=np.float64)
