"""Tuning the text encoder: every text once an epoch, the encoder learns the labels, and the stage says what it did."""

import itertools
import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from sklearn.metrics import f1_score
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


def example(layers: int = 1) -> tuple[BertModel, list[list[int]], torch.Tensor]:
    """A small encoder and texts of random tokens; a label is there where one of three tokens is."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": layers, "num_attention_heads": 2, "intermediate_size": 32}
    encoder = BertModel(BertConfig(vocab_size=30, **sizes))
    ids = [torch.randint(2, 30, (n,)).tolist() for n in torch.randint(3, 12, (200,)).tolist()]
    return encoder, ids, torch.tensor([[float(5 in text or 6 in text or 7 in text)] for text in ids])


def settings_of(epochs: int, **others: object) -> params.TuneText:
    values = {"epochs": epochs, "layers": "all", "precision": "float32", "lr": 0.003, "batch_size": 16, "dropout": 0.1}
    return params.TuneText.model_validate(values | {"threads": 1, "seed": 1} | others)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("device", DEVICES)
def test_tuning_repeats(device: str, precision: str) -> None:
    found = []
    for _ in range(2):
        encoder, ids, targets = example()
        tuning.tune(encoder, ids, targets, settings_of(2, precision=precision), device)
        found.append(encoder.state_dict())
    assert all(torch.equal(x, found[1][name]) for name, x in found[0].items())


def test_the_upper_layers_learn_and_no_bit_below_them_changes() -> None:
    encoder, ids, targets = example(layers=3)
    before = {name: x.clone() for name, x in encoder.state_dict().items()}
    tuning.tune(encoder, ids, targets, settings_of(1, layers=2), "cpu")
    changed = {name for name, x in encoder.state_dict().items() if not torch.equal(x, before[name])}
    assert changed == {name for name in before if name.startswith(("encoder.layer.1.", "encoder.layer.2."))}


def test_more_layers_than_there_are_are_refused() -> None:
    encoder, ids, targets = example(layers=3)
    with pytest.raises(params.ParameterError, match="takes all, or 1 to 3"):
        tuning.tune(encoder, ids, targets, settings_of(1, layers=4), "cpu")


def test_bfloat16_is_computed_in_and_its_logits_are_as_exact_as_it_is() -> None:
    encoder, ids, _ = example()
    model = tuning.Classifier(encoder, 1, 0.0).eval()
    dtypes = []
    encoder.encoder.layer[0].output.dense.register_forward_hook(lambda _module, _inputs, output: dtypes.append(output.dtype))
    with torch.no_grad():
        exact, rounded = (model.logits(ids, precision) for precision in ("float32", "bfloat16"))
    assert dtypes == [torch.float32, torch.bfloat16]
    assert exact.dtype == rounded.dtype == torch.float32
    assert 0 < (exact - rounded).abs().max() < 0.05


def test_a_processor_without_bfloat16_computes_in_float32_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuning.supported("bfloat16", {"avx512_f": True, "avx512_bf16": True}) == "bfloat16"
    assert tuning.supported("float32", {"avx512_bf16": False}) == "float32"
    assert not capsys.readouterr().err
    assert tuning.supported("bfloat16", {"avx512_f": True, "avx512_bf16": False}) == "float32"
    assert "no instructions for bfloat16, float32 is used" in capsys.readouterr().err


def test_the_classifiers_scores_are_those_of_its_probabilities() -> None:
    encoder, ids, targets = example()
    model = tuning.tune(encoder, ids, targets, settings_of(3), "cpu")
    found = tuning.scores(model, ids, targets, settings_of(3))
    with torch.no_grad():
        probs = torch.cat([model.logits([text], "float32") for text in ids]).sigmoid()
    true = targets.ravel().numpy() > 0
    best = max(f1_score(true, probs.ravel().numpy() >= threshold) for threshold in np.linspace(0.01, 0.99, 99))
    assert found["texts"] == len(ids)
    assert best <= found["micro_f1"] < best + 0.02
    assert found["bce"] == pytest.approx(float(torch.nn.functional.binary_cross_entropy(probs, targets)), abs=1e-5)


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


@pytest.mark.slow
def test_the_stage_copies_or_tunes_and_its_card_says_which(make_workspace: Callable[..., Workspace]) -> None:
    made = make_workspace(**{"corpus.root": "texts", "corpus.labels": ["happy"], "tune.text.threads": 1})
    (made.folder / "texts").mkdir()
    rows = [f"{split}{i},{text},{split},{i % 2}" for split in ("train", "valid") for i, text in enumerate(["sad", "glad"] * 4)]
    (made.folder / "texts/clips.csv").write_text("clip_id,text,split,happy\n" + "\n".join(rows) + "\n")
    made.stages("manifest", "audio", "transcripts", "tune_text")
    source, target = made.folder / "data/models/text", made.folder / "data/text_model"
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {p.name: p.read_bytes() for p in source.iterdir()}
    assert json.loads((made.folder / "data/tuning.json").read_text()) == {"text": {}}
    made.set(**{"tune.text.epochs": 1})
    made.stages("tune_text")
    first = (target / "model.safetensors").read_bytes()
    assert load_file(target / "classifier.safetensors")["bias"].shape == (1,)
    scores = json.loads((made.folder / "data/tuning.json").read_text())["text"]
    assert scores["texts"] == 8
    assert scores["micro_f1"] >= 0.66  # that of predicting the label for all is 2 / 3
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
