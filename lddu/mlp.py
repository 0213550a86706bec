"""The MLP that LDDU is measured against: one hidden layer on the pooled rows of all modalities side by side.

It reads what the probe on all joined reads, and a flag for each modality that says whether it is there. It is trained as LDDU
is: by the same parameters (seed, epochs, patience, batches, AdamW, averaging, width, dropout), with the same cross-entropy,
and the epoch is chosen on valid by the same score. It has no σ.
"""

import math
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import params
from lddu import metrics, weights
from lddu.batches import seed_of
from lddu.engine import AdamW, decay_groups, learning_rates
from lddu.losses import cross_entropy, log_sigmoids
from lddu.tensors import Split, pooled

# In the folder of the network that was trained with the same seed.
FILE = "mlp.safetensors"


class MLP(nn.Module):
    """Linear, ReLU, dropout, linear: joined pooled rows to logits (B, C)."""

    mean: Tensor  # (D,)
    deviation: Tensor  # (D,)
    widths: Tensor  # (M,): of the modalities; their sum is D

    def __init__(
        self, widths: list[int], labels: int, hidden: int, dropout: float = 0.0, modality_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(sum(widths)))
        self.register_buffer("deviation", torch.ones(sum(widths)))
        self.register_buffer("widths", torch.tensor(widths))
        self.hidden = nn.Linear(sum(widths) + len(widths), hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, labels)
        self.modality_dropout = modality_dropout

    def forward(self, rows: Tensor) -> Tensor:
        """Logits (B, C) of pooled rows (B, D), NaN where a modality is absent."""
        there = torch.stack([~x[:, 0].isnan() for x in rows.split(self.widths.tolist(), dim=1)], dim=1)
        if self.training and self.modality_dropout:
            drawn = torch.rand(there.shape, device=rows.device)
            kept = (drawn >= self.modality_dropout).scatter(1, (drawn + there).argmax(dim=1, keepdim=True), True)
            there = there & kept
        standard = ((rows - self.mean) / self.deviation).where(there.repeat_interleave(self.widths, dim=1), 0)
        return self.out(self.dropout(functional.relu(self.hidden(torch.cat([standard, there], dim=1)))))

    @torch.no_grad()
    def logits(self, split: Split) -> Tensor:
        """(N, C) of a split's clips, without dropout."""
        self.eval()
        with_deviation = self.widths.tolist() != list(split.dims.values())
        return self(joined(split, with_deviation).to(self.mean))

    def probabilities(self, split: Split) -> np.ndarray:
        """(N, C) in float64."""
        return self.logits(split).double().sigmoid().cpu().numpy()


def joined(split: Split, deviation: bool) -> Tensor:
    """(N, D): the pooled rows of all modalities, as the probes read them; NaN where one is absent."""
    return torch.from_numpy(pooled(split, list(split.features), deviation))


def begin(train: Split, settings: params.Train) -> MLP:
    """A network with its first weights, which standardises its input as the training split is."""
    torch.manual_seed(settings.seed)
    network = settings.model
    with_deviation = network.rows == "mean_deviation"
    widths = [(1 + with_deviation) * width for width in train.dims.values()]
    model = MLP(widths, train.labels.shape[1], network.width, network.dropout, network.modality_dropout)
    rows = joined(train, with_deviation)
    there = ~rows.isnan()
    count = there.sum(dim=0).clamp(min=1)
    mean = rows.nansum(dim=0) / count
    deviation = ((rows - mean).square().where(there, 0).sum(dim=0) / count).sqrt()
    model.mean.copy_(mean)
    model.deviation.copy_(deviation.where(deviation > 0, 1))
    return model


def fit(train: Split, valid: Split, settings: params.Train, device: torch.device | None = None) -> MLP:
    """The network of the best epoch on valid; the same splits and settings give the same weights."""
    model = begin(train, settings).to(device)
    rows = joined(train, settings.model.rows == "mean_deviation").to(model.mean)
    targets = train.targets(settings.targets).to(model.mean)
    steps = -(-len(train) // settings.batch_size)
    rates = learning_rates(settings.epochs * steps, settings.warmup, settings.lr)
    optimizer = AdamW(decay_groups(model, settings.weight_decay))
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.averaging)) if settings.averaging else None
    scored = cast(MLP, averaged.module) if averaged else model
    best, best_epoch, best_score = scored.state_dict(), 0, -math.inf
    for epoch in range(1, settings.epochs + 1):
        generator = torch.Generator().manual_seed(seed_of(settings.seed, epoch))
        order = torch.randperm(len(train), generator=generator).split(settings.batch_size)
        model.train()
        for chosen, rate in zip(order, rates[(epoch - 1) * steps :], strict=False):
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            cross_entropy(*log_sigmoids(model(rows[chosen])), targets[chosen]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_norm)
            optimizer.step()
            if averaged:
                averaged.update_parameters(model)
        score = goodness(scored.logits(valid).cpu(), valid, settings)
        if score > best_score:
            best, best_epoch, best_score = {name: x.clone() for name, x in scored.state_dict().items()}, epoch, score
        if settings.patience and epoch - best_epoch >= settings.patience:
            break
    model.load_state_dict(best)
    return model.eval()


def goodness(logits: Tensor, split: Split, settings: params.Train) -> float:
    """The score by which `train.choose` chooses the epoch, for logits (N, C); more is better."""
    if settings.choose == "bce":
        return -float(cross_entropy(*log_sigmoids(logits), split.targets(settings.targets)))
    known = ~split.labels.isnan()
    true, probs = split.present[known].numpy(), logits[known].double().sigmoid().numpy()
    return {"micro_ap": metrics.average_precision, "micro_f1": metrics.best_micro_f1}[settings.choose](true, probs)


def save(model: MLP, folder: Path) -> None:
    """Write the network into the folder of LDDU with the same seed."""
    weights.save_tensors(folder / FILE, model.state_dict())


def load_all(folder: Path) -> list[MLP]:
    """The networks of all seeds in the folder of a trained model, that of the first seed first; none where none was trained."""
    return [_load(path) for path in (folder / FILE, *sorted(folder.glob(f"seed-*/{FILE}"))) if path.is_file()]


def _load(path: Path) -> MLP:
    try:
        tensors = load_file(path)
        hidden, labels = tensors["hidden.bias"].shape[0], tensors["out.bias"].shape[0]
        model = MLP(tensors["widths"].tolist(), labels, hidden)
        model.load_state_dict(tensors)
    except (SafetensorError, KeyError, RuntimeError) as error:
        raise weights.WeightsError(f"{path} cannot be read ({error}): run train again") from None
    return model.eval()
