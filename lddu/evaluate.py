"""Stage `evaluate`: the trained networks and tensors in; metrics, predictions and plots out.

The threshold, one for all labels or one a label, is chosen on valid. Test is scored with it, once.
"""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from safetensors.torch import load_file
from tqdm import tqdm

import params
from contract import TENSOR_SPLITS
from lddu import baselines, listing, metrics, mlp, plots, readings, uncertainty, weights
from lddu.baselines import Chooser
from lddu.batches import Batch, Clips, in_order
from lddu.device import accelerator as accelerator_on
from lddu.engine import Predictions, predict
from lddu.model import LDDU, LDDUOutput
from lddu.tensors import Split, TensorError, read_noise, read_splits, require_labels

MODEL = Path("data/model")
METRICS = Path("metrics")
PREDICTIONS = Path("data/predictions")
PLOTS = Path("data/plots")
SCORED = ("train", "valid", "test")
BATCH = 64
# Scores whose mean and deviation over the seeds are written.
SEED_SCORES = (*baselines.SCORES, "uncertainty", "error_spearman", "risk_coverage", "noise")
# Splits that are also predicted with added noise, and from each subset of the modalities.
NOISE_SPLITS = ("valid", "test")
# Digits behind the point in JSON.
DIGITS = 6

# A network, the name of a split, its predictions there and the thresholds to every score of its σ.
SigmaScores = Callable[[LDDU, str, "Scored", np.ndarray], dict]


@dataclass(frozen=True)
class Scored:
    """The clips of a split whose labels are all known, and their predictions."""

    true: np.ndarray  # (N, C) bool
    predictions: Predictions
    clip_ids: tuple[str, ...]


def predict_splits(model: LDDU, splits: dict[str, Clips], accelerator: Accelerator, bar: tqdm) -> dict[str, Predictions]:
    """Predictions of every split."""

    def advance(_output: LDDUOutput, batch: Batch) -> None:
        bar.update(len(batch["labels"]))

    model.to(accelerator.device)
    return {name: predict(model, in_order(clips, BATCH), accelerator, [advance]) for name, clips in splits.items()}


def scored(split: Split, predictions: Predictions) -> Scored:
    """The part of a split and its predictions that can be scored."""
    chosen = split.complete.numpy()
    ids = tuple(clip_id for clip_id, keep in zip(split.clip_ids, chosen, strict=True) if keep)
    return Scored(split.present.numpy()[chosen], predictions.select(chosen), ids)


def network_scores(part: Scored, thresholds: np.ndarray, labels: list[str], bins: int) -> dict:
    """Every score of a network on a split."""
    predicted = part.predictions
    return metrics.scores(part.true, predicted.probs, thresholds, labels) | {
        "bce": metrics.cross_entropy(part.true, predicted.log_probs, predicted.log_not_probs),
        "calibration_error": metrics.calibration_error(part.true, predicted.probs, bins),
    }


def overview(part: Scored, card: weights.Card, thresholds: np.ndarray, settings: params.Evaluate) -> dict:
    """What stands first in the scores of a split."""
    first: dict = {"clips": len(part.clip_ids), "epoch": card.epoch, "threshold": float(thresholds.mean())}
    if settings.threshold == "per_label":
        first["thresholds"] = dict(zip(card.labels, thresholds.tolist(), strict=True))
    return first | network_scores(part, thresholds, card.labels, settings.bins)


def uncertainty_scores(part: Scored, noise: dict[str, np.ndarray]) -> dict:
    """Spearman's correlation of what is known of a modality's noise with σ's block of noise, and with that of ambiguity, the
    mean over labels of log ‖σ‖; and of the error |y - p| over all clips and labels with all of σ."""
    scores = {}
    predicted = part.predictions
    for m, log_sigma in predicted.log_sigma.items():
        correlation, clips = metrics.rank_correlation(noise[m], predicted.log_noise[m].mean(axis=1))
        of_ambiguity, _ = metrics.rank_correlation(noise[m], predicted.log_ambiguity[m].mean(axis=1))
        of_error, _ = metrics.rank_correlation(np.abs(part.true - predicted.probs).ravel(), log_sigma.ravel())
        scores[m] = {
            "noise_spearman": correlation,
            "ambiguity_spearman": of_ambiguity,
            "clips": clips,
            "error_spearman": of_error,
        }
    return scores


