"""Noise that grows with its level and leaves alone what it must."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lddu import noise


def random_features(seed: int, clips: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    mask = torch.rand(clips, 5) < 0.8
    mask[:, 0] = True
    return (3 + 2 * torch.randn(clips, 5, 7)).masked_fill(~mask[..., None], 0), mask


@pytest.mark.parametrize("kind", noise.KINDS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_noise_grows_with_its_level_from_nothing(kind: str, seed: int) -> None:
    x, mask = random_features(seed)
    changes = []
    for level in (0.0, 0.3, 1.0):
        noised = noise.KINDS[kind](x, mask, torch.full((len(x),), level))
        assert noised.shape == x.shape
        assert noised.isfinite().all()
        changes.append(float((noised - x)[mask].square().mean()))
    assert changes[0] == pytest.approx(0, abs=1e-9)
    assert changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("kind", noise.KINDS)
def test_the_level_is_each_clips_own(kind: str) -> None:
    x, mask = random_features(0)
    level = torch.zeros(len(x))
    level[3] = 1
    noised = noise.KINDS[kind](x, mask, level)
    torch.testing.assert_close(noised[:3], x[:3])
    assert not torch.allclose(noised[3], x[3])


def test_at_their_strongest_they_are_what_they_say() -> None:
    x, mask = random_features(1, clips=400)
    full = torch.ones(len(x))
    mean, deviation = noise.moments(x, mask)
    torch.testing.assert_close(mean, x[mask].mean(dim=0))
    torch.testing.assert_close(deviation, x[mask].std(dim=0, correction=0))
    added = (noise.gaussian(x, mask, full) - x)[mask]
    torch.testing.assert_close(added.std(dim=0), noise.STRONGEST * deviation, rtol=0.1, atol=0)
    for kind in ("dropped", "faded"):
        torch.testing.assert_close(noise.KINDS[kind](x, mask, full)[mask], mean.expand(int(mask.sum()), -1))
    swapped = noise.swapped(x, mask, full)
    both = mask & mask.roll(1, dims=0)
    torch.testing.assert_close(swapped[both], x.roll(1, dims=0)[both])


def test_one_clip_alone_can_be_noised() -> None:
    x, mask = random_features(2, clips=1)
    for change in noise.KINDS.values():
        assert change(x, mask, torch.ones(1)).isfinite().all()
