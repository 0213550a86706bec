"""Stage `evaluate`: the trained network and tensors in; metrics, predictions and plots out.

One threshold for all labels is chosen on valid. Test is scored with it, once.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from tqdm import tqdm

import params
from lddu import baselines, metrics, plots, weights
from lddu.batches import in_order
from lddu.device import accelerator as accelerator_on
from lddu.engine import Predictions, predict
from lddu.model import LDDU
from lddu.tensors import SPLITS, Split, TensorError, read_noise, read_splits, require_labels

MODEL = Path("data/model")
METRICS = Path("metrics")
PREDICTIONS = Path("data/predictions")
PLOTS = Path("data/plots")
SCORED = ("train", "valid", "test")
BATCH = 64
# Scores of a baseline that stand beside the network's.
BESIDE = ("accuracy", "hamming_loss", "micro_f1", "macro_f1", "micro_ap", "brier")
# Digits behind the point in JSON.
DIGITS = 6


@dataclass(frozen=True)
class Scored:
    """The clips of a split whose labels are all known, and what was said of them."""

    true: np.ndarray  # (N, C) bool
    predictions: Predictions
    clip_ids: tuple[str, ...]


def predict_splits(model: LDDU, splits: dict[str, Split], accelerator: Accelerator) -> dict[str, Predictions]:
    """Predictions of every split that has clips."""
    model = accelerator.prepare(model)
    found = {}
    with tqdm(total=sum(map(len, splits.values())), desc="evaluate", unit="clip") as bar:
        for name, split in splits.items():
            if len(split):
                batches = accelerator.prepare(in_order(split, BATCH))
                found[name] = predict(model, batches, [lambda _, labels: _advance(bar, len(labels))])
    return found


def _advance(bar: tqdm, clips: int) -> None:
    bar.update(clips)


def scored(split: Split, predictions: Predictions) -> Scored:
    """The part of a split and its predictions that can be scored."""
    chosen = split.complete.numpy()
    of_chosen = Predictions(
        predictions.log_probs[chosen],
        predictions.log_not_probs[chosen],
        {m: x[chosen] for m, x in predictions.present.items()},
        {m: x[chosen] for m, x in predictions.log_sigma.items()},
    )
    ids = tuple(clip_id for clip_id, keep in zip(split.clip_ids, chosen, strict=True) if keep)
    return Scored((split.labels > 0).numpy()[chosen], of_chosen, ids)


def network_scores(part: Scored, threshold: float, labels: list[str], bins: int) -> dict:
    """Every score of the network on a split."""
    found = part.predictions
    return metrics.scores(part.true, found.probs, threshold, labels) | {
        "bce": metrics.cross_entropy(part.true, found.log_probs, found.log_not_probs),
        "calibration_error": metrics.calibration_error(part.true, found.probs, bins),
    }


def uncertainty_scores(part: Scored, noise: dict[str, np.ndarray]) -> dict:
    """Spearman's correlation of a modality's known noise with its reported σ, the mean over labels of log ‖σ‖."""
    scores = {}
    for m, log_sigma in part.predictions.log_sigma.items():
        correlation, clips = metrics.rank_correlation(noise[m], log_sigma.mean(axis=1))
        scores[m] = {"noise_spearman": correlation, "clips": clips}
    return scores


def baseline_scores(parts: dict[str, Scored], splits: dict[str, Split], prior: np.ndarray, step: float) -> dict[str, dict]:
    """For each split, the scores of each baseline at its own threshold from valid."""
    chosen = {name: splits[name].select(splits[name].complete) for name in parts}
    labels = list(splits["train"].label_names)
    scores: dict[str, dict] = {name: {} for name in parts}
    for baseline, probs in baselines.probabilities(chosen["train"], chosen, prior):
        threshold = metrics.best_threshold(parts["valid"].true, probs["valid"], step)
        for name, part in parts.items():
            found = metrics.scores(part.true, probs[name], threshold, labels)
            scores[name][baseline] = {"threshold": threshold} | {key: found[key] for key in BESIDE}
            scores[name][baseline]["bce"] = metrics.clipped_cross_entropy(part.true, probs[name])
    return scores


def sigma_quantiles(found: Predictions, train: Predictions) -> dict[str, np.ndarray]:
    """(N, C) a modality: the share of the training split's clips whose log ‖σ‖ of that label is not above; NaN if absent."""
    quantiles = {}
    for m, log_sigma in found.log_sigma.items():
        known = np.sort(train.log_sigma[m][train.present[m]], axis=0)
        place = [np.searchsorted(known[:, c], log_sigma[:, c], side="right") for c in range(log_sigma.shape[1])]
        share = np.stack(place, axis=1) / max(len(known), 1)
        quantiles[m] = np.where(np.isnan(log_sigma), np.nan, share)
    return quantiles


