"""Noise added to a modality's features: in training so that σ learns to rise with it, in evaluation to see whether it does.

Each kind changes x (B, L, D) by a level (B,) from 0, nothing, to 1, the most; masked rows of the result mean nothing. The
strength is relative to the training split, so it does not depend on the batch. Random numbers come from torch's generator of
x's device.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lddu.batches import Clips
from lddu.model import LDDU

# Standard deviation of Gaussian noise at level 1, in standard deviations of each feature.
STRONGEST = 2.0
# Clips whose rows represent those of the training split.
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
    """These kinds of noise for each modality, as strong as the training split asks for."""

    def measured(kind: str, reference: Reference) -> Noise:
        return lambda x, level: KINDS[kind](x, level, reference)

    references = {m: reference_of(model, train, m) for m in train.features}
    return {m: {kind: measured(kind, reference) for kind in kinds} for m, reference in references.items()}


@torch.no_grad()
def reference_of(model: LDDU, train: Clips, m: str) -> Reference:
    """The reference of one modality; mean and deviation are 0 where no clip has it."""

    def rows(clips: Tensor) -> Tensor:
        batch = train.batch(clips)
        x, mask = model.observed(m, batch["features"], batch["masks"])
        return x[mask]  # (n, D)

    sums = []
    for clips in torch.arange(len(train)).split(SAMPLE):
        x = rows(clips).double()
        sums.append(torch.stack([x.new_tensor(len(x)).expand(x.shape[1]), x.sum(dim=0), x.square().sum(dim=0)]))
    count, total, squares = torch.stack(sums).sum(dim=0)  # (D,) each
    mean = total / count.clamp(min=1)
    deviation = (squares / count.clamp(min=1) - mean**2).clamp(min=0).sqrt()
    sample = rows(torch.linspace(0, len(train) - 1, min(SAMPLE, len(train))).long())
    return Reference(mean.float(), deviation.float(), sample if len(sample) else mean[None].float())


def gaussian(x: Tensor, level: Tensor, reference: Reference) -> Tensor:
    """Normal noise on every feature."""
    return x + STRONGEST * level[:, None, None] * reference.deviation * torch.randn_like(x)


def dropped(x: Tensor, level: Tensor, reference: Reference) -> Tensor:
    """Each feature of each row is replaced by its mean with probability `level`."""
    return torch.where(torch.rand_like(x) < level[:, None, None], reference.mean, x)


def faded(x: Tensor, level: Tensor, reference: Reference) -> Tensor:
    """All features move towards their means."""
    return torch.lerp(x, reference.mean.expand_as(x), level[:, None, None])


def scaled(x: Tensor, level: Tensor, reference: Reference) -> Tensor:
    """The distance of each feature of each row from its mean is multiplied by a log-normal factor."""
    return reference.mean + (x - reference.mean) * (level[:, None, None] * torch.randn_like(x)).exp()


def swapped(x: Tensor, level: Tensor, reference: Reference) -> Tensor:
    """Each feature of each row is replaced by that of a random other row with probability `level`."""
    other = reference.rows[torch.randint(len(reference.rows), x.shape[:2], device=x.device)]
    return torch.where(torch.rand_like(x) < level[:, None, None], other, x)


KINDS: dict[str, Callable[[Tensor, Tensor, Reference], Tensor]] = {
    "gaussian": gaussian,
    "dropped": dropped,
    "faded": faded,
    "scaled": scaled,
    "swapped": swapped,
}
