"""What the network promises: the published sizes, masks that mean it, every subset of modalities, an exact gate."""

import math
from itertools import chain, combinations, starmap
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lddu import attention
from lddu.attention import Attention, Dropout
from lddu.model import LDDU, Layer, LDDUConfig, LDDUOutput, Standardise, gate
from tests.lddu.small_corpus import DIMS, LABELS, ROWS, random_batch

SUBSETS = list(chain.from_iterable(combinations(DIMS, size) for size in range(len(DIMS) + 1)))
SMALL = LDDUConfig(
    dims=DIMS, labels=len(LABELS), width=16, latent=8, layers=2, heads=4, feedforward=16, positions=12, dropout=0.3
)
LARGE_LOGITS = (0.0, 3.0, 40.0, 1e4, 3e38)


def small(**changes: object) -> LDDU:
    torch.manual_seed(0)
    return LDDU(LDDUConfig(**{**SMALL.__dict__, **changes})).eval()


def tensors_of(output: LDDUOutput) -> list[Tensor]:
    flat = [output.log_probs, output.log_not_probs, output.logits_mu, output.logits_sigma, output.logits_info]
    return flat + [x for by_modality in (output.mapped, output.mu, output.sigma) for x in by_modality.values()]


def assert_same(a: LDDUOutput, b: LDDUOutput, rows: Tensor | slice = slice(None)) -> None:
    for x, y in zip(tensors_of(a), tensors_of(b), strict=True):
        torch.testing.assert_close(x, y[rows], atol=2e-5, rtol=1e-5)


def test_the_released_sizes_have_the_released_number_of_trained_parameters() -> None:
    """6,086,707 in the released model, of which 594,188 never get a gradient."""
    assert sum(parameter.numel() for parameter in LDDU(LDDUConfig()).parameters()) == 6_086_707 - 594_188


def test_every_parameter_gets_a_gradient() -> None:
    model = small().train()
    features, masks, _ = random_batch(6, ROWS, seed=1)
    output = model(features, masks)
    (output.log_probs.sum() + output.logits_info.sum()).backward()
    idle = {name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    # A key's bias moves all scores of a query alike, which the softmax takes out again; the part of it that is the key's
    # own lies within one tensor, so no tensor is idle.
    assert not idle


@pytest.mark.parametrize(
    "change",
    [
        {"projections": 2},
        {"label_residual": True},
        {"activation": "gelu"},
        {"rows": "mean"},
        {"rows": "mean_deviation"},
        {"layers": 0},
        {"fusion": "mean"},
        {"info": "per_label"},
    ],
)
def test_every_option_changes_the_output_and_lets_every_parameter_learn(change: dict) -> None:
    features, masks, _ = random_batch(6, ROWS, seed=1)
    plain, model = small(), small(**change)
    with torch.no_grad():
        assert not torch.allclose(plain(features, masks).log_probs, model(features, masks).log_probs)
    output = model.train()(features, masks)
    (output.log_probs.sum() + output.logits_info.sum()).backward()
    idle = {name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    # The mean row has nothing to attend to but itself.
    assert not {name for name in idle if "rows" not in change or ("mapping" not in name and "query_key_value" not in name
                and "positions" not in name and name != "labels")}  # fmt: skip


def test_the_info_reading_of_a_mean_row_tells_labels_apart_only_with_a_classifier_each() -> None:
    features, masks, _ = random_batch(6, ROWS, seed=1)
    with torch.no_grad():
        shared, per_label = (small(rows="mean", info=info)(features, masks).logits_info for info in ("shared", "per_label"))
    torch.testing.assert_close(shared, shared[:, :1].expand_as(shared))
    assert (per_label - per_label[:, :1])[:, 1:].abs().min() > 0


def test_the_centre_alone_neither_reads_sigma_nor_the_mapped_vectors() -> None:
    model = small(fusion="mu").train()
    features, masks, _ = random_batch(6, ROWS, seed=1)
    output = model(features, masks)
    torch.testing.assert_close(output.probs, output.logits_mu.sigmoid())
    output.log_probs.sum().backward()
    for part in (model.uncertainty, model.info, *(one.log_variance for one in model.distribution.values())):
        assert all(parameter.grad is None for parameter in part.parameters())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_mean_row_is_that_of_the_observed_rows(seed: int) -> None:
    model = small(rows="mean")
    features, masks, _ = random_batch(3, ROWS, seed)
    means = {}
    for m, x in features.items():
        rows = [x[b][masks[m][b]].mean(dim=0) if masks[m][b].any() else torch.zeros(DIMS[m]) for b in range(3)]
        means[m] = torch.stack(rows)[:, None]
    with torch.no_grad():
        pooled = model(means, {m: mask.any(dim=1, keepdim=True) for m, mask in masks.items()})
        assert_same(model(features, masks), pooled)


def test_beside_the_mean_row_stands_the_deviation_of_the_observed_rows() -> None:
    model = small(rows="mean_deviation")
    features, masks, _ = random_batch(5, ROWS, seed=3)
    masks["text"][0] = False
    masks["text"][1] = torch.arange(ROWS["text"]) == 2  # one row alone has no deviation
    for m, x in features.items():
        found, there = model.observed(m, features, masks)
        assert found.shape == (5, 1, 2 * DIMS[m])
        assert there[:, 0].tolist() == masks[m].any(dim=1).tolist()
        for b in range(5):
            rows = x[b][masks[m][b]]
            expected = torch.cat([rows.mean(dim=0), rows.std(dim=0, correction=0)]) if len(rows) else torch.zeros(2 * DIMS[m])
            torch.testing.assert_close(found[b, 0], expected, atol=1e-5, rtol=1e-5)
    del features["audio"], masks["audio"]
    assert model(features, masks).probs.isfinite().all()


def test_an_output_is_its_tensors_by_name() -> None:
    features, masks, _ = random_batch(3, ROWS, seed=1)
    with torch.no_grad():
        output = small()(features, masks)
    output.noise_level["text"], output.noised_sigma["text"] = torch.ones(3), output.sigma["text"]
    again = LDDUOutput.of(output.tensors())
    assert_same(again, output)
    assert torch.equal(again.noised_sigma["text"], output.sigma["text"])
    assert len(output.tensors()) == 5 + 4 * len(DIMS) + 2


@pytest.mark.parametrize("layers", [0, 2])
@pytest.mark.parametrize("kind", ["standardise", "layernorm"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), extra=st.integers(0, 9), filler=st.sampled_from([0.0, 1e30, float("nan"), float("inf")]))
def test_padding_changes_nothing_whatever_it_holds(layers: int, kind: str, seed: int, extra: int, filler: float) -> None:
    model = small(layers=layers, input=kind)
    features, masks, _ = random_batch(3, ROWS, seed)
    longer = {m: torch.nn.functional.pad(x, (0, 0, 0, extra)) for m, x in features.items()}
    longer_masks = {m: torch.nn.functional.pad(x, (0, extra)) for m, x in masks.items()}
    longer = {m: x.masked_fill(~longer_masks[m][..., None], filler) for m, x in longer.items()}
    with torch.no_grad():
        assert_same(model(features, masks), model(longer, longer_masks))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), clips=st.integers(1, 6))
