"""The stage `evaluate`: the names of the contract, honest numbers, tables and pictures that repeat."""

import csv
import json
import math
from collections.abc import Iterator
from functools import reduce
from operator import getitem
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import f1_score

from lddu import baselines, evaluate, listing, noise, weights
from lddu.engine import Predictions
from lddu.quantiles import shares
from lddu.tensors import Split, TensorError, read_split
from lddu.train import train
from tests.lddu import small_corpus
from tests.lddu.conftest import Parameters
from tests.lddu.small_corpus import CLIPS, DIMS, LABELS

CONTRACT = (
    "accuracy", "accuracy_empty_one", "hamming_loss", "micro_f1", "macro_f1", "micro_precision", "micro_recall",
    "threshold", "epoch", "clips",
)  # fmt: skip
KINDS = ("faded", "dropped")
OF_MODALITY = {"noise_spearman", "ambiguity_spearman", "clips", "error_spearman"}
BASELINES = ("prior", "text", "audio", "vision", "joined")


def numbers(tree: dict) -> Iterator[float]:
    for value in tree.values():
        if isinstance(value, dict):
            yield from numbers(value)
        else:
            yield value


def scores(split: str) -> dict:
    return json.loads(Path(f"metrics/{split}.json").read_text())


def predictions(split: str) -> list[dict[str, str]]:
    with Path(f"data/predictions/{split}.csv").open() as file:
        return list(csv.DictReader(file))


def all_outputs() -> dict[str, bytes]:
    files = [path for root in ("metrics", "data/predictions", "data/plots") for path in Path(root).rglob("*")]
    return {str(path): path.read_bytes() for path in sorted(files) if path.is_file()}


@pytest.fixture
def trained(parameters: Parameters) -> Parameters:
    train(parameters(epochs=6))
    return parameters


def test_every_score_of_the_contract_is_a_plain_number(trained: Parameters) -> None:
    evaluate.evaluate(trained())
    for name in ("train", "valid", "test"):
        tree = scores(name)
        assert set(CONTRACT) <= set(tree)
        assert list(tree["per_label"]) == LABELS
        assert all(set(of_label) == {"f1", "ap"} for of_label in tree["per_label"].values())
        assert tuple(tree["baselines"]) == BASELINES
        assert all({"micro_f1", "threshold", "bce"} <= set(found) for found in tree["baselines"].values())
        assert all(set(found) == OF_MODALITY for found in tree["uncertainty"].values())
        assert set(tree["error_spearman"]) == {"sigma", "noise", "ambiguity", "probability"}
        risk = tree["risk_coverage"]
        assert risk["best"] <= min(risk[name] for name in ("sigma", "noise", "ambiguity", "probability"))
        assert risk["probability"] < risk["chance"]
        assert {"bce", "brier", "calibration_error"} <= set(tree)
        assert all(isinstance(x, int | float) and math.isfinite(x) for x in numbers(tree))
        assert tree["clips"] == CLIPS[name]
    assert len({scores(name)["threshold"] for name in ("train", "valid", "test")}) == 1
    assert not Path("metrics/other.json").exists()


def test_sigma_is_tried_with_noise_and_the_network_with_fewer_modalities(trained: Parameters) -> None:
    evaluate.evaluate(trained())
    for name in ("valid", "test"):
        tree = scores(name)
        assert set(tree["noise"]) == set(DIMS)
        for by_kind in tree["noise"].values():
            assert set(by_kind) == set(noise.KINDS)
            assert {kind for kind, found in by_kind.items() if found["in_training"]} == set(trained().train.loss.noise)
        assert set(tree["subsets"]) == {"text", "audio", "vision", "text+audio", "text+vision", "audio+vision"}
        for m, others in {"text": "audio+vision", "audio": "text+vision", "vision": "text+audio"}.items():
            assert tree["absence_cost"][m] == pytest.approx(tree["micro_f1"] - tree["subsets"][others]["micro_f1"], abs=1e-5)
    assert not {"noise", "subsets"} & set(scores("train"))


def test_sigma_learns_to_rise_with_noise(parameters: Parameters) -> None:
    """Of a kind that it was trained on, and of one that it was not; without the ranking it does not."""
    risen = []
    for weight in (0.0, 0.3):
        tree = parameters(epochs=40, choose="bce").model_dump()
        tree["train"]["loss"] |= {"ordinality": weight, "noise": ["faded"]}
        learned = parameters().model_validate(tree)
        train(learned)
        evaluate.evaluate(learned)
        risen.append({kind: np.mean([found[kind]["spearman"] for found in scores("test")["noise"].values()]) for kind in KINDS})
    assert risen[1]["faded"] > max(0.6, risen[0]["faded"] + 0.2)
    assert risen[1]["dropped"] > max(0.4, risen[0]["dropped"] + 0.2)