def sigma_scores(
    model: LDDU,
    name: str,
    part: Scored,
    thresholds: np.ndarray,
    noise: dict[str, dict[str, np.ndarray]],
    clips: dict[str, Clips],
    trained_on: Iterable[str],
    accelerator: Accelerator,
) -> dict:
    """Every score of a network's σ on the split of that name; with added noise where it is one of NOISE_SPLITS."""
    predicted = part.predictions
    scores = {
        "uncertainty": uncertainty_scores(part, noise[name]),
        "error_spearman": uncertainty.error_spearman(part.true, predicted),
        "risk_coverage": uncertainty.risk_coverage(part.true, predicted, thresholds),
    }
    if name in NOISE_SPLITS:
        scores["noise"] = uncertainty.response_to_noise(model, clips[name], clips["train"], BATCH, trained_on, accelerator)
    return scores


def baseline_scores(scores: dict) -> dict:
    """Those of all scores that are written for a baseline."""
    return {key: scores[key] for key in baselines.SCORES if key in scores}


def other_networks(
    splits: dict[str, Split],
    clips: dict[str, Clips],
    choose: Chooser,
    bins: int,
    of_sigma: SigmaScores,
    accelerator: Accelerator,
    bar: tqdm,
) -> dict[str, dict[str, dict]]:
    """For each further network that train wrote, and each split: its scores at its own threshold from valid, σ's too."""
    scores: dict[str, dict[str, dict]] = {}
    for folder in sorted(path.parent for path in MODEL.glob("*/config.json")):
        model, card = weights.load(folder)
        predicted = predict_splits(model, clips, accelerator, bar)
        parts = {name: scored(splits[name], predicted[name]) for name in clips if bool(splits[name].complete.any())}
        thresholds = choose(parts["valid"].true, parts["valid"].predictions.probs)
        scores[folder.name] = {
            name: {"threshold": float(thresholds.mean())} | baseline_scores(network_scores(part, thresholds, card.labels, bins))
            for name, part in parts.items()
        }
        if folder.name != weights.CENTRE:
            for name, part in parts.items():
                scores[folder.name][name] |= of_sigma(model, name, part, thresholds)
    return scores


def with_fewer_modalities(model: LDDU, split: Split, part: Scored, thresholds: np.ndarray, accelerator: Accelerator) -> dict:
    """The scores of every subset of the modalities, and the micro F1 that each modality's absence costs."""
    clips = Clips(split.select(split.complete), accelerator.device)
    labels, modalities = list(split.label_names), list(model.config.dims)
    full = metrics.scores(part.true, part.predictions.probs, thresholds, labels)["micro_f1"]
    subsets, cost = {}, {}
    for kept, predicted in uncertainty.with_fewer(model, clips, BATCH, accelerator).items():
        scores = metrics.scores(part.true, predicted.probs, thresholds, labels)
        scores["bce"] = metrics.cross_entropy(part.true, predicted.log_probs, predicted.log_not_probs)
        subsets["+".join(kept)] = {key: scores[key] for key in ("micro_f1", "macro_f1", "bce")}
        missing = [m for m in modalities if m not in kept]
        if len(missing) == 1:
            cost[missing[0]] = full - scores["micro_f1"]
    return {"subsets": subsets, "absence_cost": cost} if subsets else {}


def authors_protocol(model: LDDU, split: Split, clips: Clips, step: float, bins: int, accelerator: Accelerator) -> dict:
    """The scores of the epoch and threshold that are best on this very split, as in the authors' log.

    They are too high to compare methods by: epoch and threshold are chosen by the scores that are reported. Needs
    `train.keep_epochs`.
    """
    best: dict = {}
    for path in tqdm(sorted((MODEL / "epochs").glob("*.safetensors")), desc="every epoch", unit="epoch"):
        model.load_state_dict(load_file(path))
        part = scored(split, predict(model, in_order(clips, BATCH), accelerator))
        threshold = metrics.best_threshold(part.true, part.predictions.probs, step)
        scores = network_scores(part, np.array(threshold), list(split.label_names), bins)
        if scores["micro_f1"] > best.get("micro_f1", -1):
            best = {"epoch": int(path.stem), "threshold": threshold} | baseline_scores(scores)
    return best


