"""Each loss against the formula written out slowly, and the queue over its end."""

import itertools
import math
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import params
from lddu import losses
from lddu.losses import (
    UNIT,
    FeatureQueue,
    LDDULoss,
    LossConfig,
    contrast_classes,
    contrast_features,
    cross_entropy,
    deviation,
    joined_norm,
    log_sigmoids,
    ordinality,
    presence,
    released_calibration,
    supervised_contrast,
)
from lddu.model import LDDU, LOG_NORMS, LDDUConfig, LDDUOutput
from tests.conftest import ROOT
from tests.lddu.small_corpus import DIMS, LABELS, ROWS, random_batch

NETWORK = LDDUConfig(dims=DIMS, labels=len(LABELS), width=16, latent=8, layers=1, heads=4, feedforward=16, positions=12)
TEMPERATURE = 0.07


def slow_contrast(features: Tensor, classes: list[int], anchors: int, temperature: float, within: bool) -> float:
    """The formula, entry by entry, in Python's own numbers; the first `anchors` features are anchors."""
    similarity = (features @ features.T / temperature).tolist()
    losses = []
    for i in range(anchors):
        others = [k for k in range(len(classes)) if k != i and classes[k] >= 0]
        positives = [j for j in others if classes[j] == classes[i]]
        if classes[i] < 0 or not positives:
            continue
        compared = [k for k in others if classes[k] // 2 == classes[i] // 2] if within else others
        log_total = math.log(sum(math.exp(similarity[i][k]) for k in compared))
        losses.append(-sum(similarity[i][j] - log_total for j in positives) / len(positives))
    return sum(losses) / len(losses) if losses else 0.0


def slow_softmax(values: dict) -> dict:
    total = sum(math.exp(x) for x in values.values())
    return {key: math.exp(x) / total for key, x in values.items()}


def slow_divergence(p: dict, q: dict) -> float:
    return sum(p[key] * math.log(p[key] / q[key]) + q[key] * math.log(q[key] / p[key]) for key in p) / 2


def entries(values: Tensor, known: Tensor) -> dict[tuple[int, int], float]:
    return {(b, c): float(values[b, c]) for b, c in known.nonzero().tolist()}


def random_features(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = contrast_features(*torch.randn(2, count, 4, generator=generator, dtype=torch.float64))
    return features, torch.randint(-1, 4, (count,), generator=generator)


def random_output(clips: int, seed: int, noised: str = "") -> tuple[LDDUOutput, Tensor]:
    """What a network says of random clips; of one modality also a noised copy's sigma, if it is named."""
    torch.manual_seed(seed)
    features, masks, labels = random_batch(clips, ROWS, seed)
    output = LDDU(NETWORK).eval()(features, masks)
    if noised:
        level = torch.rand(clips)
        output = replace(output, noise_level={noised: level}, noised_sigma={noised: output.sigma[noised] * 1.1})
    return output, labels


@settings(max_examples=40, deadline=None)
@given(
    anchors=st.integers(1, 14),
    bank=st.integers(0, 10),
    seed=st.integers(0, 10**6),
    within=st.booleans(),
    block=st.sampled_from([1, 60, 2**20]),
)
def test_the_contrast_is_its_formula(anchors: int, bank: int, seed: int, within: bool, block: int) -> None:
    """However many anchors of the matrix of all pairs exist at a time: one, a few, or all."""
    features, classes = random_features(anchors + bank, seed)
    expected, none = slow_contrast(features, classes.tolist(), anchors, TEMPERATURE, within), features[:0]
    with patch.object(losses, "BLOCK", block):
        found = supervised_contrast(features, none, classes, anchors, 4, TEMPERATURE, within)
        low = supervised_contrast(features.float(), none.float(), classes, anchors, 4, TEMPERATURE, within)
    assert float(found) == pytest.approx(expected, abs=1e-9)
    assert float(low) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("block", [1, 60, 2**20])
@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize(("anchors", "fixed"), [(9, 0), (9, 6), (15, 6)])  # as with a queue of anchors too, the last
def test_the_contrast_has_right_gradients(anchors: int, fixed: int, within: bool, block: int) -> None:
    features, classes = random_features(15, seed=3)
    learned, constant = features[: 15 - fixed].requires_grad_(), features[15 - fixed :].detach()

    def contrast(x: Tensor) -> Tensor:
        return supervised_contrast(x, constant, classes, anchors, 4, 0.5, within)

    with patch.object(losses, "BLOCK", block):
        assert torch.autograd.gradcheck(contrast, learned)


def test_autocast_leaves_the_contrast_as_exact_as_it_is() -> None:
    features, classes = random_features(15, seed=4)
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found.append(supervised_contrast(features.float(), features[:0].float(), classes, 9, 4, TEMPERATURE))
    assert torch.equal(*found)


def test_the_contrast_of_one_feature_is_nothing_and_has_no_bad_gradient() -> None:
    features = torch.randn(1, 8, requires_grad=True)
    loss = supervised_contrast(features, torch.zeros(0, 8), torch.tensor([2]), 1, 4, 0.07)
    loss.backward()
    assert float(loss.detach()) == 0
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_the_class_of_a_feature_is_its_modality_label_and_presence() -> None:
    targets = torch.tensor([[1.0, 0.0], [torch.nan, 1.0]])
    present = torch.tensor([[True, True, False], [True, False, True]])
    assert contrast_classes(targets, present).tolist() == [[[1, 2], [5, 6], [-1, -1]], [[-1, 3], [-1, -1], [-1, 11]]]


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 9), batches=st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_the_queue_holds_the_last_features_whatever_the_batches(size: int, batches: list[int]) -> None:
    queue = FeatureQueue(size, 1)
    entered = 0
    for count in batches:
        numbers = torch.arange(entered, entered + count)
        queue.enter(numbers[:, None].float().requires_grad_(), numbers)
        entered += count
    kept = sorted(range(max(0, entered - size), entered))
    filled = queue.classes >= 0
    assert sorted(queue.classes[filled].tolist()) == kept
    assert sorted(queue.features[filled, 0].tolist()) == kept
    assert not queue.features.requires_grad


def test_the_queue_overwrites_the_oldest_first() -> None:
    queue = FeatureQueue(3, 1)
    for first in (0, 2):
        queue.enter(torch.full((2, 1), first), torch.tensor([first, first + 1]))
    assert queue.classes.tolist() == [3, 1, 2]
    assert int(queue.cursor) == 1


def test_only_training_fills_the_queue_and_only_after_the_loss() -> None:
    output, labels = random_output(6, seed=1)
    loss = LDDULoss(NETWORK, LossConfig(queue=64)).eval()
    loss(output, labels)
    assert (loss.queue.classes < 0).all()
    _, first = loss.train()(output, labels)
    _, second = loss(output, labels)
    assert (loss.queue.classes >= 0).any()
    assert second["contrast"] != first["contrast"]


def test_the_loss_with_a_queue_is_differentiable_after_the_queue_has_moved_on() -> None:
    output, labels = random_output(6, seed=2)
    total, _ = LDDULoss(NETWORK, LossConfig(queue=16))(output, labels)
    total.backward()


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), clips=st.integers(1, 5))
def test_cross_entropy_is_its_formula_over_the_known_labels(seed: int, clips: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(clips, 3, generator=generator, dtype=torch.float64).clamp(0.01, 0.99)
    y = (torch.rand(clips, 3, generator=generator) < 0.5).double()
    y[torch.rand(clips, 3, generator=generator) < 0.3] = torch.nan
    terms = [-math.log(p[b, c] if y[b, c] else 1 - p[b, c]) for b in range(clips) for c in range(3) if not math.isnan(y[b, c])]
    expected = sum(terms) / len(terms) if terms else 0.0
    assert float(cross_entropy(p.log(), (1 - p).log(), y)) == pytest.approx(expected, abs=1e-12)


def test_the_info_reading_has_its_own_cross_entropy_with_right_gradients() -> None:
    output, labels = random_output(8, seed=3)
    _, parts = LDDULoss(NETWORK)(output, labels)
    targets = presence(labels, output)
    p = output.logits_info.detach().double().sigmoid()
    known = entries(targets, ~targets.isnan())
    expected = sum(-math.log(p[at] if y else 1 - p[at]) for at, y in known.items()) / len(known)
    assert float(parts["info"].detach()) == pytest.approx(expected, abs=1e-5)
    logits = output.logits_info.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: cross_entropy(*log_sigmoids(x), targets.double()), logits)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), clips=st.integers(1, 5))