def test_doubt_sureness_and_novelty_stand_in_scores_and_tables(trained: Parameters) -> None:
    evaluate.evaluate(trained())
    for name in ("valid", "test"):
        tree, rows = scores(name), predictions(name)
        assert tree["doubt"]["wrong"] == pytest.approx(tree["hamming_loss"], abs=1e-5)
        assert tree["doubt"]["risk_coverage"] < tree["doubt"]["wrong"]
        assert tree["novelty"]["unlike"] <= 0.1
        assert list(tree["sure"]["per_label"]) == LABELS
        doubts = np.array([[float(row[f"{label}_doubt"] or "nan") for label in LABELS] for row in rows])
        sure = np.array([[row[f"{label}_sure"] == "1" for label in LABELS] for row in rows])
        assert np.array_equal(np.isnan(doubts).any(axis=1), [row["modalities"] == "" for row in rows])
        assert np.nanmean(doubts) == pytest.approx(tree["doubt"]["mean"], abs=1e-3)
        assert sure.mean() == pytest.approx(tree["sure"]["coverage"], abs=1e-5)
        assert not sure.any() or np.nanmax(doubts[sure]) <= np.nanmin(doubts[~sure])
    assert not {"doubt", "sure"} & set(scores("train"))
    under_noise = scores("test")["judged_under_noise"]
    assert set(under_noise) == set(noise.KINDS)
    assert under_noise["swapped"]["wrong"] > scores("test")["doubt"]["wrong"]
    assert all(found["doubt"] < found["wrong"] for found in under_noise.values())
    assert all(0 <= float(row["novelty"] or 0) <= 1 for row in predictions("other"))
    tree = trained().model_dump()
    tree["evaluate"]["risk"] = None
    evaluate.evaluate(trained().model_validate(tree))
    assert "sure" not in scores("test")
    assert {row[f"{label}_sure"] for row in predictions("test") for label in LABELS} == {""}


def test_a_threshold_a_label_is_each_labels_best_on_valid(trained: Parameters) -> None:
    tree = trained().model_dump()
    tree["evaluate"]["threshold"] = "per_label"
    evaluate.evaluate(trained().model_validate(tree))
    for name in ("valid", "test"):
        rows, found = predictions(name), scores(name)["thresholds"]
        assert scores(name)["threshold"] == pytest.approx(np.mean(list(found.values())), abs=1e-5)
        for label in LABELS:
            assert all(
                (float(row[f"{label}_probability"]) >= found[label]) == (row[f"{label}_predicted"] == "1") for row in rows
            )
    valid = predictions("valid")
    for label in LABELS:
        true = np.array([row[f"{label}_true"] == "1" for row in valid])
        probs = np.array([float(row[f"{label}_probability"]) for row in valid])
        assert scores("valid")["per_label"][label]["f1"] == pytest.approx(
            max(f1_score(true, probs >= t, zero_division=0) for t in np.arange(1, 100) / 100), abs=1e-5
        )


def test_further_seeds_and_the_network_without_sigma_stand_beside(parameters: Parameters) -> None:
    settings = parameters(repeats=2, baseline=True, epochs=3)
    train(settings)
    evaluate.evaluate(settings)
    found = scores("test")
    assert tuple(found["baselines"]) == (*BASELINES, "mlp", "centre")
    assert found["baselines"]["centre"]["micro_f1"] != found["micro_f1"]
    assert found["baselines"]["mlp"]["seeds"]["networks"] == 2
    assert found["seeds"]["networks"] == 2
    train(parameters(seed=43, epochs=3))
    evaluate.evaluate(parameters())
    other = scores("test")
    for place in (["micro_f1"], ["noise", "text", "dropped", "spearman"], ["uncertainty", "text", "error_spearman"]):
        mean_and_deviation, *both = (reduce(getitem, place, tree) for tree in (found["seeds"], found, other))
        assert both[0] != both[1]
        assert mean_and_deviation["mean"] == pytest.approx(np.mean(both), abs=1e-5)
        assert mean_and_deviation["deviation"] == pytest.approx(np.std(both, ddof=1), abs=1e-5)
    assert found["seeds"]["noise"]["text"]["dropped"]["in_training"] == 0


def test_the_authors_protocol_stands_beside_and_never_instead(parameters: Parameters) -> None:
    train(parameters(epochs=4))
    evaluate.evaluate(parameters())
    without = scores("test")
    train(parameters(epochs=4, keep_epochs=True))
    evaluate.evaluate(parameters())
    found = scores("test")
    theirs = found.pop("authors_protocol")
    assert found == without
    assert theirs["micro_f1"] >= found["micro_f1"]
    assert theirs["epoch"] in range(1, 5)
    assert "authors_protocol" not in scores("valid")


