"""The rows of a modality of some clips as one: what probes, novelty and the calibration of σ read."""

import numpy as np
from numpy.typing import ArrayLike

BLOCK = 1024  # clips whose rows are averaged at once


def mean_rows(features: ArrayLike, masks: ArrayLike) -> np.ndarray:
    """(N, D) float64: the mean of the observed rows of features (N, L, D) by masks (N, L); NaN where there is none."""
    x, mask = np.asarray(features), np.asarray(masks)
    blocks = [slice(i, i + BLOCK) for i in range(0, len(x), BLOCK)]
    sums = [np.where(mask[block, :, None], x[block], 0).sum(axis=1, dtype=np.float64) for block in blocks]
    count = mask.sum(axis=1)[:, None]
    return np.concatenate(sums or [np.zeros((0, x.shape[2]))]) / np.where(count, count, np.nan)
