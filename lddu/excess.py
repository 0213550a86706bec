"""Excess error: how much worse than knowing nothing a modality by itself tells a clip's labels.

It is what σ can learn of noise without being told: where a modality is noisy, what is read from it is no better than the
labels' means, whatever the labels are. The plain error will not do, since it is small wherever a label is rare and large
wherever one is there. Nor will errors on clips that were learned from: those vanish. So presence is regressed on a modality's
mean row by ridge regression, and each clip of the training split is left out in turn, which has a closed form.

Most of a single clip's excess error is chance, and a network learns it by heart. So σ is taught what is to be expected of the
clip's features: partial least squares with one component, whose direction is the covariance of the features with the error.
"""

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from lddu.tensors import Split, pooled

# Penalties that are tried, of standardised features; the one with the least squared error of clips left out is kept.
PENALTIES = tuple(10 ** (n / 2) for n in range(13))
# Fewer clips than this have no excess errors worth the name.
FEWEST = 8
# A feature, or a score, whose deviation is below this share of the largest is constant but for rounding.
CONSTANT = 1e-6


def excess_errors(train: Split, valid: Split) -> tuple[Tensor, Tensor]:
    """(N, M, C) float32 for either split: excess errors to be expected, in deviations over train, label by label.

    NaN where the modality is absent, and throughout where too few clips could teach the regressions.
    """
    found = []
    with threadpool_limits(1):  # sums repeat whatever the number of cores
        for m in train.features:
            found.append(_of_modality(m, train, valid))
    of_train, of_valid = (np.stack(parts, axis=1).astype(np.float32) for parts in zip(*found, strict=True))
    return torch.from_numpy(of_train), torch.from_numpy(of_valid)


def _of_modality(m: str, train: Split, valid: Split) -> list[np.ndarray]:
    learned = (train.masks[m].any(dim=1) & train.complete).numpy()
    if learned.sum() < FEWEST:
        return [np.full(split.labels.shape, np.nan) for split in (train, valid)]
    features = [pooled(split, [m]) for split in (train, valid)]
    mean, deviation = features[0][learned].mean(axis=0), features[0][learned].std(axis=0)
    deviation[deviation <= CONSTANT * deviation.max()] = np.inf
    standard = [(x - mean) / deviation for x in features]
    known = standard[0][learned]
    direction = known.T @ left_out(known, (train.labels > 0).double().numpy()[learned])  # (D, C)
    expected = [x @ direction for x in standard]
    scale = expected[0][learned].std(axis=0)
    scale[scale <= CONSTANT * scale.max()] = np.inf
    return [x / scale for x in expected]


def left_out(features: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(n, C): by how much the squared error of a ridge regression of presence (n, C) on features (n, D), whose mean is 0, is
    above that of the mean presence; for each clip, of the other clips' regression and mean.

    Leaving out i multiplies its residual by 1 / (1 - leverage of i).
    """
    clips = len(features)
    left, spread, _ = np.linalg.svd(features, full_matrices=False)
    centred = present - present.mean(axis=0)
    along = left.T @ centred
    tried = []
    for penalty in PENALTIES:
        shrink = spread**2 / (spread**2 + penalty)
        leverage = (left**2 * shrink).sum(axis=1) + 1 / clips
        tried.append((centred - (left * shrink) @ along) / (1 - leverage)[:, None])
    residuals = min(tried, key=lambda residuals: float((residuals**2).mean()))
    return residuals**2 - (centred * clips / (clips - 1)) ** 2
