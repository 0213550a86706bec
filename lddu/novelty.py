"""Novelty: how far a clip's features are from everything that the network learned from, a modality at a time.

σ knows the noise of what was trained on, and nothing of what was never seen. So the mean row of a modality is compared with
those of the training split by Mahalanobis' distance, whose covariance is shrunk (Ledoit and Wolf, 2004), since there may be
fewer clips than features. The distance has no unit. It is reported as a quantile of the distances that the training split's
own clips have from clips of *other* speakers: a clip of somebody new is no more novel than that.

A clip is novel because one modality is very unusual, or because all are a little: so from the share of distances that are
larger, a modality's p-value, come Fisher's p-value of all modalities and Bonferroni's of the smallest, and the smaller of both
is the clip's. It too is reported as a quantile of what the training split's own clips have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save_file
from scipy.special import gammaincc

from lddu import folds

FILE = "novelty.safetensors"
UNLIKE = 0.98  # a clip above this quantile is unlike anything that the network learned from
FEWEST = 8  # clips with a modality; of fewer there is no covariance
# A feature that hardly varies is divided by this share of the median deviation, one that varies even less is left out.
FLOOR, CONSTANT = 0.01, 1e-6
LEAST_VARIANCE = 1e-6  # in a direction, as a share of that in the direction of the largest variance


@dataclass(frozen=True)
class Known:
    """One modality of the training split: D features, n clips that have it."""

    mean: np.ndarray  # (D,) float32
    whitening: np.ndarray  # (D, D) float32: the distance of x is ‖(x - mean) whitening‖
    distances: np.ndarray  # (n,) float64, in rising order: of its clips from those of other speakers

    def shares(self, rows: np.ndarray) -> np.ndarray:
        """(N,): the share of the distances that are not above those of mean rows (N, D); NaN where they are NaN."""
        return share_below(self.distances, distances(rows, self.mean, self.whitening))


@dataclass(frozen=True)
class Novelty:
    """The training split, as new clips are compared with it."""

    known: dict[str, Known]  # by modality
    surprises: np.ndarray  # (n,) in rising order: of the training split's clips

    def of(self, rows: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """By modality (N,), and of the clip (N,), of mean rows (N, D): from 0, usual, to 1; NaN where nothing is present."""
        shares = {m: known.shares(rows[m]) for m, known in self.known.items()}
        if not shares:
            nothing = np.full(len(next(iter(rows.values()))), np.nan)
            return shares, nothing
        return shares, share_below(self.surprises, surprise(shares, {m: len(x.distances) for m, x in self.known.items()}))


def distances(rows: np.ndarray, mean: np.ndarray, whitening: np.ndarray) -> np.ndarray:
    return np.linalg.norm((rows - mean) @ whitening.astype(np.float64), axis=1)


def share_below(sorted_values: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The share of the sorted values that are not above each of the others; NaN stays."""
    shares = np.searchsorted(sorted_values, values, side="right") / max(len(sorted_values), 1)
    return np.where(np.isnan(values), np.nan, shares)


def surprise(shares: dict[str, np.ndarray], sizes: dict[str, int]) -> np.ndarray:
    """(N,): -log of the smaller of Fisher's and Bonferroni's p-value of shares (N,) by modality; NaN where all are absent.

    `sizes` are the numbers of distances that the shares are of.
    """
    p = np.stack([((1 - share) * sizes[m] + 1) / (sizes[m] + 1) for m, share in shares.items()])
    present = (~np.isnan(p)).sum(axis=0)
    surprises = np.maximum(-np.log(np.nan_to_num(p, nan=1.0)), 0).sum(axis=0)
    fisher = gammaincc(np.maximum(present, 1), surprises)
    smallest = np.minimum(1, np.nan_to_num(p, nan=1.0).min(axis=0) * present)
    return np.where(present > 0, -np.log(np.minimum(fisher, np.where(present > 0, smallest, 1.0))), np.nan)


def fit(rows: Mapping[str, np.ndarray], people: np.ndarray) -> Novelty:
    """Learn what the training split is like, of its mean rows (N, D) by modality and people (N,), the same number for clips of
    one speaker. A modality that fewer than FEWEST clips have is never novel."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    known: dict[str, Known] = {}
    shares: dict[str, np.ndarray] = {}
    with threadpool_limits(1):  # sums repeat whatever the number of cores
        for m, of_modality in rows.items():
            there = ~np.isnan(of_modality).any(axis=1)
            if there.sum() < FEWEST:
                continue
            held_out = distances_from_others(of_modality[there], people[there])
            known[m] = Known(*whitened(of_modality[there]), np.sort(held_out))
            shares[m] = np.full(len(of_modality), np.nan)
            shares[m][there] = share_below(known[m].distances, held_out)
    found = surprise(shares, {m: len(x.distances) for m, x in known.items()}) if known else np.zeros(0)
    return Novelty(known, np.sort(found[~np.isnan(found)]))


def distances_from_others(rows: np.ndarray, people: np.ndarray) -> np.ndarray:
    """(n,): of each row (n, D) from the rows of other people; where there is only one, from other clips."""
    found = np.zeros(len(rows))
    for others, held_out in folds.of_people(people):
        found[held_out] = distances(rows[held_out], *whitened(rows[others]))
    return found


def whitened(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) of rows (n, D), and the matrix (D, D) that makes their shrunk covariance the identity; float32."""
    from sklearn.covariance import LedoitWolf

    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    varying = deviation > CONSTANT * max(deviation.max(), np.finfo(float).tiny)
    floor = FLOOR * np.median(deviation[varying]) if varying.any() else 1.0
    scale = np.where(varying, 1 / np.maximum(deviation, floor), 0.0)
    shrunk = LedoitWolf(assume_centered=True, store_precision=False).fit((rows - mean) * scale).covariance_
    variances, directions = np.linalg.eigh(shrunk)
    # Where the clips are few points, such as two sentences that all of them say, nothing is shrunk.
    variances = np.maximum(variances, max(LEAST_VARIANCE * variances.max(), np.finfo(np.float32).tiny))
    return mean.astype(np.float32), (scale[:, None] * directions / np.sqrt(variances)).astype(np.float32)


def write(path: Path, novelty: Novelty) -> None:
    tensors = {"surprises": novelty.surprises}
    for m, known in novelty.known.items():
        tensors |= {f"{m}.{name}": np.ascontiguousarray(x) for name, x in vars(known).items()}
    save_file(tensors, path)


def read(path: Path) -> Novelty:
    """FileNotFoundError, or KeyError or TypeError where the file is of another version."""
    tensors = load(path.read_bytes())
    of_modality: dict[str, dict[str, np.ndarray]] = {}
    for key in [key for key in tensors if key != "surprises"]:
        m, _, name = key.partition(".")
        of_modality.setdefault(m, {})[name] = tensors[key]
    return Novelty({m: Known(**arrays) for m, arrays in of_modality.items()}, tensors["surprises"])