def prediction_rows(split: Split, found: Predictions, train: Predictions, threshold: float) -> list[dict[str, str]]:
    """A row a clip: what was there, and for each label its probability, decision, truth and σ as a quantile of train."""
    quantiles, probs, true = sigma_quantiles(found, train), found.probs, split.labels.numpy()
    rows = []
    for i, clip_id in enumerate(split.clip_ids):
        row = {"clip_id": clip_id, "modalities": " ".join(m for m, there in found.present.items() if there[i])}
        for c, label in enumerate(split.label_names):
            row[f"{label}_probability"] = f"{probs[i, c]:.6f}"
            row[f"{label}_predicted"] = str(int(probs[i, c] >= threshold))
            row[f"{label}_true"] = "" if np.isnan(true[i, c]) else str(int(true[i, c] > 0))
            for m, quantile in quantiles.items():
                row[f"{label}_sigma_{m}"] = "" if np.isnan(quantile[i, c]) else f"{quantile[i, c]:.4f}"
        rows.append(row)
    return rows


def prediction_columns(split: Split) -> list[str]:
    """The columns of `prediction_rows`, which a split without clips has too."""
    sigma = [f"sigma_{m}" for m in split.features]
    per_label = [f"{label}_{what}" for label in split.label_names for what in ("probability", "predicted", "true", *sigma)]
    return ["clip_id", "modalities", *per_label]


def write_table(path: Path, columns: list[str], rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_metrics(scores: dict[str, dict]) -> None:
    """metrics/<split>.json; those of an earlier run are removed first."""
    METRICS.mkdir(parents=True, exist_ok=True)
    for name in SCORED:
        (METRICS / f"{name}.json").unlink(missing_ok=True)
    for name, tree in scores.items():
        (METRICS / f"{name}.json").write_text(json.dumps(rounded(tree), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def rounded(tree: dict) -> dict:
    return {key: rounded(x) if isinstance(x, dict) else round(x, DIGITS) for key, x in tree.items()}


def draw(part: Scored, scores: dict, noise: dict[str, np.ndarray], bins: int) -> None:
    """The plots of one split."""
    found = part.predictions
    plots.precision_recall(part.true, found.probs, scores, PLOTS)
    plots.confusion(part.true, found.probs, scores, PLOTS)
    plots.calibration(part.true, found.probs, scores, bins, PLOTS)
    plots.baselines(scores, PLOTS)
    log_sigma = {m: x.mean(axis=1) for m, x in found.log_sigma.items()}
    plots.uncertainty(part.clip_ids, noise, log_sigma, scores, PLOTS)


def read(parameters: params.Params) -> tuple[LDDU, weights.Card, dict[str, Split]]:
    """The trained network and all splits, which must fit each other."""
    folder = Path(parameters.tensors)
    model, card = weights.load(MODEL)
    splits = read_splits(folder, SPLITS, parameters.corpus.labels)
    for name in ("train", "valid"):
        require_labels(splits[name], folder)
    if card.labels != parameters.corpus.labels or model.config.dims != splits["train"].dims:
        raise TensorError(
            f"{MODEL} was trained on {model.config.dims} and labels {card.labels}, "
            f"{folder} has {splits['train'].dims} and {parameters.corpus.labels}: run train again"
        )
    return model, card, splits


def evaluate(parameters: params.Params) -> None:
    """The stage."""
    settings, labels = parameters.evaluate, parameters.corpus.labels
    model, card, splits = read(parameters)
    found = predict_splits(model, splits, accelerator_on(parameters.run.device, parameters.train.threads))
    parts = {name: scored(splits[name], found[name]) for name in SCORED if bool(splits[name].complete.any())}
    threshold = metrics.best_threshold(parts["valid"].true, parts["valid"].predictions.probs, settings.threshold_step)
    beside = baseline_scores(parts, splits, np.array(card.prior), settings.threshold_step)
    noise = {name: read_noise(Path(parameters.tensors), part.clip_ids) for name, part in parts.items()}
    scores = {
        name: {"clips": len(part.clip_ids), "epoch": card.epoch, "threshold": threshold}
        | network_scores(part, threshold, labels, settings.bins)
        | {"baselines": beside[name], "uncertainty": uncertainty_scores(part, noise[name])}
        for name, part in parts.items()
    }
    write_metrics(scores)
    for name, split in splits.items():
        rows = prediction_rows(split, found[name], found["train"], threshold) if name in found else []
        write_table(PREDICTIONS / f"{name}.csv", prediction_columns(split), rows)
    shown = "test" if "test" in parts else "valid"
    draw(parts[shown], scores[shown], noise[shown], settings.bins)