def test_a_clip_does_not_see_its_neighbours(seed: int, clips: int) -> None:
    model = small()
    features, masks, _ = random_batch(clips, ROWS, seed)
    order = torch.randperm(clips, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        together = model(features, masks)
        shuffled = model({m: x[order] for m, x in features.items()}, {m: x[order] for m, x in masks.items()})
        alone = model({m: x[:1] for m, x in features.items()}, {m: x[:1] for m, x in masks.items()})
    assert_same(shuffled, together, order)
    assert_same(alone, together, slice(0, 1))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(13, 40), extra=st.integers(1, 30))
def test_a_clip_longer_than_the_position_table_is_read_whole_and_apart_from_its_neighbours(
    seed: int, rows: int, extra: int
) -> None:
    model = small()
    features, masks, _ = random_batch(2, dict.fromkeys(DIMS, rows), seed)
    masks = {m: mask.index_fill(1, torch.tensor([rows - 1]), True) for m, mask in masks.items()}
    longer = {m: torch.nn.functional.pad(x, (0, 0, 0, extra)) for m, x in features.items()}
    longer_masks = {m: torch.nn.functional.pad(x, (0, extra)) for m, x in masks.items()}
    with torch.no_grad():
        output = model(features, masks)
        assert_same(output, model(longer, longer_masks))
        changed = {m: torch.cat([x[:, :-1], x[:, -1:].flip(2)], dim=1) for m, x in features.items()}
        assert not torch.equal(output.mapped["text"], model(changed, masks).mapped["text"])


@pytest.mark.parametrize("there", SUBSETS, ids="+".join)
def test_every_subset_of_the_modalities_predicts(there: tuple[str, ...]) -> None:
    model = small().train()
    features, masks, _ = random_batch(4, ROWS, seed=2)
    masks = {m: mask.index_fill(1, torch.tensor([0]), True) & (m in there) for m, mask in masks.items()}
    output = model(features, masks)
    output.log_probs.sum().backward()
    assert all(x.isfinite().all() for x in tensors_of(output))
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())
    torch.testing.assert_close(output.log_probs.exp() + output.log_not_probs.exp(), torch.ones(4, len(LABELS)))
    for m in DIMS:
        assert output.present[m].tolist() == [m in there] * 4
        assert output.log_sigma_norm()[m].isnan().all() == (m not in there)


