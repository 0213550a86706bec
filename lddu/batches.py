"""Clips of a split as batches: shuffled by a seed or in their order, cut to the longest clip among them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from lddu.tensors import Split

# A split that needs more than this share of a GPU's free memory stays in main memory; its batches are moved one by one.
LARGEST_SHARE = 0.5


class Batch(TypedDict):
    """B clips: features (B, L, D) and masks (B, L) by modality, labels (B, C); wanted (B, M, C, 2) as of
    lddu/calibration.py, NaN where unknown."""

    features: dict[str, Tensor]
    masks: dict[str, Tensor]
    labels: Tensor
    wanted: Tensor


@dataclass(frozen=True)
class Share:
    """The clips of a step that one process reads, in parts, and the number of clips that each process reads."""

    parts: list[Batch]
    sizes: list[int]


class Clips:
    """A split on a device, of which any selection of clips is a batch."""

    def __init__(self, split: Split, device: torch.device, wanted: Tensor | None = None) -> None:
        clips, labels = split.labels.shape
        self.split, self.device = split, device
        self.rows = {m: _rows(mask) for m, mask in split.masks.items()}
        place = device if _fits(split, device) else torch.device("cpu")
        self.features = {m: x.to(place) for m, x in split.features.items()}
        self.masks = {m: x.to(place) for m, x in split.masks.items()}
        self.labels = split.labels.to(place)
        self.wanted = (torch.full((clips, len(split.masks), labels, 2), torch.nan) if wanted is None else wanted).to(place)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, chosen: Tensor) -> Batch:
        """The clips of these indices (B,), which lie in main memory."""
        longest = {m: max(1, int(rows[chosen].max())) if len(chosen) else 1 for m, rows in self.rows.items()}
        if self.device.type == "cuda":
            chosen = chosen.pin_memory()
        index = chosen.to(self.labels.device, non_blocking=True)
        return Batch(
            features={m: self._moved(x[index, : longest[m]]) for m, x in self.features.items()},
            masks={m: self._moved(x[index, : longest[m]]) for m, x in self.masks.items()},
            labels=self._moved(self.labels[index]),
            wanted=self._moved(self.wanted[index]),
        )

    def _moved(self, x: Tensor) -> Tensor:
        """On the device, without waiting for the work that runs there."""
        return x if x.device.type == self.device.type else x.pin_memory().to(self.device, non_blocking=True)


@dataclass(frozen=True)
class Shuffled:
    """Batches in an order that depends on seed and epoch alone, divided among processes and into parts.

    Every process draws the same order and reads its share of each batch, so a step sees the same clips whatever the number
    of processes.
    """

    clips: Clips
    batch_size: int
    seed: int
    parts: int = 1
    rank: int = 0
    processes: int = 1

    def __len__(self) -> int:
        return -(-len(self.clips) // self.batch_size)

    def epoch(self, epoch: int) -> Iterator[Share]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, epoch))
        for chosen in torch.randperm(len(self.clips), generator=generator).split(self.batch_size):
            shares = [share.tensor_split(self.parts) for share in chosen.tensor_split(self.processes)]
            parts = [part for part in shares[self.rank] if len(part)] or [chosen[:0]]
            yield Share([self.clips.batch(part) for part in parts], [sum(map(len, share)) for share in shares])


def seed_of(*numbers: int) -> int:
    """A seed that depends on all of these numbers, so that seed 42's second epoch is not seed 43's first."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def in_order(clips: Clips, batch_size: int) -> Iterator[Batch]:
    """Batches for prediction: every clip once, in the split's order."""
    return (clips.batch(chosen) for chosen in torch.arange(len(clips)).split(batch_size) if len(chosen))


def _fits(split: Split, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    size = sum(x.numel() * x.element_size() for x in (*split.features.values(), *split.masks.values()))
    return size <= LARGEST_SHARE * torch.cuda.mem_get_info(device)[0]


def _rows(mask: Tensor) -> Tensor:
    """(N,): rows up to the last observed one, of masks (N, L)."""
    return ((torch.arange(mask.shape[1]) + 1) * mask).amax(dim=1)
