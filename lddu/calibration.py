"""What σ is calibrated by: for each clip, modality and label, how noisy and how ambiguous a simple model finds the modality.

Both come from a ridge regression of the labels' presence on a modality's mean row. Each clip of the training split is predicted
by one that learned from other speakers' clips: errors on clips, and on speakers, that were learned from are too small.

**Noise**, how little a modality carries: the excess error, how much worse the regression predicts a clip's labels than the
labels' shares do. It tells of noise that nobody annotated: where a modality is noisy, its prediction is no better than the
shares, whatever the labels are. The plain error would not do: it is small wherever a label is rare, and large wherever one is
present. Most of a single clip's excess error is chance, and a network would learn it by heart. So the target is the excess
error that the clip's features predict: partial least squares with one component, whose direction is the covariance of the
features with the error.

**Ambiguity**, how mixed is what it carries: the standard deviation √(p (1 - p)) of a label whose predicted probability is p.
"""

import numpy as np
import torch
from sklearn.linear_model import Ridge, RidgeCV
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from lddu import folds
from lddu.tensors import Split, pooled

# Penalties of the ridge regression, on standardised features; the one with the least squared error on clips left out one by one
# is used.
PENALTIES = tuple(10 ** (n / 2) for n in range(13))
# With fewer clips than this, regressions say nothing and all targets are NaN.
MIN_CLIPS = 8
# A feature, or a score, whose deviation is below this share of the largest is constant but for rounding.
CONSTANT = 1e-6
# p is kept this far from 0 and 1, where a linear regression says nothing of how sure it is.
LEAST = 0.1
# How much log ‖σ‖ of the noise should rise for each standard deviation of predicted excess error.
RISE = 0.1


def targets(train: Split, valid: Split) -> tuple[Tensor, Tensor]:
    """(N, M, C, 2) float32 for either split: what log ‖σ‖ should be but for a constant, by noise and by ambiguity.

    NaN where the modality is absent, and everywhere where fewer than MIN_CLIPS clips could teach the regressions.
    """
    with threadpool_limits(1):  # sums repeat whatever the number of cores
        of_modalities = [_of_modality(m, train, valid) for m in train.features]
    of_train, of_valid = (np.stack(parts, axis=1).astype(np.float32) for parts in zip(*of_modalities, strict=True))
    return torch.from_numpy(of_train), torch.from_numpy(of_valid)


def _of_modality(m: str, train: Split, valid: Split) -> list[np.ndarray]:
    """(N, C, 2) for either split."""
    usable = (train.masks[m].any(dim=1) & train.complete).numpy()
    if usable.sum() < MIN_CLIPS:
        return [np.full((*split.labels.shape, 2), np.nan) for split in (train, valid)]
    features = [pooled(split, [m]) for split in (train, valid)]
    mean, deviation = features[0][usable].mean(axis=0), features[0][usable].std(axis=0)
    deviation[deviation <= CONSTANT * deviation.max()] = np.inf
    standard = [(x - mean) / deviation for x in features]
    present = train.present.double().numpy()[usable]
    model = RidgeCV(alphas=PENALTIES).fit(standard[0][usable], present)
    left_out, shares = predictions_of_others(standard[0][usable], present, train.people[usable], model.alpha_)
    direction = standard[0][usable].T @ excess_error(present, left_out, shares)  # (D, C)
    found = []
    for x in standard:
        probability = np.full((len(x), present.shape[1]), np.nan)
        there = ~np.isnan(x).any(axis=1)
        probability[there] = model.predict(x[there]) if there.any() else probability[there]
        if x is standard[0]:
            probability[usable] = left_out
        found.append((x @ direction, probability))
    scale = found[0][0][usable].std(axis=0)
    scale[scale <= CONSTANT * scale.max()] = np.inf
    return [np.stack([RISE * noise / scale, log_deviation(probability)], axis=-1) for noise, probability in found]


def predictions_of_others(
    features: np.ndarray, present: np.ndarray, people: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """(n, C) each, of features (n, D) and presence (n, C): what a ridge regression with that penalty predicts of each clip
    when it learns from clips of other speakers, intercept included; and the mean presence in what it learned from.

    `people` (n,) is the same number for clips of one speaker; if there is only one, folds of clips take the place of speakers.
    """
    left_out, shares = np.empty_like(present), np.empty_like(present)
    for learned, judged in folds.of_people(people):
        left_out[judged] = Ridge(penalty).fit(features[learned], present[learned]).predict(features[judged])
        shares[judged] = present[learned].mean(axis=0)
    return left_out, shares


def excess_error(present: np.ndarray, left_out: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(n, C): squared error of predictions (n, C) of clips that were left out, minus that of the labels' shares elsewhere."""
    return (present - left_out) ** 2 - (present - shares) ** 2


def log_deviation(probability: np.ndarray) -> np.ndarray:
    """log √(p (1 - p)), of probabilities that a linear regression may put outside of 0 to 1."""
    p = probability.clip(LEAST, 1 - LEAST)
    return 0.5 * np.log(p * (1 - p))
