"""One epoch of training, and prediction. Nothing here knows of files, parameters or how a device was chosen."""

import inspect
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise, starmap
from typing import ClassVar, cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from lddu.batches import Batch, Share
from lddu.losses import LDDULoss
from lddu.model import LDDU, LOG_NORMS, LDDUOutput, StandIn
from lddu.noise import Noise

# Called with each output and its batch.
Watcher = Callable[[LDDUOutput, Batch], None]


@dataclass(frozen=True)
class Predictions:
    """The network's output for N clips, in float64."""

    log_probs: np.ndarray  # (N, C)
    log_not_probs: np.ndarray  # (N, C)
    present: dict[str, np.ndarray]  # (N,) bool a modality
    log_sigma: dict[str, np.ndarray]  # (N, C) a modality: log ‖σ‖, NaN where it is absent
    log_noise: dict[str, np.ndarray] = field(default_factory=dict)  # the same of σ's block of noise
    log_ambiguity: dict[str, np.ndarray] = field(default_factory=dict)  # the same of its block of ambiguity

    BY_MODALITY: ClassVar[tuple[str, ...]] = ("present", *LOG_NORMS)

    @property
    def probs(self) -> np.ndarray:
        return np.exp(self.log_probs)

    def select(self, chosen: np.ndarray) -> "Predictions":
        """The clips where `chosen` (N,) is true."""
        by_modality = {name: {m: x[chosen] for m, x in getattr(self, name).items()} for name in self.BY_MODALITY}
        return Predictions(self.log_probs[chosen], self.log_not_probs[chosen], **by_modality)

    @property
    def log_norms(self) -> dict[str, dict[str, np.ndarray]]:
        """log ‖σ‖ (N, C) by part of σ and modality."""
        return {part: getattr(self, part) for part in LOG_NORMS}


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
        total, parts = self.loss(output, batch["labels"], batch["wanted"])
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
    norms = {f"{name}." for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    decaying: list[nn.Parameter] = []
    constant: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        without_decay = "bias" in name.rpartition(".")[2] or any(name.startswith(prefix) for prefix in norms)
        (constant if without_decay else decaying).append(parameter)
    return [{"params": decaying, "weight_decay": weight_decay}, {"params": constant, "weight_decay": 0.0}]


class AdamW(torch.optim.AdamW):
    """torch's, without what it does for torch.compile, whose import takes a second and 150 MB."""

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)


@dataclass(frozen=True)
class Step:
    """How the clips of one step are read: the seed of its random numbers, and the modalities that are also read with noise."""

    seed: int
    noised: dict[str, Noise] = field(default_factory=dict)  # the noise, by modality

    def read(self, model: LDDU, batch: Batch, part: int, first: int, clips: int) -> LDDUOutput:
        """The network's output for one part of a step of `clips` clips, starting at clip `first`; repeats when called again.

        The level of noise of a clip does not depend on how the step is divided; dropout and the noise itself do.
        """
        clips_of_part, device = slice(first, first + len(batch["labels"])), batch["labels"].device
        torch.manual_seed(self.seed)
        level_of = dict(zip(self.noised, torch.rand(len(self.noised), clips, device=device)[:, clips_of_part], strict=True))
        torch.manual_seed(self.seed + 1 + part)
        output = model(batch["features"], batch["masks"])
        levels, sigmas = {}, {}
        for m, change in self.noised.items():
            if m in batch["masks"]:
                x, mask = model.observed(m, batch["features"], batch["masks"])
                levels[m] = level_of[m]
                x = change(x, levels[m])
                _, _, sigmas[m] = model.read(m, x, mask)
        return replace(output, noise_level=levels, noised_sigma=sigmas)