@pytest.mark.parametrize("there", SUBSETS[1:-1], ids="+".join)
def test_a_modality_that_is_not_given_is_one_that_is_masked(there: tuple[str, ...]) -> None:
    model = small()
    features, masks, _ = random_batch(4, ROWS, seed=3)
    masked = {m: mask & (m in there) for m, mask in masks.items()}
    with torch.no_grad():
        assert_same(model({m: features[m] for m in there}, {m: masks[m] for m in there}), model(features, masked))


def test_an_absent_modality_is_replaced_by_its_stand_in() -> None:
    model = small()
    features, masks, _ = random_batch(2, ROWS, seed=4)
    masks["audio"][:] = torch.tensor([[True], [False]])
    stand_in = model.stand_in["audio"]
    stand_in.mu.normal_()
    with torch.no_grad():
        output = model(features, masks)
    torch.testing.assert_close(output.mu["audio"][1], stand_in.mu)
    assert not torch.allclose(output.mu["audio"][0], stand_in.mu)


def test_a_clip_with_nothing_gets_the_label_prior() -> None:
    model = small()
    model.prior.copy_(torch.tensor([0.1, 0.5, 0.9]))
    features, masks, _ = random_batch(2, ROWS, seed=5)
    masks = {m: mask.index_fill(0, torch.tensor([0]), False) for m, mask in masks.items()}
    output = model(features, masks)
    torch.testing.assert_close(output.probs[0], model.prior)
    torch.testing.assert_close(output.log_not_probs[0].exp(), 1 - model.prior)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), chance=st.floats(0.05, 0.99))
def test_modality_dropout_never_takes_the_last_modality(seed: int, chance: float) -> None:
    model = small(modality_dropout=chance)
    _, masks, _ = random_batch(32, ROWS, seed)
    torch.manual_seed(seed)
    kept = model.train().drop_modalities(masks)
    before, after = (torch.stack([mask.any(dim=1) for mask in some.values()], dim=1) for some in (masks, kept))
    assert (after <= before).all()
    assert (after.any(dim=1) == before.any(dim=1)).all()
    assert model.eval().drop_modalities(masks) is masks


def test_modality_dropout_takes_about_the_share_that_it_says() -> None:
    torch.manual_seed(0)
    masks = {m: torch.ones(4000, 1, dtype=torch.bool) for m in DIMS}
    kept = small(modality_dropout=0.2).train().drop_modalities(masks)
    for mask in kept.values():
        assert 0.77 < mask.float().mean() < 0.84


def test_layers_that_are_computed_again_leave_the_same_gradients_and_keep_less() -> None:
    """Dropout too repeats itself in the second computation."""
    features, masks, _ = random_batch(8, ROWS, seed=6)
    found = []
    for recompute in (False, True):
        model = small(recompute=recompute, dropout=0.5).train()
        kept = []

        def keep(x: Tensor, kept: list[int] = kept) -> Tensor:
            kept.append(x.numel())
            return x

        torch.manual_seed(3)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            output = model(features, masks)
        output.log_probs.sum().backward()
        found.append((output.log_probs, [parameter.grad for parameter in model.extractor.parameters()], sum(kept)))
    (probs, gradients, size), (their_probs, their_gradients, their_size) = found
    assert torch.equal(probs, their_probs)
    assert all(starmap(torch.equal, zip(gradients, their_gradients, strict=True)))
    assert their_size < 0.7 * size