def write_metrics(scores: dict[str, dict]) -> None:
    """metrics/<split>.json of each split; that of a split without labels says nothing."""
    METRICS.mkdir(parents=True, exist_ok=True)
    for name in SCORED:
        tree = scores.get(name, {})
        (METRICS / f"{name}.json").write_text(json.dumps(rounded(tree), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def rounded(tree: dict) -> dict:
    return {key: rounded(x) if isinstance(x, dict) else round(x, DIGITS) for key, x in tree.items()}


def draw(part: Scored, scores: dict, thresholds: np.ndarray, noise: dict[str, np.ndarray], bins: int) -> None:
    """The plots of one split."""
    predicted = part.predictions
    plots.precision_recall(part.true, predicted.probs, thresholds, scores, PLOTS)
    plots.confusion(part.true, predicted.probs, thresholds, scores, PLOTS)
    plots.calibration(part.true, predicted.probs, scores, bins, PLOTS)
    plots.baselines(scores, PLOTS)
    log_noise = {m: x.mean(axis=1) for m, x in predicted.log_noise.items()}
    plots.uncertainty(part.clip_ids, noise, log_noise, scores, PLOTS)


def read(parameters: params.Params) -> tuple[LDDU, weights.Card, dict[str, Split]]:
    """The trained network and all splits, which must fit each other."""
    folder = Path(parameters.tensors)
    model, card = weights.load(MODEL)
    splits = read_splits(folder, TENSOR_SPLITS, parameters.corpus.labels, parameters.corpus.present_above)
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
    settings = parameters.evaluate
    model, card, splits = read(parameters)
    accelerator = accelerator_on(parameters.run.device, parameters.train.threads, parameters.train.precision)
    clips = {name: Clips(split, accelerator.device) for name, split in splits.items() if len(split)}
    networks = 1 + len(list(MODEL.glob("*/config.json")))

    def choose(true: np.ndarray, probs: np.ndarray) -> np.ndarray:
        return metrics.best_thresholds(true, probs, settings.threshold_step, settings.threshold == "per_label")

    with tqdm(total=networks * sum(map(len, clips.values())), desc="evaluate", unit="clip") as bar:
        predicted = predict_splits(model, clips, accelerator, bar)
        parts = {name: scored(splits[name], predicted[name]) for name in SCORED if bool(splits[name].complete.any())}
        noise = {name: read_noise(Path(parameters.tensors), part.clip_ids) for name, part in parts.items()}
        trained_on = parameters.train.loss.noise if parameters.train.loss.ordinality else []
        of_sigma = partial(sigma_scores, noise=noise, clips=clips, trained_on=trained_on, accelerator=accelerator)
        thresholds = choose(parts["valid"].true, parts["valid"].predictions.probs)
        others = other_networks(splits, clips, choose, settings.bins, of_sigma, accelerator, bar)
    judge, judgements = readings.judge_all(model, splits, clips, predicted, thresholds, settings, accelerator)
    complete = {name: splits[name].select(splits[name].complete) for name in parts}
    deviation = model.config.rows == "mean_deviation"
    of_baselines = baselines.scores(complete, np.array(card.prior), mlp.load_all(MODEL), choose, deviation)
    scores: dict[str, dict] = {}
    for name, part in parts.items():
        scores[name] = overview(part, card, thresholds, settings) | of_sigma(model, name, part, thresholds)
        seeds = [scores[name], *(other[name] for network, other in others.items() if network != weights.CENTRE)]
        if len(seeds) > 1:
            scores[name]["seeds"] = metrics.over_seeds(seeds, SEED_SCORES)
        centre = {weights.CENTRE: others[weights.CENTRE][name]} if weights.CENTRE in others else {}
        scores[name]["baselines"] = of_baselines[name] | centre
        if name in NOISE_SPLITS:
            scores[name] |= with_fewer_modalities(model, splits[name], part, thresholds, accelerator)
            scores[name] |= readings.scores(judgements[name], splits[name], predicted[name], thresholds, settings.bins)
    shown = "test" if "test" in parts else "valid"
    scores[shown]["judged_under_noise"] = readings.under_noise(
        model, judge, splits[shown], clips["train"], predicted["train"], thresholds, accelerator
    )
    if (MODEL / "epochs").is_dir():
        scores[shown]["authors_protocol"] = authors_protocol(
            model, splits[shown], clips[shown], settings.threshold_step, settings.bins, accelerator
        )
    write_metrics(scores)
    for folder in (PREDICTIONS, PLOTS):  # deleted, never overwritten: old files may be hard links to files in DVC's cache
        shutil.rmtree(folder, ignore_errors=True)
    listing.write(PREDICTIONS, splits, predicted, thresholds, judge, judgements)
    draw(parts[shown], scores[shown], thresholds, noise[shown], settings.bins)