def steps_of(seed: int, epoch: int, count: int, noises: Mapping[str, Mapping[str, Noise]], noised: int = 1) -> list[Step]:
    """The steps of an epoch: the same for the same seed and epoch, whatever came before, and in every process.

    `noises` are the kinds of noise of each modality. Each step draws `noised` modalities (all if there are fewer), and one
    kind of noise for each.
    """
    generator = random.Random(f"{seed} {epoch}")  # noqa: S311 - no secret
    seeds = [generator.randrange(2**62) for _ in range(count)]

    def noise_of_a_step() -> dict[str, Noise]:
        return {m: generator.choice(list(noises[m].values())) for m in generator.sample(list(noises), min(noised, len(noises)))}

    return [Step(step_seed, noise_of_a_step()) for step_seed in seeds]


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
    """One pass over the batches, with a step and a learning rate for each; the means of the loss and its parts."""
    model.train()
    loss.train()
    means = Means(loss)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for share, step, rate in zip(shares, steps, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        backward = in_one_pass if len(share.parts) == len(share.sizes) == 1 else in_two_passes
        total, parts = backward(model, loss, share, step, accelerator)
        nn.utils.clip_grad_norm_(parameters, gradient_norm)
        optimizer.step()
        means.add(total, parts, sum(share.sizes))
    return means.result()


def in_one_pass(
    model: LDDU, loss: LDDULoss, share: Share, step: Step, accelerator: Accelerator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the gradients of a batch that is not divided; the loss and its parts."""
    with accelerator.autocast():
        output = step.read(model, share.parts[0], 0, 0, share.sizes[0])
    total, parts = loss(output, share.parts[0]["labels"], share.parts[0]["wanted"])
    total.backward()
    return total, parts


def in_two_passes(
    model: LDDU, loss: LDDULoss, share: Share, step: Step, accelerator: Accelerator
) -> tuple[Tensor, dict[str, Tensor]]:
    """The same for a batch in several parts or processes: the loss sees the whole batch, the memory holds one part at a time.

    The first pass keeps the outputs alone. The loss of all outputs gives the gradient of each. The second pass repeats the
    forward pass with the same random numbers, and propagates these gradients back (gradient caching, arXiv 2101.06983).
    Plain gradient accumulation would miss what contrast and calibration compare across parts.
    """
    rank, several = accelerator.process_index, len(share.sizes) > 1
    firsts = list(accumulate((len(batch["labels"]) for batch in share.parts), initial=sum(share.sizes[:rank])))

    def read(part: int) -> dict[str, Tensor]:
        with accelerator.autocast():
            output = step.read(model, share.parts[part], rank * len(share.parts) + part, firsts[part], sum(share.sizes))
            return output.tensors()

    with torch.no_grad():
        targets = [{"labels": batch["labels"], "wanted": batch["wanted"]} for batch in share.parts]
        outputs = [read(part) | of_part for part, of_part in enumerate(targets)]
    joined = {name: torch.cat([output[name] for output in outputs]) for name in outputs[0]}
    if several:
        joined = {name: gathered(x, share.sizes, accelerator) for name, x in joined.items()}
    labels, wanted = joined.pop("labels"), joined.pop("wanted")
    leaves = {name: x.requires_grad_(x.is_floating_point()) for name, x in joined.items()}
    total, parts = loss(LDDUOutput.of(leaves), labels, wanted)
    total.backward()
    for part, clips in enumerate(starmap(slice, pairwise(firsts))):
        output = read(part)
        whole = {x: leaves[name].grad for name, x in output.items() if x.requires_grad}
        gradients = {x: gradient[clips] for x, gradient in whole.items() if gradient is not None}
        torch.autograd.backward(list(gradients), list(gradients.values()))
    if several:
        for parameter in model.parameters():  # those of the loss have the whole gradient in every process
            if parameter.grad is not None:
                parameter.grad = accelerator.reduce(parameter.grad, reduction="sum")
    return total, parts


def gathered(x: Tensor, sizes: list[int], accelerator: Accelerator) -> Tensor:
    """The rows of all processes, in the order of the processes; `sizes` are their numbers of rows."""
    padding = x.new_zeros(max(sizes) - len(x), *x.shape[1:])
    padded = accelerator.gather(torch.cat([x, padding]))
    return torch.cat([rows[:size] for rows, size in zip(padded.split(max(sizes)), sizes, strict=True)])


@torch.no_grad()
def predict(model: LDDU, batches: Iterable[Batch], accelerator: Accelerator, watchers: Sequence[Watcher] = ()) -> Predictions:
    """The model's output for every clip of the batches, in their order; each watcher is called with each output."""
    model.eval()
    by_batch: dict[tuple[str, str], list[Tensor]] = defaultdict(list)  # by field of the predictions, and modality or ""
    for batch in batches:
        with accelerator.autocast():
            output = model(batch["features"], batch["masks"])
        for watcher in watchers:
            watcher(output, batch)
        by_batch["log_probs", ""].append(output.log_probs)
        by_batch["log_not_probs", ""].append(output.log_not_probs)
        for name, by_modality in {"present": output.present, **output.log_norms()}.items():
            for m, x in by_modality.items():
                by_batch[name, m].append(x)
    joined = {key: torch.cat(tensors).cpu() for key, tensors in by_batch.items()}
    arrays = {key: x.numpy() if x.dtype == torch.bool else x.double().numpy() for key, x in joined.items()}
    fields = {name: {m: x for (of, m), x in arrays.items() if of == name} for name in Predictions.BY_MODALITY}
    return Predictions(arrays["log_probs", ""], arrays["log_not_probs", ""], **fields)


class Moments:
    """The moments of Z, μ and σ over the clips that have a modality, label by label; they become its stand-in.

    Matched as a mixture's: μ = E[μ], σ² = E[σ²] + Var[μ], Z = E[Z].
    """

    def __init__(self, model: LDDU) -> None:
        self.model = model
        self.sums: dict[str, tuple[Tensor, ...]] = {}

    def watch(self, output: LDDUOutput, _batch: Batch) -> None:
        for m, present in output.present.items():
            mapped, mu, sigma = output.mapped[m], output.mu[m], output.sigma[m]
            weight = present.double()
            new = (weight.sum(), *(torch.einsum("b,bcn->cn", weight, x.double()) for x in (mapped, mu, mu**2 + sigma**2)))
            old = self.sums.get(m)
            self.sums[m] = tuple(a + b for a, b in zip(old, new, strict=True)) if old else new

    @torch.no_grad()
    def become_stand_ins(self) -> None:
        """Write them into the model; a modality that no clip had keeps its stand-in."""
        for m, (clips, *sums) in self.sums.items():
            mapped, mu, second = (x / clips.clamp(min=1) for x in sums)
            sigma = (second - mu**2).clamp(min=0).sqrt()
            cast(StandIn, self.model.stand_in[m]).fit(clips > 0, mapped, mu, sigma)
