"""Excess error: how much worse than knowing nothing a modality by itself tells a clip's labels.

It is what σ can learn of noise without being told: where a modality is noisy, what is read from it is no better than the
labels' means, whatever the labels are. The plain error will not do, since it is small wherever a label is rare and large
wherever one is there. Nor will errors on clips that were learned from: those vanish. So presence is regressed on a modality's
mean row by ridge regression, and each clip of the training split is left out in turn, which has a closed form.
"""

from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from lddu.tensors import Split, pooled

# Penalties that are tried, of standardised features; the one with the least squared error of clips left out is kept.
PENALTIES = tuple(10 ** (n / 2) for n in range(13))
# Fewer clips than this have no excess errors worth the name.
FEWEST = 8


@dataclass(frozen=True)
class Ridge:
    """Presence of C labels regressed on D features, from n clips."""

    mean: np.ndarray  # (D,) of the features
    deviation: np.ndarray  # (D,)
    prior: np.ndarray  # (C,) mean presence
    weights: np.ndarray  # (D, C)
    left_out: np.ndarray  # (n, C) excess errors of the clips themselves, each left out

    @classmethod
    def fit(cls, features: np.ndarray, present: np.ndarray) -> "Ridge":
        """Of features (n, D) and presence (n, C); leaving out i multiplies its residual by 1 / (1 - leverage of i)."""
        clips = len(features)
        mean, deviation, prior = features.mean(axis=0), features.std(axis=0), present.mean(axis=0)
        deviation[deviation <= 1e-6 * deviation.max()] = np.inf  # constant but for rounding
        left, spread, right = np.linalg.svd((features - mean) / deviation, full_matrices=False)
        centred = present - prior
        along = left.T @ centred
        best: tuple[float, np.ndarray, float] = (np.inf, centred, 0.0)
        for penalty in PENALTIES:
            shrink = spread**2 / (spread**2 + penalty)
            leverage = (left**2 * shrink).sum(axis=1) + 1 / clips
            residuals = (centred - (left * shrink) @ along) / (1 - leverage)[:, None]
            best = min(best, (float((residuals**2).mean()), residuals, penalty), key=lambda tried: tried[0])
        _, residuals, penalty = best
        weights = right.T @ ((spread / (spread**2 + penalty))[:, None] * along)
        return cls(mean, deviation, prior, weights, residuals**2 - (centred * clips / (clips - 1)) ** 2)

    def excess(self, features: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Squared error less that of the prior, (n, C), of clips that it did not learn from."""
        centred = present - self.prior
        return (centred - (features - self.mean) / self.deviation @ self.weights) ** 2 - centred**2


def excess_errors(train: Split, valid: Split) -> tuple[Tensor, Tensor]:
    """(N, M, C) float32 for either split: excess errors less their mean over train, in deviations, label by label.

    NaN where the modality is absent or the label unknown, and throughout where too few clips could teach the regression.
    """
    found = []
    with threadpool_limits(1):  # sums repeat whatever the number of cores
        for m in train.features:
            found.append(_of_modality(m, train, valid))
    of_train, of_valid = (np.stack(parts, axis=1).astype(np.float32) for parts in zip(*found, strict=True))
    return torch.from_numpy(of_train), torch.from_numpy(of_valid)


def _of_modality(m: str, train: Split, valid: Split) -> tuple[np.ndarray, np.ndarray]:
    features, presence = {}, {}
    for split in (train, valid):
        features[split.name] = pooled(split, [m])
        presence[split.name] = (split.labels > 0).double().masked_fill(split.labels.isnan(), torch.nan).numpy()
    learned = (train.masks[m].any(dim=1) & train.complete).numpy()
    if learned.sum() < FEWEST:
        return np.full(presence[train.name].shape, np.nan), np.full(presence[valid.name].shape, np.nan)
    ridge = Ridge.fit(features[train.name][learned], presence[train.name][learned])
    of_train = ridge.excess(features[train.name], presence[train.name])
    of_train[learned] = ridge.left_out
    mean, deviation = ridge.left_out.mean(axis=0), ridge.left_out.std(axis=0)
    deviation[deviation == 0] = 1.0
    of_valid = ridge.excess(features[valid.name], presence[valid.name])
    return (of_train - mean) / deviation, (of_valid - mean) / deviation
