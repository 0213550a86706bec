"""Noise put into a modality's features: in training so that σ learns to rise with it, in evaluation to see whether it does.

x (B, L, D) with a level (B,) from 0, nothing, to 1, as much as the kind can. Results are again (B, L, D); what masked rows
hold in them means nothing. How strong a noise is, is measured by the training split, whatever clips are read together.
Random numbers come from torch's generator of x's device.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lddu.batches import Clips
from lddu.model import LDDU

# Of Gaussian noise at level 1, in standard deviations of each feature.
STRONGEST = 2.0
# Clips whose rows stand for all of the training split's.
SAMPLE = 256


# A change of x (B, L, D) by a level (B,).
Noise = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Reference:
    """The rows of a modality in the training split, as the extractor reads them."""

    mean: Tensor  # (D,)
    deviation: Tensor  # (D,)
    rows: Tensor  # (n, D): those of SAMPLE clips


def noises(model: LDDU, train: Clips, kinds: Iterable[str]) -> dict[str, dict[str, Noise]]:
    """Some kinds of noise for each modality of the training split, by its measure."""

    def measured(kind: str, reference: Reference) -> Noise:
        return lambda x, level: KINDS[kind](x, level, reference)

    found = {m: reference_of(model, train, m) for m in train.features}
    return {m: {kind: measured(kind, reference) for kind in kinds} for m, reference in found.items()}


@torch.no_grad()
def reference_of(model: LDDU, train: Clips, m: str) -> Reference:
    """The measure of one modality; a mean and a deviation of 0 where no clip has it."""

    def rows(clips: Tensor) -> Tensor:
        batch = train.batch(clips)
        x, mask = model.observed(m, batch["features"], batch["masks"])
        return x[mask]  # (n, D)

    sums = []
    for part in torch.arange(len(train)).split(SAMPLE):
        own = rows(part).double()
        sums.append(torch.stack([own.new_tensor(len(own)).expand(own.shape[1]), own.sum(dim=0), own.square().sum(dim=0)]))
    count, total, squares = torch.stack(sums).sum(dim=0)  # (D,) each
    mean = total / count.clamp(min=1)
    deviation = (squares / count.clamp(min=1) - mean**2).clamp(min=0).sqrt()
    some = rows(torch.linspace(0, len(train) - 1, min(SAMPLE, len(train))).long())
    return Reference(mean.float(), deviation.float(), some if len(some) else mean[None].float())


def gaussian(x: Tensor, level: Tensor, reference: Reference) -> Tensor:
    """Normal noise on every feature."""
    return x + STRONGEST * level[:, None, None] * reference.deviation * torch.randn_like(x)


def dropped(x: Tensor, level: Tensor, reference: Reference) -> Tensor:
    """Each feature of each row is lost with a chance: it has its mean instead."""
    return torch.where(torch.rand_like(x) < level[:, None, None], reference.mean, x)


def faded(x: Tensor, level: Tensor, reference: Reference) -> Tensor:
    """All features draw near their means."""
    return torch.lerp(x, reference.mean.expand_as(x), level[:, None, None])


def scaled(x: Tensor, level: Tensor, reference: Reference) -> Tensor:
    """Each feature of each row is too large or too small by a log-normal factor, seen from its mean."""
    return reference.mean + (x - reference.mean) * (level[:, None, None] * torch.randn_like(x)).exp()


def swapped(x: Tensor, level: Tensor, reference: Reference) -> Tensor:
    """Each feature of each row is that of any other row with a chance."""
    other = reference.rows[torch.randint(len(reference.rows), x.shape[:2], device=x.device)]
    return torch.where(torch.rand_like(x) < level[:, None, None], other, x)


KINDS: dict[str, Callable[[Tensor, Tensor, Reference], Tensor]] = {
    "gaussian": gaussian,
    "dropped": dropped,
    "faded": faded,
    "scaled": scaled,
    "swapped": swapped,
}
