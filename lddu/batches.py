"""Clips of a split as batches: shuffled by a seed or in their order, cut to the longest clip among them."""

from collections.abc import Iterator
from typing import Any, TypedDict

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lddu.tensors import Split


class Batch(TypedDict):
    """B clips: features (B, L, D) and masks (B, L) a modality, labels (B, C)."""

    features: dict[str, Tensor]
    masks: dict[str, Tensor]
    labels: Tensor


class Clips(Dataset):
    """A split of which any selection of clips is a batch."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self.rows = {m: _rows(mask) for m, mask in split.masks.items()}

    def __len__(self) -> int:
        return len(self.split)

    def __getitems__(self, chosen: list[int]) -> Batch:
        index = torch.tensor(chosen)
        longest = {m: max(1, int(rows[index].max())) for m, rows in self.rows.items()}
        return Batch(
            features={m: x[index, : longest[m]] for m, x in self.split.features.items()},
            masks={m: x[index, : longest[m]] for m, x in self.split.masks.items()},
            labels=self.split.labels[index],
        )


class Shuffled(Sampler[list[int]]):
    """Batches of indices, in an order that the seed and the epoch say and nothing else."""

    def __init__(self, clips: int, batch_size: int, seed: int) -> None:
        self.clips, self.batch_size, self.seed, self.epoch = clips, batch_size, seed, 0

    def __len__(self) -> int:
        return -(-self.clips // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(self.clips, generator=generator)
        return iter([chosen.tolist() for chosen in order.split(self.batch_size)])


def shuffled(split: Split, batch_size: int, seed: int) -> tuple[DataLoader, Shuffled]:
    """Batches for training, and the sampler to tell the epoch to."""
    sampler = Shuffled(len(split), batch_size, seed)
    return DataLoader(Clips(split), batch_sampler=sampler, collate_fn=_as_it_is), sampler


def in_order(split: Split, batch_size: int) -> DataLoader:
    """Batches for prediction: every clip once, in the split's order."""
    return DataLoader(Clips(split), batch_size=batch_size, collate_fn=_as_it_is)


def _as_it_is(batch: Any) -> Batch:
    return batch


def _rows(mask: Tensor) -> Tensor:
    """(N,): rows up to the last observed one, of masks (N, L)."""
    return ((torch.arange(mask.shape[1]) + 1) * mask).amax(dim=1)