def test_the_predictions_are_those_that_were_scored(trained: Parameters) -> None:
    evaluate.evaluate(trained())
    rows, tree = predictions("test"), scores("test")
    true, predicted = (
        np.array([[row[f"{label}_{what}"] == "1" for label in LABELS] for row in rows]) for what in ("true", "predicted")
    )
    probs = np.array([[float(row[f"{label}_probability"]) for label in LABELS] for row in rows])
    assert tree["micro_f1"] == pytest.approx(f1_score(true, predicted, average="micro"), abs=1e-6)
    assert np.array_equal(predicted, probs >= tree["threshold"])
    tensors = read_split(Path("data/tensors"), "test", LABELS)
    assert [row["clip_id"] for row in rows] == list(tensors.clip_ids)
    assert np.array_equal(true, (tensors.labels > 0).numpy())
    for i, row in enumerate(rows):
        for m in DIMS:
            there = bool(tensors.masks[m][i].any())
            assert (m in row["modalities"].split()) == there
            shares = [row[f"{label}_sigma_{m}"] for label in LABELS] + [row[f"{block}_{m}"] for block in ("noise", "ambiguity")]
            assert [share != "" for share in shares] == [there] * len(shares)


def test_a_label_is_present_above_the_value_that_params_name(trained: Parameters) -> None:
    """Intensities of 0 and 2 are 0.2 and 0.7 here: learned, scored and written as the same presence."""
    evaluate.evaluate(trained())
    before = all_outputs()

    def shared(tensors: dict[str, torch.Tensor]) -> None:
        tensors["labels"] = 0.2 + tensors["labels"] / 4

    small_corpus.write(Path("data/tensors"), spoil=dict.fromkeys(CLIPS, shared))
    tree = trained(epochs=6).model_dump()
    tree["corpus"]["present_above"] = 0.2
    changed = trained().model_validate(tree)
    train(changed)
    evaluate.evaluate(changed)
    assert all_outputs() == before
    evaluate.evaluate(trained())
    assert scores("test")["micro_recall"] != json.loads(before["metrics/test.json"])["micro_recall"]


def test_unlabelled_clips_are_predicted_and_never_scored(trained: Parameters) -> None:
    evaluate.evaluate(trained())
    rows = predictions("other")
    assert len(rows) == CLIPS["other"]
    assert all(row[f"{label}_true"] == "" and row[f"{label}_probability"] for row in rows for label in LABELS)


def test_evaluating_again_gives_the_same_bytes(trained: Parameters) -> None:
    evaluate.evaluate(trained())
    first = all_outputs()
    torch.rand(3)
    evaluate.evaluate(trained())
    assert all_outputs() == first


def test_test_chooses_nothing(trained: Parameters) -> None:
    """Other labels of test change the scores of test, and nothing else that is written."""
    evaluate.evaluate(trained())
    before, rows = {name: scores(name) for name in ("train", "valid", "test")}, predictions("test")
    small_corpus.write(Path("data/tensors"), spoil={"test": lambda tensors: tensors.update(labels=2 - tensors["labels"])})
    evaluate.evaluate(trained())
    assert (scores("train"), scores("valid")) == (before["train"], before["valid"])
    assert scores("test")["micro_f1"] != before["test"]["micro_f1"]
    assert scores("test")["threshold"] == before["test"]["threshold"]
    assert [row["happy_probability"] for row in predictions("test")] == [row["happy_probability"] for row in rows]


def test_the_plots_are_there_as_tables_and_pictures(trained: Parameters) -> None:
    evaluate.evaluate(trained())
    folder = Path("data/plots")
    for kind in ("precision_recall", "confusion"):
        assert sorted(path.stem for path in (folder / kind).glob("*.csv")) == sorted(LABELS)
    assert sorted(path.stem for path in (folder / "uncertainty").glob("*.csv")) == sorted(DIMS)
    assert {path.stem for path in folder.glob("*.csv")} == {"baselines", "calibration"}
    pictures = sorted(folder.glob("*.png"))
    assert [path.stem for path in pictures] == ["baselines", "calibration", "confusion", "precision_recall", "uncertainty"]
    for path in pictures:
        with Image.open(path) as picture:
            assert min(picture.size) > 200
            assert len(picture.convert("RGB").getcolors(2**20) or []) > 10


def test_a_corpus_without_a_test_split_is_scored_on_the_others(trained: Parameters) -> None:
    spoil = {"test": lambda tensors: tensors.update({name: x[:0] for name, x in tensors.items()})}
    small_corpus.write(Path("data/tensors"), spoil=spoil)
    Path("data/tensors/test.csv").write_text("clip_id,start,end,duration\n")
    Path("metrics").mkdir()
    Path("metrics/test.json").write_text('{"micro_f1": 1.0}')
    evaluate.evaluate(trained())
    assert scores("test") == {}
    assert scores("valid")["clips"] == CLIPS["valid"]
    assert predictions("test") == []
    assert Path("data/predictions/test.csv").read_text().startswith("clip_id,modalities,novelty_text,")


