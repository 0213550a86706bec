"""Noise put into a modality's features: in training so that σ learns to rise with it, in evaluation to see whether it does.

x (B, L, D) with mask (B, L) and a level (B,) from 0, nothing, to 1, as much as the kind can. Results are again (B, L, D);
masks stay as they are. Random numbers come from torch's generator of x's device.
"""

from collections.abc import Callable

import torch
from torch import Tensor

# Of Gaussian noise at level 1, in standard deviations of each feature.
STRONGEST = 2.0


def gaussian(x: Tensor, mask: Tensor, level: Tensor) -> Tensor:
    """Normal noise on every feature."""
    _, deviation = moments(x, mask)
    return x + STRONGEST * level[:, None, None] * deviation * torch.randn_like(x)


def dropped(x: Tensor, mask: Tensor, level: Tensor) -> Tensor:
    """Each feature of each row is lost with a chance: it has its mean instead."""
    mean, _ = moments(x, mask)
    return torch.where(torch.rand_like(x) < level[:, None, None], mean, x)


def faded(x: Tensor, mask: Tensor, level: Tensor) -> Tensor:
    """All features draw near their means."""
    mean, _ = moments(x, mask)
    return torch.lerp(x, mean.expand_as(x), level[:, None, None])


def scaled(x: Tensor, mask: Tensor, level: Tensor) -> Tensor:
    """Each feature of each row is too large or too small by a log-normal factor, seen from its mean."""
    mean, _ = moments(x, mask)
    return mean + (x - mean) * (level[:, None, None] * torch.randn_like(x)).exp()


def swapped(x: Tensor, mask: Tensor, level: Tensor) -> Tensor:
    """Each feature of each row is another clip's with a chance."""
    return torch.where(torch.rand_like(x) < level[:, None, None], elsewhere(x, mask), x)


KINDS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "gaussian": gaussian,
    "dropped": dropped,
    "faded": faded,
    "scaled": scaled,
    "swapped": swapped,
}


def moments(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature over the observed rows, (D,) each."""
    count = mask.sum().clamp(min=1)
    seen = mask[..., None]
    mean = x.where(seen, 0).sum(dim=(0, 1)) / count
    return mean, ((x - mean).where(seen, 0).square().sum(dim=(0, 1)) / count).sqrt()


def elsewhere(x: Tensor, mask: Tensor) -> Tensor:
    """The rows of the clip before, in a circle; the mean row where that one has none."""
    mean, _ = moments(x, mask)
    return torch.where(mask.roll(1, dims=0)[..., None], x.roll(1, dims=0), mean)
