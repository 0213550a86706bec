"""The judge of a run's decisions: what it judges from is read from the network, also what each modality says alone."""

from dataclasses import replace

import numpy as np
import torch
from accelerate import Accelerator

import params
from lddu import noise, novelty, quantiles, uncertainty
from lddu.batches import Clips, in_order
from lddu.doubt import Signs
from lddu.engine import Predictions, predict
from lddu.judgement import Calibration, Judge, Judgement, learn
from lddu.model import LDDU
from lddu.quantiles import Reference
from lddu.tensors import Split, pooled
from lddu.unimodal import alone

BATCH = 64


def signs_of(model: LDDU, clips: Clips, predicted: Predictions, reference: Reference, accelerator: Accelerator) -> Signs:
    """What doubt is judged from, of clips with these predictions; σ as a quantile of the training split's `reference`."""
    parts = []
    for batch in in_order(clips, BATCH):
        with accelerator.autocast():
            parts.append(alone(model, batch["features"], batch["masks"]))
    readings = {m: np.concatenate([part[m] for part in parts]) for m in model.config.dims}
    sigma = {f"sigma {m}": quantiles.shares(x, reference[m]) for m, x in predicted.log_sigma.items()}
    return Signs(predicted.log_probs - predicted.log_not_probs, readings, sigma)


def rows_of(split: Split) -> dict[str, np.ndarray]:
    """The mean row (N, D) of each modality; NaN where it is absent."""
    return {m: pooled(split, [m]) for m in split.features}


def judge_all(
    model: LDDU,
    splits: dict[str, Split],
    clips: dict[str, Clips],
    predicted: dict[str, Predictions],
    thresholds: np.ndarray,
    settings: params.Evaluate,
    accelerator: Accelerator,
) -> tuple[Judge, dict[str, Judgement]]:
    """The judge, learned from train and valid, and its judgement of every split that has clips."""
    reference = quantiles.reference_of(predicted["train"].log_sigma, predicted["train"].present)
    signs = {name: signs_of(model, clips[name], predicted[name], reference, accelerator) for name in predicted}
    rows = {name: rows_of(splits[name]) for name in predicted}
    chosen = splits["valid"].complete.numpy()
    calibration = Calibration(
        signs["valid"].select(chosen),
        {m: x[chosen] for m, x in rows["valid"].items()},
        splits["valid"].present.numpy()[chosen],
        splits["valid"].people[chosen],
    )
    known = novelty.fit(rows["train"], splits["train"].people)
    judge, of_valid = learn(known, calibration, thresholds, settings.risk, settings.confidence)
    judgements = {name: judge.of(signs[name], rows[name], thresholds) for name in predicted}
    judgements["valid"] = judgements["valid"].put(chosen, of_valid)
    return judge, judgements


def under_noise(
    model: LDDU,
    judge: Judge,
    split: Split,
    train: Clips,
    of_train: Predictions,
    thresholds: np.ndarray,
    accelerator: Accelerator,
) -> dict[str, dict[str, float]]:
    """What judgement is worth where clips are not as valid's were, by kind of noise, which all modalities of a clip have at one
    random level: the share of wrong decisions; the area under risk-coverage by doubt and by the probability; coverage and risk
    of the sure decisions, whose promise does not hold here; and the share of clips that are unlike the training split.

    Empty for a network that averages rows first, since noise changes single rows.
    """
    if model.config.rows != "all":
        return {}
    reference = quantiles.reference_of(of_train.log_sigma, of_train.present)
    split = split.select(split.complete)
    found = {}
    for kind in noise.KINDS:
        noised = with_noise(model, split, train, kind)
        clips = Clips(noised, accelerator.device)
        predicted = predict(model, in_order(clips, BATCH), accelerator)
        judgement = judge.of(signs_of(model, clips, predicted, reference, accelerator), rows_of(noised), thresholds)
        scored = scores(judgement, noised, predicted, thresholds, bins=1)
        by_probability = uncertainty.risk_coverage(split.present.numpy(), predicted, thresholds)["probability"]
        found[kind] = {
            "wrong": scored["doubt"]["wrong"],
            "doubt": scored["doubt"]["risk_coverage"],
            "probability": by_probability,
            "unlike": scored["novelty"]["unlike"],
        }
        if "sure" in scored:
            found[kind] |= {name: scored["sure"][name] for name in ("coverage", "risk")}
    return found


def with_noise(model: LDDU, split: Split, train: Clips, kind: str) -> Split:
    """The split with this kind of noise in all modalities, at a random level for each clip."""
    torch.manual_seed(uncertainty.SEED)
    level = torch.rand(len(split)).to(train.device)
    features = {}
    for m, change in noise.noises(model, train, [kind]).items():
        noised = change[kind](split.features[m].to(train.device), level).cpu()
        features[m] = noised.where(split.masks[m][..., None], split.features[m])
    return replace(split, features=features)


def scores(judgement: Judgement, split: Split, predicted: Predictions, thresholds: np.ndarray, bins: int) -> dict:
    """Of the clips of a split whose labels are all known."""
    chosen = split.complete.numpy()
    wrong = (predicted.probs >= thresholds) != split.present.numpy()
    return judgement.select(chosen).scores(wrong[chosen], list(split.label_names), bins)
