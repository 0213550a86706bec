"""Noise that grows with its level and leaves alone what it must."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lddu import noise
from lddu.batches import Clips
from lddu.model import LDDU, LDDUConfig
from lddu.noise import Reference
from lddu.tensors import Split

CPU = torch.device("cpu")
NETWORK = LDDUConfig(dims={"text": 7}, labels=2, width=16, latent=8, layers=0, heads=4, feedforward=16)


def random_features(seed: int, clips: int = 40) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    mask = torch.rand(clips, 5) < 0.8
    mask[:, 0] = True
    return (3 + 2 * torch.randn(clips, 5, 7)).masked_fill(~mask[..., None], 0), mask


def reference_of(x: Tensor, mask: Tensor, rows: str = "all") -> Reference:
    ids = tuple(map(str, range(len(x))))
    split = Split("train", ids, ("a", "b"), {"text": x}, {"text": mask}, torch.zeros(len(x), 2))
    return noise.reference_of(LDDU(replace(NETWORK, rows=rows)), Clips(split, CPU), "text")


@pytest.mark.parametrize("kind", noise.KINDS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_noise_grows_with_its_level_from_nothing(kind: str, seed: int) -> None:
    x, mask = random_features(seed)
    changes = []
    for level in (0.0, 0.3, 1.0):
        noised = noise.KINDS[kind](x, torch.full((len(x),), level), reference_of(x, mask))
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
    noised = noise.KINDS[kind](x, level, reference_of(x, mask))
    torch.testing.assert_close(noised[:3], x[:3])
    assert not torch.allclose(noised[3], x[3])


@pytest.mark.parametrize("clips", [40, 600])
def test_the_measure_is_that_of_the_rows_as_they_are_read(clips: int) -> None:
    x, mask = random_features(1, clips)
    of_rows, of_means = reference_of(x, mask), reference_of(x, mask, "mean")
    means = x.sum(dim=1) / mask.sum(dim=1, keepdim=True)
    for found, rows in ((of_rows, x[mask]), (of_means, means)):
        torch.testing.assert_close(found.mean, rows.mean(dim=0))
        torch.testing.assert_close(found.deviation, rows.std(dim=0, correction=0), rtol=1e-4, atol=1e-4)
        assert (found.rows[:, None] == rows).all(dim=2).any(dim=1).all()
    assert len(of_means.rows) == min(clips, noise.SAMPLE)


def test_at_their_strongest_they_are_what_they_say() -> None:
    x, mask = random_features(1, clips=400)
    full, measure = torch.ones(len(x)), reference_of(x, mask)
    added = (noise.gaussian(x, full, measure) - x)[mask]
    torch.testing.assert_close(added.std(dim=0), noise.STRONGEST * measure.deviation, rtol=0.1, atol=0)
    for kind in ("dropped", "faded"):
        torch.testing.assert_close(
            noise.KINDS[kind](x, full, measure)[mask], measure.mean.expand(int(mask.sum()), -1), atol=1e-5, rtol=0
        )
    swapped = noise.swapped(x, full, measure)[mask]
    assert (swapped[:, None] == measure.rows).all(dim=2).any(dim=1).all()


@pytest.mark.parametrize("kind", noise.KINDS)
def test_a_clip_is_noised_as_strongly_alone_as_among_others(kind: str) -> None:
    x, mask = random_features(2, clips=400)
    measure = reference_of(x, mask)
    full = torch.ones(len(x))
    together = noise.KINDS[kind](x, full, measure) - x
    alone = torch.cat([noise.KINDS[kind](x[i : i + 1], full[:1], measure) - x[i : i + 1] for i in range(len(x))])
    torch.testing.assert_close(alone[mask].square().mean(), together[mask].square().mean(), rtol=0.2, atol=0)


def test_a_modality_that_no_clip_has_can_be_noised() -> None:
    x, mask = torch.zeros(3, 5, 7), torch.zeros(3, 5, dtype=torch.bool)
    for change in noise.KINDS.values():
        assert change(x, torch.ones(3), reference_of(x, mask)).isfinite().all()
