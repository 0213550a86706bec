"""How useful σ is: does it rise with noise that is added to a modality, and does it separate wrong decisions from right ones;
and the predictions without some of the modalities."""

from collections.abc import Iterable
from itertools import chain, combinations

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from lddu import metrics, noise
from lddu.batches import Batch, Clips, in_order
from lddu.engine import Predictions, predict
from lddu.model import LDDU, blocks, log_norm
from lddu.noise import Noise
from lddu.probability import logit

SEED = 0  # of the added noise, so that evaluation repeats


def joined(log_sigma: dict[str, np.ndarray]) -> np.ndarray:
    """(N, C): the mean of log ‖σ_m‖ over the present modalities; 0 where none is present."""
    stacked = np.stack(list(log_sigma.values()))
    present = ~np.isnan(stacked)
    return np.where(present, stacked, 0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)


def risk_coverage(true: np.ndarray, predicted: Predictions, thresholds: np.ndarray) -> dict[str, float]:
    """Area under the risk-coverage curve of all N·C decisions, the least certain left out first: by σ, by either block of it,
    by the probability.

    By the probability, a decision is uncertain when its logit is near that of the threshold. `best` is the area if the errors
    were known, `chance` that of a random order: the share of wrong decisions.
    """
    probs = predicted.probs
    wrong = ((probs >= thresholds) != true).ravel().astype(float)
    near = -np.abs(logit(probs) - logit(thresholds))
    orders = parts_of(predicted) | {"probability": near, "best": wrong}
    return {name: metrics.risk_coverage_area(wrong, order.ravel()) for name, order in orders.items()} | {
        "chance": float(wrong.mean())
    }


def error_spearman(true: np.ndarray, predicted: Predictions) -> dict[str, float]:
    """Spearman's correlation with the error |y - p| of all N·C decisions: of σ, of either block of it, and of p (1 - p)."""
    error = np.abs(true - predicted.probs).ravel()
    orders = parts_of(predicted) | {"probability": predicted.probs * (1 - predicted.probs)}
    return {name: metrics.rank_correlation(error, order.ravel())[0] for name, order in orders.items()}


def parts_of(predicted: Predictions) -> dict[str, np.ndarray]:
    """(N, C) each: `joined` of σ and of its blocks, by the names sigma, noise and ambiguity."""
    return {part.removeprefix("log_"): joined(log_norms) for part, log_norms in predicted.log_norms.items()}


def response_to_noise(
    model: LDDU, clips: Clips, train: Clips, batch_size: int, trained_on: Iterable[str], accelerator: Accelerator
) -> dict[str, dict[str, dict]]:
    """For each modality and kind of noise: Spearman's correlation of its level, which is drawn for each clip, with the reported
    noise; the mean rise of its log ‖σ‖ from level 0 to level 1; and whether training saw this kind of noise (1) or not (0)."""
    scores: dict[str, dict[str, dict]] = {}
    for m, kinds in noise.noises(model, train, noise.KINDS).items():
        scores[m] = {}
        for kind, change in kinds.items():
            torch.manual_seed(SEED)
            level = torch.rand(len(clips))
            at_level, without, at_most = (
                log_noise_of(model, m, change, clips, x, batch_size, accelerator)
                for x in (level, torch.zeros_like(level), torch.ones_like(level))
            )
            spearman, _ = metrics.rank_correlation(level.double().numpy(), at_level)
            rise = np.nanmean(at_most - without) if not np.isnan(without).all() else 0.0
            scores[m][kind] = {"spearman": spearman, "rise": float(rise), "in_training": int(kind in trained_on)}
    return scores


@torch.no_grad()
def log_noise_of(
    model: LDDU, m: str, change: Noise, clips: Clips, level: Tensor, batch_size: int, accelerator: Accelerator
) -> np.ndarray:
    """(N,): the mean over labels of log ‖σ_m‖, the block of noise, with noise of these levels (N,); NaN where m is absent."""
    model.eval()
    parts = []
    for batch, of_batch in zip(in_order(clips, batch_size), level.split(batch_size), strict=True):
        x, mask = model.observed(m, batch["features"], batch["masks"])
        with accelerator.autocast():
            _, _, sigma = model.read(m, change(x, of_batch.to(x.device)), mask)
        parts.append(log_norm(blocks(sigma)[0]).mean(dim=1).masked_fill(~mask.any(dim=1), torch.nan))
    return torch.cat(parts).double().cpu().numpy()


def with_fewer(model: LDDU, clips: Clips, batch_size: int, accelerator: Accelerator) -> dict[tuple[str, ...], Predictions]:
    """Predictions from every subset of the modalities, except the empty one and all."""
    modalities = list(model.config.dims)
    subsets = chain.from_iterable(combinations(modalities, size) for size in range(1, len(modalities)))
    return {
        kept: predict(model, (_only(kept, batch) for batch in in_order(clips, batch_size)), accelerator) for kept in subsets
    }


def _only(kept: tuple[str, ...], batch: Batch) -> Batch:
    features, masks = ({m: tensors[m] for m in kept} for tensors in (batch["features"], batch["masks"]))
    return Batch(features=features, masks=masks, labels=batch["labels"], wanted=batch["wanted"])
