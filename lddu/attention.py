"""Dropout and attention that are fast and small on the CPU, and states that are computed again instead of kept.

B clips, L rows, d features of a state.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Clips whose attention is computed at a time in training on the CPU: their scores fit its cache.
CLIPS = 8


class Dropout(nn.Module):
    """Dropout that is fast on the CPU: torch draws a float for each entry there, which takes as long as the Transformer itself.

    Here 16 random bits decide for an entry, and one byte keeps the decision for the backward pass.
    """

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.chance or x.is_cuda:
            return functional.dropout(x, self.chance, self.training)
        return x * self.draw(x.shape) * self.scale

    @property
    def scale(self) -> float:
        """The factor of what is kept."""
        return 1 / (1 - self.chance)

    def added(self, x: Tensor, y: Tensor) -> Tensor:
        """x + dropout(y); y may be overwritten."""
        if not self.training or not self.chance or y.is_cuda or y.dtype != x.dtype:  # autocast: the sum is as exact as x
            return x + self(y)
        return y.mul_(self.draw(y.shape)).mul_(self.scale).add_(x)

    def draw(self, shape: Sequence[int]) -> Tensor:
        """1 for each entry that is kept, else 0. Bytes: a product with bool takes three times as long."""
        size = math.prod(shape)
        bits = torch.empty(-(-size // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        return (bits[:size].view(shape) >= round(self.chance * 2**16) - 2**15).view(torch.uint8)


class Attention(torch.autograd.Function):
    """Attention with dropout for training on the CPU, a few clips at a time; all but x is computed again for the gradient.

    x is (B, L, d), `weight` and `bias` give its queries, keys and values, `mask` is (B, L), `kept` (B, heads, L, L) is 0 where
    dropout sets an entry to 0; what remains is scaled. The result is (B, L, d).
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mask: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(x, weight, bias, mask, kept)
        ctx.scale = scale
        mixed = torch.empty_like(x)
        for to, *some in zip(*(part.split(CLIPS) for part in (mixed, x, mask, kept)), strict=True):
            _, _, value, attention, factor = Attention.parts(weight, bias, scale, *some)
            to.copy_(joined((attention * factor) @ value))
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple:
        x, weight, bias, mask, kept = ctx.saved_tensors
        of_x, of_weight, of_bias = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(bias)
        for to, of_mixed, *some in zip(*(part.split(CLIPS) for part in (of_x, upstream, x, mask, kept)), strict=True):
            query, key, value, attention, factor = Attention.parts(weight, bias, ctx.scale, *some)
            of_mixed = by_head(of_mixed, 1, query.shape[1])[0].contiguous()
            of_value = (attention * factor).mT @ of_mixed
            of_attention = (of_mixed @ value.mT).mul_(factor)
            of_scores = attention * (of_attention - (of_attention * attention).sum(dim=-1, keepdim=True))
            of_parts = (of_scores @ key).div_(math.sqrt(key.shape[-1])), of_scores.mT @ query, of_value
            projected = torch.cat([joined(part) for part in of_parts], dim=-1).flatten(0, 1)
            torch.mm(projected, weight, out=to.flatten(0, 1))
            of_weight.addmm_(projected.T, some[0].flatten(0, 1))
            of_bias += projected.sum(dim=0)
        return of_x, of_weight, of_bias, None, None, None

    @staticmethod
    def parts(weight: Tensor, bias: Tensor, scale: float, x: Tensor, mask: Tensor, kept: Tensor) -> tuple[Tensor, ...]:
        """Scaled queries, keys and values (b, heads, L, d / heads); attention and the dropout's factors (b, heads, L, L)."""
        query, key, value = by_head(functional.linear(x, weight, bias), 3, kept.shape[1]).contiguous()  # one copy, not three
        query = query / math.sqrt(query.shape[-1])
        never = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(~mask, -torch.inf)
        attention = (query @ key.mT).add_(never[:, None, None, :]).softmax(dim=-1)
        return query, key, value, attention, kept * scale


def by_head(x: Tensor, parts: int, heads: int) -> Tensor:
    """(B, L, parts d) to (parts, B, heads, L, d / heads)."""
    return x.unflatten(-1, (parts, heads, -1)).permute(2, 0, 3, 1, 4)


def joined(x: Tensor) -> Tensor:
    """(B, heads, L, d / heads) to (B, L, d)."""
    return x.transpose(1, 2).flatten(2)


@contextmanager
def again(y: Tensor, f: Callable[[Tensor], Tensor], x: Tensor) -> Iterator[None]:
    """What is computed within keeps x for its gradient in place of y = f(x), and y is computed again; f must repeat itself."""
    place = y.data_ptr()

    def keep(saved: Tensor) -> Tensor | torch.Size:
        return saved.shape if saved.data_ptr() == place and saved.is_contiguous() else saved

    def give(kept: Tensor | torch.Size) -> Tensor:
        return kept if isinstance(kept, Tensor) else f(x).view(kept)

    with torch.autograd.graph.saved_tensors_hooks(keep, give):
        yield
