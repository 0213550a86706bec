"""What the method is measured against: the label prior, and logistic regression on each modality's rows, pooled."""

from collections.abc import Iterator

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from lddu.metrics import clipped_cross_entropy
from lddu.tensors import Split, pooled

# Inverse strengths of the regularisation; the one with the lowest cross-entropy on valid is used.
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
STEPS = 2000


def probabilities(
    train: Split, splits: dict[str, Split], prior: np.ndarray, deviation: bool = False
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Name and probabilities (N, C) of every baseline for every split: the prior, a probe on each modality, one on all joined.

    A probe reads a clip's mean row, and with `deviation` the deviation of its rows too, as a network may.
    `train` and `splits["valid"]` must be labelled throughout.
    """
    yield "prior", {name: np.tile(prior, (len(split), 1)) for name, split in splits.items()}
    modalities = list(train.features)
    sets = {m: [m] for m in modalities} | ({"joined": modalities} if len(modalities) > 1 else {})
    for baseline, members in sets.items():
        rows = {name: pooled(split, members, deviation) for name, split in {**splits, "learn": train}.items()}
        mean, scale = np.nanmean(rows["learn"], axis=0), np.nanstd(rows["learn"], axis=0)
        scale[~(scale > 0)] = 1.0
        features = {name: np.nan_to_num((x - mean) / scale) for name, x in rows.items()}
        yield baseline, probe(features, _present(train), _present(splits["valid"]))


def probe(features: dict[str, np.ndarray], train: np.ndarray, valid: np.ndarray) -> dict[str, np.ndarray]:
    """A logistic regression for each label on features["learn"]: probabilities (N, C) of all the others."""
    candidates = []
    with threadpool_limits(1):  # sums repeat whatever the number of cores
        for strength in STRENGTHS:
            probs = {name: fitted(features["learn"], train, x, strength) for name, x in features.items() if name != "learn"}
            candidates.append((clipped_cross_entropy(valid, probs["valid"]), probs))
    return min(candidates, key=lambda candidate: candidate[0])[1]


def fitted(learn: np.ndarray, train: np.ndarray, features: np.ndarray, strength: float) -> np.ndarray:
    """(N, C): probabilities for features (N, D), learned on (n, D) and labels (n, C); a constant for a constant label."""
    columns = []
    for label in train.T:
        if label.all() or not label.any():
            columns.append(np.full(len(features), float(label[0])))
            continue
        model = LogisticRegression(C=strength, max_iter=STEPS).fit(learn, label)
        columns.append(model.predict_proba(features)[:, 1] if len(features) else np.zeros(0))
    return np.stack(columns, axis=1)


def _present(split: Split) -> np.ndarray:
    return (split.labels > 0).numpy()
