"""Excess error: how much worse a modality alone predicts a clip's labels than the labels' shares do.

It tells σ about noise that nobody annotated: where a modality is noisy, its prediction is no better than the labels' shares,
whatever the labels are. The plain error would not do: it is small wherever a label is rare, and large wherever one is
present. Nor would errors on clips that were learned from, which vanish. So a ridge regression predicts the labels' presence
from a modality's mean row, and each clip of the training split is left out in turn.

Most of a single clip's excess error is chance, and a network would learn it by heart. So the target of σ is the excess error
that the clip's features predict: partial least squares with one component, whose direction is the covariance of the features
with the error.
"""

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from lddu.tensors import Split, pooled

# Penalties of the ridge regression, on standardised features; the one with the least squared error on left-out clips is used.
PENALTIES = tuple(10 ** (n / 2) for n in range(13))
# With fewer clips than this, excess errors say nothing and are NaN.
MIN_CLIPS = 8
# A feature, or a score, whose deviation is below this share of the largest is constant but for rounding.
CONSTANT = 1e-6


def excess_errors(train: Split, valid: Split) -> tuple[Tensor, Tensor]:
    """(N, M, C) float32 for either split: predicted excess errors, in standard deviations over train, for each label.

    NaN where the modality is absent, and everywhere where fewer than MIN_CLIPS clips could teach the regressions.
    """
    with threadpool_limits(1):  # sums repeat whatever the number of cores
        errors = [_of_modality(m, train, valid) for m in train.features]
    of_train, of_valid = (np.stack(by_modality, axis=1).astype(np.float32) for by_modality in zip(*errors, strict=True))
    return torch.from_numpy(of_train), torch.from_numpy(of_valid)


def _of_modality(m: str, train: Split, valid: Split) -> list[np.ndarray]:
    usable = (train.masks[m].any(dim=1) & train.complete).numpy()
    if usable.sum() < MIN_CLIPS:
        return [np.full(split.labels.shape, np.nan) for split in (train, valid)]
    features = [pooled(split, [m]) for split in (train, valid)]
    mean, deviation = features[0][usable].mean(axis=0), features[0][usable].std(axis=0)
    deviation[deviation <= CONSTANT * deviation.max()] = np.inf
    standard = [(x - mean) / deviation for x in features]
    learned = standard[0][usable]
    direction = learned.T @ left_out_excess(learned, train.present.double().numpy()[usable])  # (D, C)
    predicted = [x @ direction for x in standard]
    scale = predicted[0][usable].std(axis=0)
    scale[scale <= CONSTANT * scale.max()] = np.inf
    return [x / scale for x in predicted]


def left_out_excess(features: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(n, C): squared error of a ridge regression of presence (n, C) on features (n, D), minus that of the mean presence.

    Both are of left-out clips: regression, intercept and mean come from the n - 1 other clips. One penalty serves all labels.
    """
    clips, centred = len(features), present - present.mean(axis=0)
    ridge = RidgeCV(alphas=PENALTIES, alpha_per_target=False, store_cv_results=True).fit(features, centred)
    squared_errors = ridge.cv_results_[:, :, PENALTIES.index(ridge.alpha_)]
    return squared_errors - (centred * clips / (clips - 1)) ** 2  # leaving a clip out moves the mean away from it
