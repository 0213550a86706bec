"""What σ is worth: does it rise with noise put into a modality, does it tell the wrong decisions from the right, and what
does each modality's absence cost."""

from collections.abc import Iterable
from itertools import chain, combinations

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from lddu import metrics, noise
from lddu.batches import Batch, Clips, in_order
from lddu.engine import Predictions, predict
from lddu.model import LDDU
from lddu.noise import Noise
from lddu.probability import logit

# Of the noise that is put in; evaluation is the same every time.
SEED = 0


def joined(log_sigma: dict[str, np.ndarray]) -> np.ndarray:
    """(N, C): the mean over the modalities that are there of log ‖σ_m‖; 0 where nothing is."""
    stacked = np.stack(list(log_sigma.values()))
    there = ~np.isnan(stacked)
    return np.where(there, stacked, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)


def risk_coverage(true: np.ndarray, probs: np.ndarray, thresholds: np.ndarray, log_sigma: dict[str, np.ndarray]) -> dict:
    """Area under the risk-coverage curve of all N·C decisions, the least certain left out first: by σ, by the probability.

    By the probability, the uncertain are those near their threshold on the scale of logits. `best` is what an order that
    knows the errors would give, `chance` one that knows nothing: the share of wrong decisions.
    """
    wrong = ((probs >= thresholds) != true).ravel().astype(float)
    near = -np.abs(logit(probs) - logit(thresholds)).ravel()
    orders = {"sigma": joined(log_sigma).ravel(), "probability": near, "best": wrong}
    return {name: metrics.risk_coverage_area(wrong, order) for name, order in orders.items()} | {"chance": float(wrong.mean())}


def error_spearman(true: np.ndarray, probs: np.ndarray, log_sigma: dict[str, np.ndarray]) -> dict[str, float]:
    """Spearman's correlation with the error |y - p| of all N·C decisions: of σ, and of the probability's own p (1 - p)."""
    error = np.abs(true - probs).ravel()
    orders = {"sigma": joined(log_sigma), "probability": probs * (1 - probs)}
    return {name: metrics.rank_correlation(error, order.ravel())[0] for name, order in orders.items()}


def response_to_noise(
    model: LDDU, clips: Clips, train: Clips, batch_size: int, trained_on: Iterable[str], accelerator: Accelerator
) -> dict[str, dict[str, dict]]:
    """For each modality and kind of noise, by the measure of the training split: Spearman's correlation of its level, drawn for
    each clip, with the reported σ; how much log ‖σ‖ rises from none to all of it; whether training saw the kind (1) or not."""
    found: dict[str, dict[str, dict]] = {}
    for m, kinds in noise.noises(model, train, noise.KINDS).items():
        found[m] = {}
        for kind, change in kinds.items():
            torch.manual_seed(SEED)
            level = torch.rand(len(clips))
            drawn, none, all_of_it = (
                log_sigma_of(model, m, change, clips, x, batch_size, accelerator)
                for x in (level, torch.zeros_like(level), torch.ones_like(level))
            )
            spearman, _ = metrics.rank_correlation(level.double().numpy(), drawn)
            rise = np.nanmean(all_of_it - none) if not np.isnan(none).all() else 0.0
            found[m][kind] = {"spearman": spearman, "rise": float(rise), "in_training": int(kind in trained_on)}
    return found


@torch.no_grad()
def log_sigma_of(
    model: LDDU, m: str, change: Noise, clips: Clips, level: Tensor, batch_size: int, accelerator: Accelerator
) -> np.ndarray:
    """(N,): the mean over labels of log ‖σ_m‖ with noise of these levels (N,); NaN where the modality is absent."""
    model.eval()
    parts = []
    for batch, of_batch in zip(in_order(clips, batch_size), level.split(batch_size), strict=True):
        x, mask = model.observed(m, batch["features"], batch["masks"])
        with accelerator.autocast():
            _, _, sigma = model.read(m, change(x, of_batch.to(x.device)), mask)
        parts.append(sigma.norm(dim=-1).log().mean(dim=1).masked_fill(~mask.any(dim=1), torch.nan))
    return torch.cat(parts).double().cpu().numpy()


def with_fewer(model: LDDU, clips: Clips, batch_size: int, accelerator: Accelerator) -> dict[tuple[str, ...], Predictions]:
    """Predictions from every subset of the modalities but none and all."""
    modalities = list(model.config.dims)
    subsets = chain.from_iterable(combinations(modalities, size) for size in range(1, len(modalities)))
    return {
        kept: predict(model, (_only(kept, batch) for batch in in_order(clips, batch_size)), accelerator) for kept in subsets
    }


def _only(kept: tuple[str, ...], batch: Batch) -> Batch:
    features, masks = ({m: some[m] for m in kept} for some in (batch["features"], batch["masks"]))
    return Batch(features=features, masks=masks, labels=batch["labels"], excess=batch["excess"])
