"""Batches, learning rates, decay groups, and what an epoch and a prediction leave behind."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from hypothesis import given
from hypothesis import strategies as st

from lddu.batches import Batch, Clips, Shuffled, in_order
from lddu.calibration import targets
from lddu.engine import Means, Moments, Step, decay_groups, in_two_passes, learning_rates, predict, steps_of, train_epoch
from lddu.losses import LDDULoss, LossConfig
from lddu.model import LDDU, LOG_NORMS, LDDUConfig, LDDUOutput
from lddu.noise import Noise, noises
from lddu.tensors import Split, read_split
from tests.lddu.small_corpus import DIMS, LABELS, write

CPU = torch.device("cpu")
NETWORK = LDDUConfig(dims=DIMS, labels=len(LABELS), width=16, latent=8, layers=1, heads=4, feedforward=16, positions=12)


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return read_split(write(tmp_path_factory.mktemp("tensors")), "train", LABELS)


def whole(split: Split) -> Batch:
    return next(in_order(Clips(split, CPU), len(split)))


def model() -> LDDU:
    torch.manual_seed(0)
    return LDDU(NETWORK)


@pytest.mark.parametrize(("parts", "processes"), [(1, 1), (3, 1), (1, 2), (2, 3)])
def test_every_clip_is_in_one_batch_of_an_epoch(train: Split, parts: int, processes: int) -> None:
    clips = Clips(train, CPU)
    ranks = [Shuffled(clips, 20, 1, parts, rank, processes) for rank in range(processes)]
    first = []
    for epoch in (1, 2, 1):
        shares = list(zip(*(order.epoch(epoch) for order in ranks), strict=True))
        assert len(shares) == len(ranks[0]) == 5
        steps = [[x for share in step for part in share.parts for x in part["features"]["text"][:, 0]] for step in shares]
        assert [len(step) for step in steps] == [20, 20, 20, 20, 16]
        for step in shares:
            sizes = [sum(len(part["labels"]) for part in share.parts) for share in step]
            assert all(share.sizes == sizes for share in step)
            assert all(len(share.parts) <= parts for share in step)
        seen = torch.stack([x for step in steps for x in step])
        assert torch.equal(seen.sort(dim=0).values, train.features["text"][:, 0].sort(dim=0).values)
        first.append(torch.stack(steps[0]))
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[1])
    alone = next(Shuffled(clips, 20, 1).epoch(1)).parts[0]["features"]["text"][:, 0]
    assert torch.equal(first[0], alone)


def test_a_batch_is_cut_to_its_longest_clip_and_no_observed_row_is_lost(train: Split) -> None:
    for batch, start in zip(in_order(Clips(train, CPU), 3), range(0, len(train), 3), strict=True):
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


def learner(dropout: float = 0.1, form: str = "noise") -> tuple[LDDU, LDDULoss, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = LDDU(replace(NETWORK, dropout=dropout, head_dropout=dropout))
    loss = LDDULoss(NETWORK, LossConfig(queue=64, calibration_form=form))
    return network, loss, torch.optim.AdamW(decay_groups(torch.nn.ModuleList([network, loss]), 0.01), lr=0.003)


def test_no_seed_repeats_the_order_of_another_ones_later_epoch(train: Split) -> None:
    clips = Clips(train, CPU)
    firsts = [next(Shuffled(clips, 96, seed).epoch(epoch)).parts[0]["features"] for seed in range(5) for epoch in range(1, 6)]
    assert len({x["text"].numpy().tobytes() for x in firsts}) == len(firsts)


def test_an_epoch_learns(train: Split) -> None:
    network, loss, optimizer = learner()
    order = Shuffled(Clips(train, CPU), 32, seed=1)
    losses = []
    for epoch in range(8):
        steps = steps_of(1, epoch, 3, noises(network, order.clips, ["swapped"]))
        found = train_epoch(network, loss, order.epoch(epoch), steps, [0.003] * 3, optimizer, Accelerator(cpu=True), 1.0)
        losses.append(found["bce"])
    assert losses[-1] < losses[0] - 0.05


@pytest.mark.parametrize("parts", [1, 2])
def test_a_step_goes_as_far_as_its_rate_and_the_clipped_gradient_say(train: Split, parts: int) -> None:
    network, loss, _ = learner()
    learned = torch.nn.ModuleList([network, loss])
    before = torch.nn.utils.parameters_to_vector(learned.parameters()).detach()
    order = Shuffled(Clips(train, CPU), 32, seed=1, parts=parts)
    optimizer = torch.optim.SGD(learned.parameters(), lr=1.0)
    train_epoch(network, loss, order.epoch(1), steps_of(1, 1, 3, {}), [0.0, 0.0, 0.5], optimizer, Accelerator(cpu=True), 0.01)
    moved = torch.nn.utils.parameters_to_vector(learned.parameters()).detach() - before
    assert float(moved.norm()) == pytest.approx(0.5 * 0.01, rel=1e-3)


@pytest.fixture
def bfloat16() -> Iterator[Accelerator]:
    AcceleratorState._reset_state(reset_partial_state=True)  # a process has one precision
    yield Accelerator(cpu=True, mixed_precision="bf16")
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("parts", [1, 2])
def test_every_reading_of_a_network_is_in_the_precision_that_was_asked_for(
    train: Split, parts: int, bfloat16: Accelerator
) -> None:
    network, loss, optimizer = learner()
    found = []
    for part in (network.info, network.mapping["audio"]):
        part.register_forward_hook(lambda _module, _inputs, output: found.append(output.dtype))
    order = Shuffled(Clips(train, CPU), 96, seed=1, parts=parts)
    steps = steps_of(1, 1, 1, noises(network, order.clips, ["faded"]), noised=3)
    train_epoch(network, loss, order.epoch(1), steps, [0.003], optimizer, bfloat16, 1.0)
    assert found == [torch.bfloat16] * {1: 3, 2: 12}[parts]
    predict(network, [whole(train)], bfloat16)
    assert found[-2:] == [torch.bfloat16] * 2
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


def test_modalities_are_dropped_in_training_alone(train: Split) -> None:
    network, loss, optimizer = learner()
    network.config = replace(NETWORK, modality_dropout=0.5)
    there = []
    network.register_forward_hook(lambda _module, _inputs, output: there.append(torch.stack(list(output.present.values()))))
    order = Shuffled(Clips(train, CPU), len(train), seed=1)
    for _ in range(2):
        predict(network, [whole(train)], Accelerator(cpu=True))
        train_epoch(network, loss, order.epoch(1), steps_of(1, 1, 1, {}), [0.0], optimizer, Accelerator(cpu=True), 1.0)
    of_all = sum(int(mask.any(dim=1).sum()) for mask in train.masks.values())
    assert [int(present.sum()) == of_all for present in there] == [True, False, True, False]
    assert int(there[1].sum()) < 0.8 * of_all


def test_a_step_repeats_by_its_seed_and_differs_between_epochs() -> None:
    kinds: dict[str, dict[str, Noise]] = {m: {"whole": lambda x, _: x, "nothing": lambda x, _: 0 * x} for m in DIMS}
    assert steps_of(1, 2, 5, kinds) == steps_of(1, 2, 5, kinds)
    assert steps_of(1, 2, 5, {}) != steps_of(1, 3, 5, {})
    assert all(step.noised == {} for step in steps_of(1, 2, 5, {}))
    drawn = [step.noised for step in steps_of(1, 2, 200, kinds)]
    assert {len(noised) for noised in drawn} == {1}
    assert {pair for noised in drawn for pair in noised.items()} == {(m, kind) for m in DIMS for kind in kinds[m].values()}
    assert all(set(step.noised) == set(DIMS) for step in steps_of(1, 2, 5, kinds, noised=4))


def test_every_modality_that_is_noised_has_levels_and_sigmas_of_its_own(train: Split) -> None:
    network = model().eval()
    noised = {m: kinds["gaussian"] for m, kinds in noises(network, Clips(train, CPU), ["gaussian"]).items()}
    output = Step(3, noised).read(network, whole(train), 0, 0, len(train))
    assert set(output.noise_level) == set(output.noised_sigma) == set(DIMS)
    first, second, *_ = output.noise_level.values()
    assert not torch.equal(first, second)
    assert not torch.allclose(output.noised_sigma["text"], output.sigma["text"])


@pytest.mark.parametrize(("parts", "form"), [(2, "noise"), (3, "noise"), (40, "released")])
def test_accumulated_gradients_are_those_of_the_large_batch(train: Split, parts: int, form: str) -> None:
    """All losses, with dropout 0: contrast, calibration and ranking see every pair of the large batch, the queue too."""
    found = []
    wanted, _ = targets(train, train)
    for count in (1, parts):
        network, loss, optimizer = learner(dropout=0.0, form=form)
        order = Shuffled(Clips(train, CPU, wanted), 32, seed=1, parts=count)
        steps = steps_of(1, 1, 3, noises(network, order.clips, ["faded"]), noised=3)
        still = [0.0] * 3  # AdamW divides a small gradient's rounding by its size
        means = train_epoch(network, loss, order.epoch(1), steps, still, optimizer, Accelerator(cpu=True), 1e9)
        assert means["ordinality"] > 0
        found.append((means, [p.grad.clone() for p in network.parameters()], loss.state_dict()))
    (one, gradients, state), (many, their_gradients, their_state) = found
    assert many == pytest.approx(one, abs=1e-5)
    for mine, theirs in zip(gradients, their_gradients, strict=True):
        torch.testing.assert_close(theirs, mine, atol=2e-5, rtol=1e-3)
    for name, x in state.items():
        torch.testing.assert_close(their_state[name], x, atol=1e-4, rtol=1e-3)


def test_accumulation_replays_the_same_dropout(train: Split) -> None:
    """The gradients of the second pass belong to the outputs of the first."""
    step, batch = Step(seed=5), next(in_order(Clips(train, CPU), 8))
    network = model().train()
    first, second = (step.read(network, batch, 1, 8, 32).log_probs for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, step.read(network, batch, 2, 16, 32).log_probs)


def test_two_passes_leave_the_gradients_of_the_outputs_that_the_loss_saw(train: Split) -> None:
    """With dropout and random noise: those of all parts read once, joined and taken back at once."""
    gradients = []
    for in_parts in (True, False):
        network, loss, _ = learner(dropout=0.3)
        share = next(Shuffled(Clips(train, CPU), 32, 1, parts=3).epoch(1))
        step = Step(5, {m: kinds["swapped"] for m, kinds in noises(network, Clips(train, CPU), ["swapped"]).items()})
        network.train()
        if in_parts:
            in_two_passes(network, loss, share, step, Accelerator(cpu=True))
        else:
            read = [step.read(network, part, i, 11 * i, 32).tensors() for i, part in enumerate(share.parts)]
            output = LDDUOutput.of({name: torch.cat([part[name] for part in read]) for name in read[0]})
            loss(output, torch.cat([part["labels"] for part in share.parts]))[0].backward()
        gradients.append([parameter.grad for parameter in (*network.parameters(), *loss.parameters())])
    for two, one in zip(*gradients, strict=True):
        torch.testing.assert_close(two, one, atol=1e-5, rtol=1e-3)


def test_means_are_weighted_by_clips() -> None:
    means = Means(LDDULoss(NETWORK))
    means.add(torch.tensor(1.0), {"bce": torch.tensor(4.0)}, 1)
    means.add(torch.tensor(3.0), {"bce": torch.tensor(0.0)}, 3)
    assert means.result() == {"loss": 2.5, "bce": 1.0}


def test_predictions_do_not_depend_on_the_batch_size(train: Split) -> None:
    network = model()
    one, many = (predict(network, in_order(Clips(train, CPU), size), Accelerator(cpu=True)) for size in (1, 50))
    np.testing.assert_allclose(one.log_probs, many.log_probs, atol=1e-5)
    for m in DIMS:
        assert np.array_equal(one.present[m], train.masks[m].any(dim=1).numpy())
        for part in LOG_NORMS:
            first, second = (getattr(predicted, part)[m] for predicted in (one, many))
            np.testing.assert_allclose(first, second, atol=1e-5)
            assert np.array_equal(np.isnan(first).all(axis=1), ~one.present[m])


def test_predicting_changes_nothing(train: Split) -> None:
    network = model()
    before = {name: x.clone() for name, x in network.state_dict().items()}
    state = torch.get_rng_state()
    predict(network, [whole(train)], Accelerator(cpu=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(x, before[name]) for name, x in network.state_dict().items())


def test_stand_ins_match_the_moments_of_the_clips_that_have_the_modality(train: Split) -> None:
    network = model()
    moments = Moments(network)
    predict(network, in_order(Clips(train, CPU), 17), Accelerator(cpu=True), [moments.watch])
    moments.become_stand_ins()
    with torch.no_grad():
        output = network.eval()(train.features, train.masks)
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
    predict(network, [{**whole(train), "masks": masks}], Accelerator(cpu=True), [moments.watch])
    moments.become_stand_ins()
    assert torch.equal(network.stand_in["audio"].sigma, torch.ones(len(LABELS), NETWORK.latent))