def test_the_released_calibration_is_its_formula(seed: int, clips: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    norms, other = torch.rand(2, clips, 3, generator=generator, dtype=torch.float64)
    known = torch.rand(clips, 3, generator=generator) < 0.8
    of_all = slow_softmax(entries(norms, known)) if known.any() else {}
    by_clip: dict = {}
    for b in range(clips):
        row = {key: x for key, x in entries(other, known).items() if key[0] == b}
        by_clip |= slow_softmax(row) if row else {}
    expected = slow_divergence(of_all, by_clip) / max(len(of_all), 1)
    assert float(released_calibration(norms, other, known)) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), clips=st.integers(1, 5), over=st.sampled_from([(1,), (1, 2)]))
def test_the_deviation_from_a_target_is_its_formula(seed: int, clips: int, over: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(seed)
    log_norms, targets = torch.randn(2, 2, clips, 3, generator=generator, dtype=torch.float64)
    known = torch.rand(2, clips, 3, generator=generator) < 0.8
    terms = []
    for m, labels in itertools.product(range(2), [[0, 1, 2]] if 2 in over else [[0], [1], [2]]):
        those = [(m, b, c) for b in range(clips) for c in labels if known[m, b, c]]
        gaps = [float(log_norms[at] - targets[at]) for at in those]
        terms += [((gap - sum(gaps) / len(gaps)) / UNIT) ** 2 for gap in gaps]
    expected = sum(terms) / len(terms) if terms else 0.0
    assert float(deviation(log_norms, targets, known, over)) == pytest.approx(expected, rel=1e-9)
    moved = deviation(log_norms + 3, targets.where(known, -7), known, over)
    assert float(moved) == pytest.approx(expected, rel=1e-9)


def test_the_calibrations_have_right_gradients() -> None:
    norms, other = (torch.rand(1, 3, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    known = torch.tensor([[[True, True], [True, False], [False, False]]])
    assert torch.autograd.gradcheck(lambda a, b: released_calibration(a[0], b[0], known[0]), (norms, other))
    assert torch.autograd.gradcheck(lambda a: deviation(a, other.detach(), known, (1, 2)), norms)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), clips=st.integers(1, 6))
def test_ordinality_is_its_formula(seed: int, clips: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    norms = torch.randn(clips, 3, generator=generator, dtype=torch.float64)
    levels = torch.randint(0, 3, (clips,), generator=generator) / 2
    known = torch.rand(clips, generator=generator) < 0.8
    terms = [
        math.log1p(math.exp(-10 * float(norms[i, c] - norms[j, c]) * math.copysign(1, float(levels[i] - levels[j]))))
        for i, j in itertools.combinations(range(clips), 2)
        if levels[i] != levels[j] and known[i] and known[j]
        for c in range(3)
    ]
    expected = sum(terms) / len(terms) if terms else 0.0
    assert float(ordinality(norms, levels, known, 10.0)) == pytest.approx(expected, abs=1e-9)


def test_ordinality_has_right_gradients_and_pulls_sigma_towards_the_noise() -> None:
    norms = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    levels, known = torch.tensor([0, 0.1, 0.5, 0.5, 1]), torch.ones(5, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda x: ordinality(x, levels, known, 2.0), norms)
    rising, falling = levels[:, None].expand(5, 2), (1 - levels)[:, None].expand(5, 2)
    assert float(ordinality(rising, levels, known, 10.0)) < 0.3 < float(ordinality(falling, levels, known, 10.0))


def test_the_joined_norm_averages_over_what_is_there() -> None:
    sigma = {"text": torch.full((3, 1, 4), 1.0), "audio": torch.full((3, 1, 4), 3.0)}
    present = {"text": torch.tensor([True, True, False]), "audio": torch.tensor([True, False, False])}
    norms = joined_norm(sigma, present)
    assert float(norms[0]) == pytest.approx(float(torch.cat([sigma["text"], sigma["audio"]], dim=-1)[0].norm()))
    assert float(norms[1]) == pytest.approx(math.sqrt(2 * 4))
    assert norms.isfinite().all()


PARTS = {
    "noise": ["bce", "info", "contrast", "calibration", "ambiguity", "ordinality"],
    "released": ["bce", "info", "contrast", "calibration", "ambiguity", "ordinality"],
}


@pytest.mark.parametrize("form", PARTS)
def test_the_total_is_the_weighted_sum_of_its_parts(form: str) -> None:
    output, labels = random_output(8, seed=5, noised="audio")
    weights = {"info": 0.2, "contrast": 0.5, "calibration": 0.7, "ambiguity": 0.4, "ordinality": 0.3}
    config = LossConfig(**weights, calibration_form=form, queue=32)
    total, parts = LDDULoss(NETWORK, config)(output, labels, torch.randn(8, len(DIMS), len(LABELS), 2))
    assert list(parts) == PARTS[form]
    assert parts["calibration"] > 0
    assert parts["ambiguity"] > 0
    torch.testing.assert_close(total, sum(weights.get(name, 1) * part for name, part in parts.items()))


@pytest.mark.parametrize("change", [{"anchors": "batch+queue"}, {"negatives": "label"}, {"features": "mu"}])
def test_every_form_of_the_contrast_trains(change: dict) -> None:
    """With a queue that has seen a batch; each form gives another number and a finite gradient."""
    found = []
    for options in ({}, change):
        output, labels = random_output(8, seed=5)
        loss = LDDULoss(NETWORK, LossConfig(queue=100, **options))
        loss(*random_output(8, seed=6))
        _, parts = loss(output, labels)
        gradient = torch.autograd.grad(parts["contrast"], output.mu["text"])[0]
        assert gradient.isfinite().all()
        found.append(float(parts["contrast"].detach()))
    assert found[0] != pytest.approx(found[1], abs=1e-3)


def test_a_weight_of_zero_computes_nothing() -> None:
    output, labels = random_output(8, seed=6, noised="text")
    loss = LDDULoss(NETWORK, LossConfig(info=0, contrast=0, calibration=0, ambiguity=0, ordinality=0))
    total, parts = loss(output, labels)
    assert list(parts) == ["bce"]
    torch.testing.assert_close(total, parts["bce"])
    assert not len(loss.queue.classes)


def test_each_block_of_sigma_is_taught_by_its_own_losses() -> None:
    """Calibration and ranking move the first half alone, ambiguity the second; neither moves μ."""
    output, labels = random_output(8, seed=5, noised="audio")
    _, parts = LDDULoss(NETWORK, LossConfig(queue=32))(output, labels, torch.randn(8, len(DIMS), len(LABELS), 2))
    half = NETWORK.latent // 2
    for name, taught in (("calibration", slice(0, half)), ("ordinality", slice(0, half)), ("ambiguity", slice(half, None))):
        sigma, mu = torch.autograd.grad(
            parts[name], (output.sigma["audio"], output.mu["audio"]), retain_graph=True, allow_unused=True
        )
        assert sigma[..., taught].any(dim=2)[output.present["audio"]].all()
        rest = sigma.clone()
        rest[..., taught] = 0
        assert not rest.any()
        assert mu is None


def test_under_the_default_parameters_every_part_is_computed_and_every_parameter_learns() -> None:
    """Of the network as params.yaml has it: no part of the method is turned off, and no parameter is idle."""
    settings = params.load(ROOT / "params.yaml").train
    network = LDDUConfig(dims=DIMS, labels=len(LABELS), **settings.model.model_dump())
    torch.manual_seed(0)
    model, loss = LDDU(network), LDDULoss(network, LossConfig(**settings.loss.model_dump(exclude={"noise", "noised"})))
    features, masks, labels = random_batch(16, ROWS, seed=1)
    output = model(features, masks)
    noised = {m: model.read(m, x + 1, masks[m])[2] for m, x in features.items()}
    output = replace(output, noised_sigma=noised, noise_level=dict.fromkeys(noised, torch.full((16,), 0.5)))
    total, parts = loss(output, labels, torch.randn(16, len(DIMS), len(LABELS), 2))
    assert list(parts) == PARTS["noise"]
    total.backward()
    assert not [name for name, x in model.named_parameters() if x.grad is None or not x.grad.any()]


def test_a_block_that_is_its_target_but_for_a_constant_costs_nothing() -> None:
    output, labels = random_output(8, seed=3)
    wanted = torch.stack([torch.stack(list(output.log_norms()[name].values()), dim=1) for name in LOG_NORMS[1:]], dim=-1)
    loss = LDDULoss(NETWORK, LossConfig(queue=0))
    for shift, free in ((torch.tensor([2.0, -3.0]), True), (torch.randn(8, 1, 1, 2), False)):
        parts = loss(output, labels, wanted + shift)[1]
        assert [float(parts[name].detach()) < 1e-6 for name in ("calibration", "ambiguity")] == [free, free]


def test_an_absent_modality_is_neither_calibrated_nor_ranked() -> None:
    """What its sigma and mu are changes nothing."""
    totals, wanted = [], torch.randn(8, len(DIMS), len(LABELS), 2)
    for filler in (1.0, 3.0):
        output, labels = random_output(8, seed=7, noised="audio")
        output.present["audio"][:4] = False
        for part in (output.sigma, output.mu, output.noised_sigma):
            part["audio"] = part["audio"].detach().clone()
            part["audio"][:4] = filler
        torch.manual_seed(0)
        totals.append(LDDULoss(NETWORK, LossConfig(queue=32))(output, labels, wanted)[0])
    torch.testing.assert_close(totals[0], totals[1])


@pytest.mark.parametrize("form", ["noise", "released"])
def test_unlabelled_clips_change_no_loss(form: str) -> None:
    """A clip whose labels are unknown may stand in the batch: the loss and its gradients are those of the others."""
    torch.manual_seed(0)
    model = LDDU(NETWORK).eval()
    features, masks, labels = random_batch(8, ROWS, seed=7)
    labels = labels.nan_to_num()
    labels[3:5] = torch.nan
    known = ~labels.isnan().any(dim=1)
    totals = []
    for chosen in (torch.ones(8, dtype=torch.bool), known):
        torch.manual_seed(1)
        loss = LDDULoss(NETWORK, LossConfig(calibration_form=form, queue=32))
        output = model({m: x[chosen] for m, x in features.items()}, {m: x[chosen] for m, x in masks.items()})
        totals.append(loss(output, labels[chosen])[0])
    torch.testing.assert_close(totals[0], totals[1])


def test_a_batch_without_any_label_has_no_loss_and_no_bad_gradient() -> None:
    output, labels = random_output(4, seed=8)
    for form in PARTS:
        total, _ = LDDULoss(NETWORK, LossConfig(calibration_form=form))(output, torch.full_like(labels, torch.nan))
        assert float(total.detach()) == 0
        total.backward(retain_graph=True)


def test_a_label_is_present_above_zero_and_unknown_where_nothing_of_the_clip_is_there() -> None:
    output, _ = random_output(3, seed=9)
    output.present = {m: torch.tensor([True, True, False]) for m in DIMS}
    targets = presence(torch.tensor([[0.0, 0.3, 3.0], [torch.nan, 0.0, -1.0], [1.0, 1.0, 1.0]]), output)
    assert targets.nan_to_num(-1).tolist() == [[0, 1, 1], [-1, 0, 0], [-1, -1, -1]]


def test_only_what_is_above_the_named_value_is_present() -> None:
    """Raised by 0.2 and read above 0.2, intensities give the same loss, and another one above 0."""
    output, labels = random_output(8, seed=11, noised="audio")
    losses_ = [
        LDDULoss(NETWORK, LossConfig(present_above=above, calibration_form="released", queue=0))(output, values)[0]
        for above, values in ((0.0, labels), (0.2, labels + 0.2), (0.0, labels + 0.2))
    ]
    torch.testing.assert_close(losses_[0], losses_[1])
    assert float((losses_[2] - losses_[0]).abs().detach()) > 0.01


def test_shares_are_what_the_probabilities_learn_and_presence_what_is_contrasted() -> None:
    output, labels = random_output(8, seed=12)
    shares = labels * 0.7 + 0.1
    found = [
        LDDULoss(NETWORK, LossConfig(targets=targets, present_above=0.2, calibration=0, queue=0))(output, shares)[1]
        for targets in ("presence", "share")
    ]
    torch.testing.assert_close(found[0]["contrast"], found[1]["contrast"])
    known = ~shares.isnan() & torch.stack(list(output.present.values())).any(dim=0)[:, None]
    for part, log_p, log_q in (
        ("bce", output.log_probs, output.log_not_probs),
        ("info", output.logits_info.sigmoid().log(), (-output.logits_info).sigmoid().log()),
    ):
        expected = -(shares * log_p + (1 - shares) * log_q)[known].mean()
        torch.testing.assert_close(found[1][part], expected)
        assert float((found[0][part] - expected).abs().detach()) > 0.0005


@pytest.mark.parametrize("clips", [1, 2])
def test_the_smallest_batches_train(clips: int) -> None:
    output, labels = random_output(clips, seed=10)
    total, _ = LDDULoss(NETWORK)(output, labels.nan_to_num())
    total.backward()
    assert total.isfinite()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_computes_the_losses_of_the_cpu() -> None:
    torch.manual_seed(0)
    model = LDDU(NETWORK).eval()
    features, masks, labels = random_batch(8, ROWS, seed=11)
    loss = LDDULoss(NETWORK, LossConfig(queue=32)).eval()  # so that nothing enters the queue
    totals = []
    for device in ("cpu", "cuda"):
        moved = ({m: x.to(device) for m, x in some.items()} for some in (features, masks))
        total, _ = loss.to(device)(model.to(device)(*moved), labels.to(device))
        totals.append(float(total.detach()))
    assert totals[0] == pytest.approx(totals[1], abs=1e-4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_step_on_a_gpu_never_waits_for_the_host() -> None:
    model, loss = LDDU(NETWORK).cuda(), LDDULoss(NETWORK, LossConfig(queue=32)).cuda()
    features, masks, labels = random_batch(8, ROWS, seed=12)
    batch = {m: x.cuda() for m, x in features.items()}, {m: x.cuda() for m, x in masks.items()}, labels.cuda()
    for warn in ("default", "error"):
        torch.cuda.set_sync_debug_mode(warn)
        try:
            total, _ = loss(model(*batch[:2]), batch[2])
            total.backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")