@settings(max_examples=50)
@given(logits=st.lists(st.tuples(*[st.floats(-15, 15)] * 3), min_size=1, max_size=8))
def test_the_gate_is_the_mixture_of_its_three_probabilities(logits: list[tuple[float, float, float]]) -> None:
    info, mu, sigma = torch.tensor(logits, dtype=torch.float64).T
    p = info.sigmoid() * mu.sigmoid() + (1 - info.sigmoid()) * sigma.sigmoid()
    log_probs, log_not_probs = gate(info, mu, sigma)
    torch.testing.assert_close(log_probs.exp(), p, atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(log_not_probs.exp(), 1 - p, atol=1e-12, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gate_stays_finite_at_any_logit(dtype: torch.dtype) -> None:
    values = torch.tensor([sign * x for x in LARGE_LOGITS for sign in (1, -1)], dtype=dtype)
    logits = [x.flatten().requires_grad_() for x in torch.meshgrid(values, values, values, indexing="ij")]
    log_probs, log_not_probs = gate(*logits)
    (log_probs + log_not_probs).sum().backward()
    assert log_probs.dtype == log_not_probs.dtype == torch.float32
    for x in (log_probs, log_not_probs, *(x.grad for x in logits)):
        assert x is not None
        assert not x.isnan().any()


def test_the_gate_has_right_gradients() -> None:
    logits = [torch.randn(5, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(gate, logits)


@pytest.mark.parametrize("chance", [0.1, 0.3, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(chance: float) -> None:
    torch.manual_seed(0)
    x = torch.full((400, 501), 2.0, requires_grad=True)
    dropped = Dropout(chance)(x)
    dropped.sum().backward()
    assert float((dropped == 0).float().mean()) == pytest.approx(chance, abs=0.005)
    torch.testing.assert_close(dropped[dropped != 0].unique(), torch.tensor([2 / (1 - chance)]))
    torch.testing.assert_close(x.grad, dropped.detach() / 2)


def test_dropout_follows_the_seed_and_stops_with_training() -> None:
    x, dropout = torch.randn(7, 3), Dropout(0.5)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(dropout(x))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert torch.equal(dropout.eval()(x), x)


def test_training_and_prediction_attend_alike() -> None:
    """In training on the CPU attention is written out; but for its dropout it is the fused one."""
    torch.manual_seed(0)
    layer, x = Layer(SMALL), torch.randn(3, 5, SMALL.width)
    mask = torch.rand(3, 5) < 0.7
    mask[:, 0] = True
    layer.dropout.chance = 1e-9
    torch.testing.assert_close(layer.train().attend(x, mask), layer.eval().attend(x, mask))


def test_attention_in_blocks_has_right_gradients() -> None:
    torch.manual_seed(1)
    heads, clips, rows, width = 2, 5, 3, 4
    x, weight, bias = (
        torch.randn(*shape, dtype=torch.float64) for shape in ((clips, rows, width), (3 * width, width), (3 * width,))
    )
    mask, kept = torch.rand(clips, rows) < 0.7, (torch.rand(clips, heads, rows, rows) < 0.7).view(torch.uint8)
    mask[:, 0] = True

    def attended(*learned: Tensor) -> Tensor:
        return Attention.apply(*learned, mask, kept, 1.5)

    with patch.object(attention, "CLIPS", 2):
        assert torch.autograd.gradcheck(attended, [part.requires_grad_() for part in (x, weight, bias)])


def test_the_input_is_standardised_and_a_constant_feature_does_no_harm() -> None:
    first = Standardise(4)
    first.fit(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([2.0, 4.0, 0.0, 1e-9]))
    x = first(torch.tensor([[3.0, 2.0, 3.001, 4.001]]))
    torch.testing.assert_close(x[0, :2], torch.tensor([1.0, 0.0]))
    assert x.abs().max() < 2


def test_constant_features_alone_are_left_at_zero() -> None:
    first = Standardise(2)
    first.fit(torch.tensor([5.0, 5.0]), torch.zeros(2))
    assert first(torch.tensor([5.0, 5.5])).tolist() == [0.0, 0.5]


@pytest.mark.parametrize("bias", [-1e3, 1e3])
def test_sigma_stays_within_its_limits_whatever_the_network_says(bias: float) -> None:
    model = small()
    torch.nn.init.constant_(model.distribution["text"].log_variance.bias, bias)
    features, masks, _ = random_batch(6, ROWS, seed=1)
    output = model(features, masks)
    there = output.sigma["text"][output.present["text"]]
    torch.testing.assert_close(there, torch.full_like(there, math.exp(math.copysign(4, bias))))
    output.log_probs.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


def test_under_autocast_the_gaussians_and_the_gate_stay_float32() -> None:
    features, masks, _ = random_batch(4, ROWS, seed=6)
    model = small()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        output = model(features, masks)
    assert output.log_probs.dtype == output.mu["text"].dtype == output.sigma["text"].dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(output.probs, model(features, masks).probs, atol=0.02, rtol=0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_says_what_the_cpu_says() -> None:
    model = small()
    features, masks, _ = random_batch(5, ROWS, seed=7)
    with torch.no_grad():
        here = model(features, masks)
        there = model.cuda()({m: x.cuda() for m, x in features.items()}, {m: x.cuda() for m, x in masks.items()})
    torch.testing.assert_close(there.log_probs.cpu(), here.log_probs, atol=1e-4, rtol=1e-4)