def test_unknown_noise_is_written_as_nothing_counted(trained: Parameters) -> None:
    Path("data/tensors/noise.csv").unlink()
    evaluate.evaluate(trained())
    found = scores("test")["uncertainty"]["text"]
    assert (found["noise_spearman"], found["clips"]) == (0.0, 0)
    assert not Path("data/plots/uncertainty.png").exists()


def test_a_label_without_a_positive_in_a_split_scores_zero(trained: Parameters) -> None:
    small_corpus.write(Path("data/tensors"), spoil={"test": lambda tensors: tensors["labels"][:, 2].zero_()})
    evaluate.evaluate(trained())
    assert scores("test")["per_label"]["anger"] == {"f1": 0.0, "ap": 0.0}
    assert scores("test")["micro_f1"] > 0


def test_a_network_of_other_tensors_is_refused(trained: Parameters) -> None:
    small_corpus.write(Path("data/tensors"), {"text": 12})
    with pytest.raises(TensorError, match=r"data/model was trained on .*: run train again"):
        evaluate.evaluate(trained())


def test_without_a_network_it_says_to_train(parameters: Parameters) -> None:
    with pytest.raises(weights.WeightsError, match="run train"):
        evaluate.evaluate(parameters())


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), clips=st.integers(1, 12))
def test_sigma_is_reported_as_its_place_among_the_training_clips(seed: int, clips: int) -> None:
    generator = np.random.default_rng(seed)

    def said(count: int) -> Predictions:
        there = generator.random(count) < 0.8
        log_sigma = np.where(there[:, None], generator.normal(size=(count, 2)), np.nan)
        return Predictions(np.zeros((count, 2)), np.zeros((count, 2)), {"text": there}, {"text": log_sigma})

    train_, found = said(15), said(clips)
    of_train = listing.reference_of(train_)["text"]
    quantiles = shares(found.log_sigma["text"], of_train)
    known = train_.log_sigma["text"][train_.present["text"]]
    for i, c in np.ndindex(clips, 2):
        value = found.log_sigma["text"][i, c]
        if np.isnan(value):
            assert np.isnan(quantiles[i, c])
        else:
            assert quantiles[i, c] == pytest.approx((known[:, c] <= value).sum() / max(len(known), 1))


def one_row_split(values: list[float | None], labels: list[float]) -> Split:
    features = torch.tensor([[[x or 0.0], [1e9]] for x in values])
    masks = torch.tensor([[x is not None, False] for x in values])
    ids = tuple(str(i) for i in range(len(values)))
    return Split("train", ids, ("happy",), {"text": features}, {"text": masks}, torch.tensor(labels)[:, None])


def test_probes_learn_from_mean_rows_and_leave_absent_modalities_at_the_mean() -> None:
    split = one_row_split([-2.0, -1.0, 1.0, 2.0, None], [0.0, 0.0, 1.0, 1.0, 1.0])
    found = dict(baselines.probabilities(split, {"valid": split, "test": split}, np.array([0.6])))
    assert list(found) == ["prior", "text"]
    assert found["prior"]["test"].ravel().tolist() == [0.6] * 5
    probs = found["text"]["test"].ravel()
    assert probs[0] < probs[1] < probs[4] < probs[2] < probs[3]


def test_a_probe_may_read_the_deviation_of_the_rows() -> None:
    """Each clip's rows have mean 0 but for a masked row; how far they are from it is what the label says."""
    spread = torch.tensor([0.1, 0.2, 0.3, 2.0, 2.1, 2.2])
    rows = torch.stack([-spread, spread, torch.full_like(spread, 1e6)], dim=1)[..., None]  # (6, 3, 1)
    mask = torch.tensor([[True, True, False]] * 6)
    labels = (spread > 1).float()[:, None]
    split = Split("train", tuple("abcdef"), ("happy",), {"text": rows}, {"text": mask}, labels)
    blind, seeing = (
        dict(baselines.probabilities(split, {"valid": split}, np.array([0.5]), deviation))["text"]["valid"].ravel()
        for deviation in (False, True)
    )
    assert blind == pytest.approx(np.full(6, 0.5), abs=1e-3)
    assert seeing[:3].max() < 0.3 < 0.7 < seeing[3:].min()


def test_a_probe_of_a_label_that_never_varies_says_so() -> None:
    split = one_row_split([-1.0, 1.0], [1.0, 1.0])
    found = dict(baselines.probabilities(split, {"valid": split}, np.array([0.5])))
    assert found["text"]["valid"].ravel().tolist() == [1.0, 1.0]
