"""Whether labels contradict those of the clips that are most like a clip, by its features and without its own labels.

The features are the mean rows of each modality in data/tensors. Presence is predicted by kernel ridge regression, whose
prediction for a clip without that clip has a closed form, and made a probability by logistic regression on that prediction.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from contract import MODALITIES, TENSOR_SPLITS
from preprocess.audit.findings import FAULT, Check, Finding

BLOCK = 2000  # clips that are compared with each other: the work grows with its square
FEWEST = 50  # clips below which nothing is said
RIDGE = 1.0
CONTRADICTS = 9.0  # log-probability by which the likeliest labels are likelier than those of the table
LEAST, STEPS = 1e-3, 30  # probability; steps of Newton's method


@dataclass(frozen=True)
class Features:
    """Clips with labels: their ids, mean rows (N, D) by modality, 0 where there are none, and presence (N, C)."""

    clip_ids: list[str]
    rows: dict[str, np.ndarray]
    present: np.ndarray


def read(folder: Path, above: float) -> Features:
    """The labelled clips of all splits; `above`: the intensity from which on a label is present."""
    ids, rows, labels = list[str](), {m: list[np.ndarray]() for m in MODALITIES}, []
    for split in TENSOR_SPLITS:
        path = folder / f"{split}.safetensors"
        if not path.is_file():
            continue
        tensors = load_file(path)
        with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as file:
            of_split = [row["clip_id"] for row in csv.DictReader(file)]
        known = ~np.isnan(tensors["labels"]).any(1)
        ids += [clip_id for clip_id, has in zip(of_split, known.tolist(), strict=True) if has]
        labels.append(tensors["labels"][known] > above)
        for m in MODALITIES:
            if m in tensors:
                mask = tensors[f"{m}_mask"][known][..., None]
                rows[m].append((tensors[m][known] * mask).sum(1) / np.maximum(mask.sum(1), 1))
    means = {m: np.concatenate(of_splits).astype(np.float64) for m, of_splits in rows.items() if of_splits}
    return Features(ids, means, np.concatenate(labels) if labels else np.zeros((0, 0), bool))


def probabilities(features: Features) -> np.ndarray:
    """(N, C) that each label is present, from the other clips alone."""
    count = len(features.clip_ids)
    result = np.zeros(features.present.shape)
    blocks = max(1, -(-count // BLOCK))
    for i in range(blocks):
        chosen = np.arange(i, count, blocks)
        kernel = sum((_kernel(rows[chosen]) for rows in features.rows.values()), np.zeros((len(chosen), len(chosen))))
        result[chosen] = _calibrated(_left_out(kernel, features.present[chosen]), features.present[chosen])
    return result


def _kernel(rows: np.ndarray) -> np.ndarray:
    """Gaussian kernel (N, N) of standardised rows (N, D); as wide as the clips' median distance."""
    has: np.ndarray = np.any(rows, axis=1)
    if not has.any():
        return np.zeros((len(rows), len(rows)))
    standard = np.where(has[:, None], (rows - rows[has].mean(0)) / (rows[has].std(0) + 1e-6), 0.0)
    products = standard @ standard.T
    square = np.maximum(np.diag(products)[:, None] + np.diag(products)[None] - 2 * products, 0.0)
    return np.exp(-square / max(float(np.median(square)), 1e-9))


def _left_out(kernel: np.ndarray, present: np.ndarray) -> np.ndarray:
    """The regression's value (N, C) for each clip, fitted to the others."""
    kernel = kernel + 1.0  # a constant
    hat = kernel @ np.linalg.inv(kernel + RIDGE * np.eye(len(kernel)))
    target, own = 2.0 * present - 1, np.diag(hat)[:, None]
    return (hat @ target - own * target) / (1 - own)


def _calibrated(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Probabilities (N, C) of values (N, C), by logistic regression for each label."""
    result = np.zeros(values.shape)
    for k in range(values.shape[1]):
        inputs, weights = np.stack([values[:, k], np.ones(len(values))], 1), np.zeros(2)
        for _ in range(STEPS):
            p = 1 / (1 + np.exp(-inputs @ weights))
            slope = inputs.T @ (present[:, k] - p) - LEAST * weights
            curve = (inputs * (p * (1 - p))[:, None]).T @ inputs + LEAST * np.eye(2)
            weights = weights + np.linalg.solve(curve, slope)
        result[:, k] = 1 / (1 + np.exp(-inputs @ weights))
    return np.clip(result, LEAST, 1 - LEAST)


def judge(features: Features, names: list[str]) -> list[Finding]:
    """Clips with labels that are far less likely than others."""
    if len(features.clip_ids) < FEWEST:
        return []
    likely = probabilities(features)
    expected = likely > 0.5
    log = np.log(np.where(expected, likely, 1 - likely)) - np.log(np.where(features.present, likely, 1 - likely))
    findings = []
    for i in np.flatnonzero(log.sum(1) > CONTRADICTS).tolist():
        has = [name for name, value in zip(names, features.present[i], strict=True) if value]
        should = [name for name, value in zip(names, expected[i], strict=True) if value]
        found = f"labelled {' and '.join(has) or 'with none'}; clips like it are {' and '.join(should) or 'without labels'}"
        proposal = f"look again: {' and '.join(should) or 'none'}?"
        findings.append(Finding(features.clip_ids[i], Check.LABELS, FAULT, found, proposal))
    return findings
