"""One epoch of training, and prediction. Nothing here knows of files, parameters or how a device was chosen."""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise, starmap
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from lddu.batches import Batch, Share
from lddu.losses import LDDULoss
from lddu.model import LDDU, LDDUOutput, StandIn
from lddu.noise import Noise

# Told of every batch and its output as they come.
Watcher = Callable[[LDDUOutput, Batch], None]


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
        self.sums: dict[str, Tensor] = {}
        self.clips = 0

    def add(self, total: Tensor, parts: dict[str, Tensor], clips: int) -> None:
        for name, value in {"loss": total, **parts}.items():
            new = value.detach() * clips
            self.sums[name] = self.sums[name] + new if name in self.sums else new
        self.clips += clips

    def watch(self, output: LDDUOutput, batch: Batch) -> None:
        total, parts = self.loss(output, batch["labels"], batch["excess"])
        self.add(total, parts, len(batch["labels"]))

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


@dataclass(frozen=True)
class Step:
    """How the clips of one step are read: with which random numbers, and which modalities are also read noised, and how."""

    seed: int
    noised: dict[str, Noise] = field(default_factory=dict)  # by modality

    def read(self, model: LDDU, batch: Batch, part: int, first: int, clips: int) -> LDDUOutput:
        """The network's output for a part of the step's `clips`, which begins with the `first`; the same when called again.

        How noised a clip is does not depend on the parts; dropout, and what is random in a noise, does.
        """
        here, device = slice(first, first + len(batch["labels"])), batch["labels"].device
        torch.manual_seed(self.seed)
        drawn = dict(zip(self.noised, torch.rand(len(self.noised), clips, device=device)[:, here], strict=True))
        torch.manual_seed(self.seed + 1 + part)
        output = model(batch["features"], batch["masks"])
        levels, sigmas = {}, {}
        for m, change in self.noised.items():
            if m in batch["masks"]:
                x, mask = model.observed(m, batch["features"], batch["masks"])
                levels[m] = drawn[m]
                _, _, sigmas[m] = model.read(m, change(x, levels[m]), mask)
        return replace(output, noise_level=levels, noised_sigma=sigmas)


def steps_of(seed: int, epoch: int, count: int, noises: Mapping[str, Mapping[str, Noise]], noised: int = 1) -> list[Step]:
    """The steps of an epoch: the same for the same seed and epoch, whatever came before and in every process.

    Of kinds of noise by modality, each draws `noised` modalities, or all if there are fewer, and a kind for each.
    """
    drawn = random.Random(f"{seed} {epoch}")  # noqa: S311 - no secret
    seeds = [drawn.randrange(2**62) for _ in range(count)]

    def noise_of_a_step() -> dict[str, Noise]:
        return {m: drawn.choice(list(noises[m].values())) for m in drawn.sample(list(noises), min(noised, len(noises)))}

    return [Step(one, noise_of_a_step()) for one in seeds]


def train_epoch(
    model: LDDU,
    loss: LDDULoss,
    shares: Iterable[Share],
    steps: Sequence[Step],
    rates: Sequence[float],
    optimizer: torch.optim.Optimizer,
    accelerator: Accelerator,
    gradient_norm: float,
) -> dict[str, float]:
    """One pass over the batches, a step and a learning rate each; returns the means of the loss and its parts."""
    model.train()
    loss.train()
    means = Means(loss)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for share, step, rate in zip(shares, steps, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        one_pass = len(share.parts) == len(share.sizes) == 1
        total, parts = (in_one_pass if one_pass else in_two_passes)(model, loss, share, step, accelerator)
        nn.utils.clip_grad_norm_(parameters, gradient_norm)
        optimizer.step()
        means.add(total, parts, sum(share.sizes))
    return means.result()


def in_one_pass(
    model: LDDU, loss: LDDULoss, share: Share, step: Step, accelerator: Accelerator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Leave the gradients of a batch of one part; returns the loss and its parts."""
    with accelerator.autocast():
        output = step.read(model, share.parts[0], 0, 0, share.sizes[0])
    total, parts = loss(output, share.parts[0]["labels"], share.parts[0]["excess"])
    total.backward()
    return total, parts


def in_two_passes(
    model: LDDU, loss: LDDULoss, share: Share, step: Step, accelerator: Accelerator
) -> tuple[Tensor, dict[str, Tensor]]:
    """The same for a batch in several parts, in several processes: the loss sees all of it, memory one part at a time.

    The first pass keeps the outputs alone. The loss of all of them gives each output its gradient, which the second pass,
    with the same random numbers, takes back through the network (gradient caching, arXiv 2101.06983). The contrast and the
    calibration look at pairs across the parts; plain accumulation would leave those out.
    """
    rank, several = accelerator.process_index, len(share.sizes) > 1
    firsts = list(accumulate((len(batch["labels"]) for batch in share.parts), initial=sum(share.sizes[:rank])))

    def read(part: int) -> dict[str, Tensor]:
        with accelerator.autocast():
            output = step.read(model, share.parts[part], rank * len(share.parts) + part, firsts[part], sum(share.sizes))
            return output.tensors()

    with torch.no_grad():
        told = [{"labels": batch["labels"], "excess": batch["excess"]} for batch in share.parts]
        outputs = [read(part) | of_part for part, of_part in enumerate(told)]
    joined = {name: torch.cat([output[name] for output in outputs]) for name in outputs[0]}
    if several:
        joined = {name: gathered(x, share.sizes, accelerator) for name, x in joined.items()}
    labels, excess = joined.pop("labels"), joined.pop("excess")
    leaves = {name: x.requires_grad_(x.is_floating_point()) for name, x in joined.items()}
    total, parts = loss(LDDUOutput.of(leaves), labels, excess)
    total.backward()
    for part, clips in enumerate(starmap(slice, pairwise(firsts))):
        output = read(part)
        graded = {x: leaves[name].grad for name, x in output.items() if x.requires_grad}
        known = {x: gradient[clips] for x, gradient in graded.items() if gradient is not None}
        torch.autograd.backward(list(known), list(known.values()))
    if several:
        for parameter in model.parameters():  # those of the loss saw everything in every process
            if parameter.grad is not None:
                parameter.grad = accelerator.reduce(parameter.grad, reduction="sum")
    return total, parts


def gathered(x: Tensor, sizes: list[int], accelerator: Accelerator) -> Tensor:
    """The rows of all processes, in their order; `sizes` says how many each has."""
    padding = x.new_zeros(max(sizes) - len(x), *x.shape[1:])
    everyone = accelerator.gather(torch.cat([x, padding]))
    return torch.cat([rows[:size] for rows, size in zip(everyone.split(max(sizes)), sizes, strict=True)])


@torch.no_grad()
def predict(model: LDDU, batches: Iterable[Batch], accelerator: Accelerator, watchers: Sequence[Watcher] = ()) -> Predictions:
    """What the model says of every clip of the batches, in their order; watchers see each output on the way."""
    model.eval()
    seen: dict[str, list[Tensor]] = defaultdict(list)
    for batch in batches:
        with accelerator.autocast():
            output = model(batch["features"], batch["masks"])
        for watcher in watchers:
            watcher(output, batch)
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

    def watch(self, output: LDDUOutput, _batch: Batch) -> None:
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
