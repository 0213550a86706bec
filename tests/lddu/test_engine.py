"""Batches, learning rates, decay groups, and what an epoch and a prediction leave behind."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given
from hypothesis import strategies as st
from small_corpus import DIMS, LABELS, ROWS, write

from lddu.batches import in_order, shuffled
from lddu.engine import Means, Moments, decay_groups, learning_rates, predict, train_epoch
from lddu.losses import LDDULoss, LossConfig
from lddu.model import LDDU, LDDUConfig
from lddu.tensors import Split, read_split

NETWORK = LDDUConfig(dims=DIMS, labels=len(LABELS), width=16, latent=8, layers=1, heads=4, feedforward=16, positions=12)


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return read_split(write(tmp_path_factory.mktemp("tensors")), "train", LABELS)


def model() -> LDDU:
    torch.manual_seed(0)
    return LDDU(NETWORK)


def test_every_clip_is_in_one_batch_of_an_epoch(train: Split) -> None:
    loader, order = shuffled(train, 20, seed=1)
    sizes, first = [], []
    for epoch in (1, 2, 1):
        order.epoch = epoch
        batches = list(loader)
        sizes.append([len(batch["labels"]) for batch in batches])
        seen = torch.cat([batch["features"]["text"][:, 0] for batch in batches])
        assert torch.equal(seen.sort(dim=0).values, train.features["text"][:, 0].sort(dim=0).values)
        first.append(batches[0]["features"]["text"][:, 0])
    assert sizes[0] == [20, 20, 20, 20, 16]
    assert len(loader) == 5
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[1])


def test_a_batch_is_cut_to_its_longest_clip_and_no_observed_row_is_lost(train: Split) -> None:
    for batch, start in zip(in_order(train, 3), range(0, len(train), 3), strict=True):
        for m, mask in batch["masks"].items():
            whole = train.masks[m][start : start + 3]
            assert int(mask.sum()) == int(whole.sum())
            assert mask.shape[1] == 1 or mask[:, -1].any()
            assert batch["features"][m].shape[:2] == mask.shape


@given(steps=st.integers(1, 200), warmup=st.floats(0, 1), peak=st.floats(1e-6, 1))
def test_the_learning_rate_rises_to_its_peak_and_falls(steps: int, warmup: float, peak: float) -> None:
    rates = learning_rates(steps, warmup, peak)
    rising = round(warmup * steps)
    assert len(rates) == steps
    assert min(rates[:rising], default=peak) > 0
    assert max(rates) == pytest.approx(peak)
    assert rates[:rising] == sorted(rates[:rising])
    assert rates[rising:] == sorted(rates[rising:], reverse=True)


def test_biases_and_layernorms_do_not_decay() -> None:
    network = model()
    decaying, fixed = decay_groups(network, 0.01)
    named = {id(parameter): name for name, parameter in network.named_parameters()}
    still = {named[id(parameter)] for parameter in fixed["params"]}
    assert fixed["weight_decay"] == 0
    assert len(decaying["params"]) + len(fixed["params"]) == len(named)
    assert {"extractor.text.norm.weight", "extractor.text.layers.0.attention_norm.weight", "centre.hidden_bias"} <= still
    assert not {"labels", "centre.hidden_weight", "extractor.text.positions.table", "info.hidden.weight"} & still


def test_an_epoch_learns(train: Split) -> None:
    network, loss = model(), LDDULoss(NETWORK, LossConfig(queue=64))
    accelerator = Accelerator(cpu=True)
    optimizer = accelerator.prepare(torch.optim.AdamW(decay_groups(network, 0.01), lr=0.003))
    loader, order = shuffled(train, 32, seed=1)
    losses = []
    for epoch in range(6):
        order.epoch = epoch
        losses.append(train_epoch(network, loss, loader, optimizer, [0.003] * 3, accelerator, 1.0)["bce"])
    assert losses[-1] < losses[0] - 0.05


def test_means_are_weighted_by_clips() -> None:
    means = Means(LDDULoss(NETWORK))
    means.add(torch.tensor(1.0), {"bce": torch.tensor(4.0)}, 1)
    means.add(torch.tensor(3.0), {"bce": torch.tensor(0.0)}, 3)
    assert means.result() == {"loss": 2.5, "bce": 1.0}


def test_predictions_do_not_depend_on_the_batch_size(train: Split) -> None:
    network = model()
    one, many = (predict(network, in_order(train, size)) for size in (1, 50))
    np.testing.assert_allclose(one.log_probs, many.log_probs, atol=1e-5)
    for m in DIMS:
        assert np.array_equal(one.present[m], train.masks[m].any(dim=1).numpy())
        np.testing.assert_allclose(one.log_sigma[m], many.log_sigma[m], atol=1e-5)
        assert np.array_equal(np.isnan(one.log_sigma[m]).all(axis=1), ~one.present[m])


def test_predicting_changes_nothing(train: Split) -> None:
    network = model()
    before = {name: x.clone() for name, x in network.state_dict().items()}
    state = torch.get_rng_state()
    predict(network, [{"features": train.features, "masks": train.masks, "labels": train.labels}])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(x, before[name]) for name, x in network.state_dict().items())


def test_stand_ins_match_the_moments_of_the_clips_that_have_the_modality(train: Split) -> None:
    network = model()
    moments = Moments(network)
    predict(network, in_order(train, 17), [moments.watch])
    moments.become_stand_ins()
    with torch.no_grad():
        output = network.eval()(*_whole(train))
    for m in DIMS:
        there = output.present[m]
        mu, sigma = output.mu[m][there].double(), output.sigma[m][there].double()
        variance = sigma.square().mean(dim=0) + mu.var(dim=0, correction=0)
        stand_in = network.stand_in[m]
        torch.testing.assert_close(stand_in.mu.double(), mu.mean(dim=0), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(stand_in.sigma.double().square(), variance, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(stand_in.mapped.double(), output.mapped[m][there].double().mean(dim=0), atol=1e-5, rtol=1e-4)


def test_a_modality_that_no_clip_has_keeps_its_stand_in(train: Split) -> None:
    network = model()
    moments = Moments(network)
    masks = {m: mask & (m != "audio") for m, mask in train.masks.items()}
    predict(network, [{"features": train.features, "masks": masks, "labels": train.labels}], [moments.watch])
    moments.become_stand_ins()
    assert torch.equal(network.stand_in["audio"].sigma, torch.ones(len(LABELS), NETWORK.latent))


def _whole(split: Split) -> tuple[dict, dict]:
    assert split.features["text"].shape[1] == ROWS["text"]
    return split.features, split.masks
