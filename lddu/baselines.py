"""What the method is measured against: prior, logistic regression on each modality's pooled rows, the MLP of lddu/mlp.py."""

from collections.abc import Callable, Iterator

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from tqdm import tqdm

from lddu import logistic, metrics
from lddu.metrics import clipped_cross_entropy
from lddu.mlp import MLP
from lddu.tensors import Split, pooled

# Inverse strengths of the regularisation; the one with the lowest cross-entropy on valid is used.
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
# Scores that are written for baselines and further networks.
SCORES = (
    "accuracy", "weighted_accuracy", "unweighted_accuracy", "hamming_loss", "micro_f1", "macro_f1", "micro_ap", "brier", "bce",
)  # fmt: skip

# Truth and probabilities (N, C) to thresholds (C,).
Chooser = Callable[[np.ndarray, np.ndarray], np.ndarray]


def scores(
    splits: dict[str, Split], prior: np.ndarray, mlps: list[MLP], choose: Chooser, deviation: bool = False
) -> dict[str, dict[str, dict]]:
    """For each split, the scores of each baseline at its own threshold from valid.

    `splits` have train and valid, and must be labelled throughout. `mlps` are one MLP for each seed; the first is scored, and
    with several the mean and deviation of all stand beside.
    """
    of_probes = probabilities(splits["train"], splits, prior, deviation)
    found = {name: of_all_splits(probs, splits, choose) for name, probs in of_probes}
    if mlps:
        seeds = [of_all_splits({name: mlp.probabilities(x) for name, x in splits.items()}, splits, choose) for mlp in mlps]
        found["mlp"] = {
            name: of_first | ({"seeds": metrics.over_seeds([seed[name] for seed in seeds], SCORES)} if len(seeds) > 1 else {})
            for name, of_first in seeds[0].items()
        }
    return {name: {baseline: of_splits[name] for baseline, of_splits in found.items()} for name in splits}


def of_all_splits(probs: dict[str, np.ndarray], splits: dict[str, Split], choose: Chooser) -> dict[str, dict]:
    """The scores of one baseline's probabilities (N, C) for each split."""
    thresholds = choose(splits["valid"].present.numpy(), probs["valid"])
    result = {}
    for name, split in splits.items():
        true = split.present.numpy()
        of_split = metrics.scores(true, probs[name], thresholds, list(split.label_names))
        of_split["bce"] = clipped_cross_entropy(true, probs[name])
        result[name] = {"threshold": float(thresholds.mean())} | {key: of_split[key] for key in SCORES if key in of_split}
    return result


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
        with tqdm(desc=f"probe, {baseline}", unit="step") as bar:
            probs = probe(features, train.present.numpy(), splits["valid"].present.numpy(), bar.update)
        yield baseline, probs


def probe(
    features: dict[str, np.ndarray], train: np.ndarray, valid: np.ndarray, advance: Callable[[], object] = lambda: None
) -> dict[str, np.ndarray]:
    """A logistic regression for each label on features["learn"]: probabilities (N, C) of all the others, of the strength that
    is best on valid; a constant for a constant label. `advance` is called after each step."""
    varies = train.any(axis=0) & ~train.all(axis=0)
    constant = np.where(varies, 0.5, train.all(axis=0))
    if not varies.any():
        return {name: np.tile(constant, (len(x), 1)) for name, x in features.items() if name != "learn"}
    candidates = []
    with threadpool_limits(1):  # sums repeat whatever the number of cores
        for weights in logistic.fit(features["learn"], train[:, varies], STRENGTHS, advance):
            probs = {name: np.tile(constant, (len(x), 1)) for name, x in features.items() if name != "learn"}
            for name, of_split in probs.items():
                of_split[:, varies] = logistic.probabilities(features[name], weights)
            candidates.append((clipped_cross_entropy(valid, probs["valid"]), probs))
    return min(candidates, key=lambda candidate: candidate[0])[1]
