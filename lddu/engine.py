"""One epoch of training, and prediction. Nothing here knows of files, parameters or how a device was chosen."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from lddu.batches import Batch
from lddu.losses import LDDULoss
from lddu.model import LDDU, LDDUOutput, StandIn

# Told of every batch's output and labels as they come.
Watcher = Callable[[LDDUOutput, Tensor], None]


@dataclass(frozen=True)
class Predictions:
    """What the network says of N clips, in float64."""

    log_probs: np.ndarray  # (N, C)
    log_not_probs: np.ndarray  # (N, C)
    present: dict[str, np.ndarray]  # (N,) bool a modality
    log_sigma: dict[str, np.ndarray]  # (N, C) a modality: log ‖σ‖, NaN where it is absent

    @property
    def probs(self) -> np.ndarray:
        return np.exp(self.log_probs)


class Means:
    """Means over clips of the parts of a loss, summed on the device so that no step waits for it."""

    def __init__(self, loss: LDDULoss) -> None:
        self.loss = loss
        self.sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros(()))
        self.clips = 0

    def add(self, total: Tensor, parts: dict[str, Tensor], clips: int) -> None:
        for name, value in {"loss": total, **parts}.items():
            self.sums[name] = self.sums[name].to(value.device) + value.detach() * clips
        self.clips += clips

    def watch(self, output: LDDUOutput, labels: Tensor) -> None:
        total, parts = self.loss(output, labels)
        self.add(total, parts, len(labels))

    def result(self) -> dict[str, float]:
        return {name: float(value) / max(self.clips, 1) for name, value in self.sums.items()}


def learning_rates(steps: int, warmup: float, peak: float) -> list[float]:
    """Of each step: a rise from 0 to the peak over the share `warmup` of the steps, then half a cosine down to 0."""
    rising = round(warmup * steps)
    falling = max(steps - rising, 1)
    rise = [peak * (step + 1) / rising for step in range(rising)]
    return rise + [peak * 0.5 * (1 + math.cos(math.pi * step / falling)) for step in range(steps - rising)]


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Parameter groups of AdamW: biases and LayerNorms do not decay."""
    kept = {f"{name}." for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    decaying: list[nn.Parameter] = []
    fixed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        still = "bias" in name.rpartition(".")[2] or any(name.startswith(prefix) for prefix in kept)
        (fixed if still else decaying).append(parameter)
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": fixed, "weight_decay": 0.0}]


def train_epoch(
    model: nn.Module,
    loss: LDDULoss,
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    rates: Sequence[float],
    accelerator: Accelerator,
    gradient_norm: float,
) -> dict[str, float]:
    """One pass over the batches with a learning rate each; returns the means of the loss and its parts."""
    model.train()
    loss.train()
    means = Means(loss)
    for batch, rate in zip(batches, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        output = model(batch["features"], batch["masks"])
        total, parts = loss(output, batch["labels"])
        optimizer.zero_grad()
        accelerator.backward(total)
        accelerator.clip_grad_norm_(model.parameters(), gradient_norm)
        optimizer.step()
        means.add(total, parts, len(batch["labels"]))
    return means.result()


@torch.no_grad()
def predict(model: nn.Module, batches: Iterable[Batch], watchers: Sequence[Watcher] = ()) -> Predictions:
    """What the model says of every clip of the batches, in their order; watchers see each output on the way."""
    model.eval()
    seen: dict[str, list[Tensor]] = defaultdict(list)
    for batch in batches:
        output = model(batch["features"], batch["masks"])
        for watcher in watchers:
            watcher(output, batch["labels"])
        seen["log_probs"].append(output.log_probs)
        seen["log_not_probs"].append(output.log_not_probs)
        for m, log_norm in output.log_sigma_norm().items():
            seen[f"present {m}"].append(output.present[m])
            seen[f"log_sigma {m}"].append(log_norm)
    found = {name: torch.cat(tensors).cpu() for name, tensors in seen.items()}
    arrays = {name: x.numpy() if x.dtype == torch.bool else x.double().numpy() for name, x in found.items()}
    return Predictions(
        arrays["log_probs"],
        arrays["log_not_probs"],
        {name.removeprefix("present "): x for name, x in arrays.items() if name.startswith("present ")},
        {name.removeprefix("log_sigma "): x for name, x in arrays.items() if name.startswith("log_sigma ")},
    )


class Moments:
    """The moments of Z, μ and σ over the clips that have a modality, per label; they become its stand-in.

    Matched as a mixture's: μ = E[μ], σ² = E[σ²] + Var[μ], Z = E[Z].
    """

    def __init__(self, model: LDDU) -> None:
        self.model = model
        self.sums: dict[str, tuple[Tensor, ...]] = {}

    def watch(self, output: LDDUOutput, _labels: Tensor) -> None:
        for m, present in output.present.items():
            mapped, mu, sigma = output.mapped[m], output.mu[m], output.sigma[m]
            there = present.double()
            new = (there.sum(), *(torch.einsum("b,bcn->cn", there, x.double()) for x in (mapped, mu, mu**2 + sigma**2)))
            old = self.sums.get(m)
            self.sums[m] = tuple(a + b for a, b in zip(old, new, strict=True)) if old else new

    @torch.no_grad()
    def become_stand_ins(self) -> None:
        """Write them into the model; a modality that no clip had keeps the stand-in that it has."""
        for m, (clips, *sums) in self.sums.items():
            mapped, mu, second = (x / clips.clamp(min=1) for x in sums)
            sigma = (second - mu**2).clamp(min=0).sqrt()
            cast(StandIn, self.model.stand_in[m]).fit(clips > 0, mapped, mu, sigma)
