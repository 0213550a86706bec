"""Tuning the text encoder: every text once an epoch, the encoder learns the labels, and the stage says what it did."""

import itertools
import json
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

import params
from preprocess.encoders import tuning
from tests.conftest import DEVICES, Workspace


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=300), size=st.integers(1, 9), seed=st.integers(0, 99))
def test_every_text_is_in_one_batch_among_its_like(lengths: list[int], size: int, seed: int) -> None:
    found = list(tuning.batches(lengths, size, seed, 0))
    assert sorted(itertools.chain(*found)) == list(range(len(lengths)))
    assert max(map(len, found)) <= size
    assert found == list(tuning.batches(lengths, size, seed, 0))


def test_no_seed_repeats_the_order_of_another_ones_later_epoch() -> None:
    orders = [tuple(map(tuple, tuning.batches([9] * 50, 8, seed, epoch))) for seed in range(6) for epoch in range(6)]
    assert len(set(orders)) == len(orders)


def example() -> tuple[BertModel, list[list[int]], torch.Tensor]:
    """A small encoder and texts of random tokens; a label is there where one of three tokens is."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    encoder = BertModel(BertConfig(vocab_size=30, **sizes))
    ids = [torch.randint(2, 30, (n,)).tolist() for n in torch.randint(3, 12, (200,)).tolist()]
    return encoder, ids, torch.tensor([[float(5 in text or 6 in text or 7 in text)] for text in ids])


def settings_of(epochs: int) -> params.TuneText:
    return params.TuneText(epochs=epochs, lr=0.003, batch_size=16, dropout=0.1, threads=1, seed=1)


@pytest.mark.parametrize("device", DEVICES)
def test_tuning_repeats(device: str) -> None:
    found = []
    for _ in range(2):
        encoder, ids, targets = example()
        tuning.tune(encoder, ids, targets, settings_of(2), device)
        found.append(encoder.state_dict())
    assert all(torch.equal(x, found[1][name]) for name, x in found[0].items())


def test_the_encoder_learns_what_the_labels_say() -> None:
    """Only the encoder can tell where a label is, the mean hardly can."""
    encoder, ids, targets = example()
    before = {name: x.clone() for name, x in encoder.state_dict().items()}
    apart = []
    for _ in range(2):
        with torch.no_grad():
            states = torch.stack([encoder.eval()(torch.tensor([text])).last_hidden_state[0].mean(dim=0) for text in ids])
        there = targets[:, 0] == 1
        apart.append(float((states[there].mean(dim=0) - states[~there].mean(dim=0)).norm() / states.std(dim=0).norm()))
        tuning.tune(encoder, ids, targets, settings_of(20), "cpu")
    assert apart[1] > apart[0] + 0.5
    assert any(not torch.equal(x, before[name]) for name, x in encoder.state_dict().items())


def test_the_stage_copies_or_tunes_and_its_card_says_which(make_workspace: Callable[..., Workspace]) -> None:
    made = make_workspace(**{"corpus.root": "texts", "corpus.labels": ["happy"], "tune.text.threads": 1})
    (made.folder / "texts").mkdir()
    rows = [f"{split}{i},{text},{split},{i % 2}" for split in ("train", "valid") for i, text in enumerate(["sad", "glad"] * 4)]
    (made.folder / "texts/clips.csv").write_text("clip_id,text,split,happy\n" + "\n".join(rows) + "\n")
    made.stages("manifest", "audio", "transcripts", "tune_text")
    source, target = made.folder / "data/models/text", made.folder / "data/text_model"
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {p.name: p.read_bytes() for p in source.iterdir()}
    made.set(**{"tune.text.epochs": 1})
    made.stages("tune_text")
    first = (target / "model.safetensors").read_bytes()
    assert json.loads((target / "model.json").read_text())["tuned"]
    assert load_file(target / "model.safetensors").keys() <= load_file(source / "model.safetensors").keys() | {
        "pooler.dense.bias"
    }
    made.stages("tune_text")
    assert (target / "model.safetensors").read_bytes() == first


def test_nothing_to_tune_on_is_said(make_workspace: Callable[..., Workspace]) -> None:
    made = make_workspace(**{"corpus.root": "texts", "corpus.labels": ["happy"], "tune.text.epochs": 1})
    (made.folder / "texts").mkdir()
    (made.folder / "texts/clips.csv").write_text("clip_id,text,split,happy\na,glad,train,\nb,sad,valid,1\n")
    made.stages("manifest", "audio", "transcripts")
    assert "no clip of train has words and all its labels" in made.run("preprocess", "tune_text", fails=True)
