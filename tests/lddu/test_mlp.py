"""The MLP beside LDDU: it learns what a probe cannot, repeats, stops early, and says nothing of an absent modality."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import params
from lddu import baselines, mlp, weights
from lddu.metrics import clipped_cross_entropy
from lddu.tensors import Split
from tests.conftest import ROOT

CLIPS = 400


def crossed(seed: int) -> Split:
    """One label, present where the signs of two modalities differ: of each by itself, and of their sum, nothing can be read."""
    generator = torch.Generator().manual_seed(seed)
    text, audio = (torch.randn(CLIPS, 1, 3, generator=generator) for _ in range(2))
    labels = ((text[:, 0, :1] > 0) != (audio[:, 0, :1] > 0)).float() * 2
    masks = {m: torch.ones(CLIPS, 1, dtype=torch.bool) for m in ("text", "audio")}
    ids = tuple(f"{seed}-{i}" for i in range(CLIPS))
    return Split("train", ids, ("happy",), {"text": 7 + 4 * text, "audio": audio}, masks, labels)


def settings(**changes: object) -> params.Train:
    train = params.load(ROOT / "params.yaml").train
    model = train.model.model_copy(update={"width": 64, "dropout": 0.1, "modality_dropout": 0.0})
    chosen = {"model": model, "epochs": 30, "lr": 0.01, "batch_size": 50, "patience": 0, "averaging": 0.9, "choose": "bce"}
    return train.model_copy(update=chosen | changes)


TRAIN, VALID = crossed(0), crossed(1)


@pytest.fixture(scope="module")
def fitted() -> mlp.MLP:
    return mlp.fit(TRAIN, VALID, settings())


def test_it_learns_what_no_probe_can(fitted: mlp.MLP) -> None:
    of_probes = dict(baselines.probabilities(TRAIN, {"valid": VALID}, np.array([0.5])))
    true = VALID.labels.numpy() > 0
    joined, learned = (clipped_cross_entropy(true, x) for x in (of_probes["joined"]["valid"], fitted.probabilities(VALID)))
    assert joined > 0.65
    assert learned < 0.35


def test_the_same_seed_gives_the_same_weights_whatever_was_drawn_before(fitted: mlp.MLP) -> None:
    torch.rand(5)
    again, other = (mlp.fit(TRAIN, VALID, settings(seed=seed)).state_dict() for seed in (settings().seed, 7))
    assert all(torch.equal(x, again[name]) for name, x in fitted.state_dict().items())
    assert not torch.equal(other["hidden.weight"], again["hidden.weight"])


def test_it_learns_shares_where_the_labels_are_shares() -> None:
    train, valid = (replace(split, labels=split.labels / 8 + 0.1, present_above=0.2) for split in (TRAIN, VALID))
    of_presence, of_shares = (mlp.fit(train, valid, settings(targets=kind)) for kind in ("presence", "share"))
    present = valid.present.numpy()
    assert of_presence.probabilities(valid)[present].mean() > 0.7
    probs = of_shares.probabilities(valid)
    assert (probs[present].mean(), probs[~present].mean()) == pytest.approx((0.35, 0.1), abs=0.06)


@pytest.mark.parametrize("choose", ["bce", "micro_ap", "micro_f1"])
def test_the_kept_epoch_is_the_best_on_valid(choose: str) -> None:
    """With every label of valid turned round, another epoch is kept, which is worse on the true ones."""
    found = mlp.fit(TRAIN, VALID, settings(choose=choose, lr=0.1, epochs=8))
    upside_down = replace(VALID, labels=2 - VALID.labels)
    worst = mlp.fit(TRAIN, upside_down, settings(choose=choose, lr=0.1, epochs=8))
    score = {
        name: mlp.goodness(model.logits(VALID), VALID, settings(choose=choose))
        for name, model in {"f": found, "w": worst}.items()
    }
    assert score["f"] > score["w"]


def test_patience_ends_the_training_before_it_gets_better() -> None:
    """At first all clips look alike, and the F1 of one epoch is that of the next."""
    slow = {"choose": "micro_f1", "lr": 0.001, "averaging": 0.0}
    stopped, trained = (mlp.fit(TRAIN, VALID, settings(patience=patience, **slow)) for patience in (1, 0))
    scores = [mlp.goodness(model.logits(VALID), VALID, settings(choose="micro_f1")) for model in (stopped, trained)]
    assert scores[0] < 0.7
    assert scores[1] > 0.75


def test_an_absent_modality_changes_nothing_but_its_flag(fitted: mlp.MLP) -> None:
    masks = VALID.masks | {"text": torch.zeros_like(VALID.masks["text"])}
    without = replace(VALID, masks=masks)
    other = replace(without, features=VALID.features | {"text": torch.full_like(VALID.features["text"], torch.nan)})
    probs = fitted.probabilities(without)
    assert np.isfinite(probs).all()
    assert np.array_equal(probs, fitted.probabilities(other))
    assert not np.allclose(probs, fitted.probabilities(VALID))


def test_it_reads_the_deviation_of_the_rows_where_the_network_does() -> None:
    """The sign of a modality tells nothing here, the spread of its two rows does."""
    generator = torch.Generator().manual_seed(3)
    spread = torch.rand(CLIPS, 1, generator=generator)
    rows = torch.stack([spread, -spread], dim=1)
    labels = (spread > 0.5).float()
    masks = {"text": torch.ones(CLIPS, 2, dtype=torch.bool)}
    split = replace(TRAIN, features={"text": rows}, masks=masks, labels=labels)
    kinds = ("mean", "mean_deviation")
    models = [settings().model.model_copy(update={"rows": rows}) for rows in kinds]
    without, with_deviation = (mlp.fit(split, split, settings(model=model, epochs=15)) for model in models)
    true = labels.numpy() > 0
    assert clipped_cross_entropy(true, without.probabilities(split)) > 0.65
    assert clipped_cross_entropy(true, with_deviation.probabilities(split)) < 0.3


def test_clips_without_a_label_and_modalities_that_nobody_has_teach_nothing() -> None:
    labels = TRAIN.labels.clone()
    labels[:100] = torch.nan
    unheard = TRAIN.masks | {"audio": torch.zeros_like(TRAIN.masks["audio"])}
    model = mlp.fit(replace(TRAIN, labels=labels, masks=unheard), VALID, settings(epochs=2))
    assert all(x.isfinite().all() for x in model.state_dict().values())
    assert np.isfinite(model.probabilities(VALID)).all()


def test_seeds_are_written_beside_their_networks_and_read_in_order(fitted: mlp.MLP, tmp_path: Path) -> None:
    assert mlp.load_all(tmp_path) == []
    other = mlp.fit(TRAIN, VALID, settings(seed=43, epochs=1))
    mlp.save(fitted, tmp_path)
    mlp.save(other, tmp_path / "seed-43")
    read = mlp.load_all(tmp_path)
    pairs = zip(read, (fitted, other), strict=True)
    assert all(np.array_equal(x.probabilities(VALID), y.probabilities(VALID)) for x, y in pairs)
    (tmp_path / mlp.FILE).write_bytes(b"broken")
    with pytest.raises(weights.WeightsError, match=r"mlp.safetensors cannot be read .*: run train again"):
        mlp.load_all(tmp_path)


def test_modality_dropout_leaves_one_modality_that_is_there(fitted: mlp.MLP) -> None:
    model = mlp.MLP([1, 1], 1, 1, modality_dropout=0.99)
    torch.nn.init.ones_(model.hidden.weight)
    torch.nn.init.zeros_(model.hidden.bias)
    torch.nn.init.ones_(model.out.weight)
    torch.nn.init.zeros_(model.out.bias)
    rows = torch.tensor([[0.0, 0.0], [torch.nan, 0.0]]).repeat(200, 1)
    flags = model(rows).detach().flatten()  # features are 0, so that this is the number of modalities that are read
    assert flags[1::2].tolist() == [1.0] * 200
    assert flags[::2].mean() < 1.1
    assert flags.min() == 1.0
    model.eval()
    assert model(rows)[:2].flatten().tolist() == [2.0, 1.0]
