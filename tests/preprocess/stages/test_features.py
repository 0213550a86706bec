"""Published feature files become tensors."""

import csv
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import params
from preprocess.packs import pack as packs
from preprocess.packs.problem import PackError
from preprocess.stages import features
from tests.conftest import checkout
from tests.preprocess.packs.test_pickles import Command

LABELS = ["happy", "sad", "anger", "surprise", "disgust", "fear"]
WIDTHS = {"text": 768, "audio": 74, "vision": 35}
ROWS = 10
RELEASED = {"text": "src-text", "audio": "src-audio", "vision": "src-visual"}


def split(name: str, clips: int, keys: dict[str, str], **rows: int) -> dict[str, Any]:
    """A split as published: padded arrays, ids, and labels coded as tokens, every third clip of one video."""
    generator = np.random.default_rng(clips)
    labels = generator.random((clips, len(LABELS))) < 0.3
    own: dict[str, Any] = {"id": [f"{name}{i // 3}$_${i}" for i in range(clips)]}
    lengths = generator.integers(3, ROWS, clips)
    for m, width in WIDTHS.items():
        states = generator.normal(size=(clips, rows.get(m, ROWS), width))
        states[:, :, : len(LABELS)] += labels[:, None]
        for i, length in enumerate(lengths):
            states[i, length:] = 0
        own[keys[m]] = states.astype(np.float32 if m != "audio" else np.float64)
    own["tgt"] = [[2, *(np.flatnonzero(row) + packs.FIRST_LABEL).tolist(), 3] for row in labels]
    return own


def pack(keys: dict[str, str] = RELEASED, **rows: int) -> dict[str, Any]:
    return {name: split(name, clips, keys, **rows) for name, clips in (("train", 24), ("valid", 9), ("test", 8))}


@pytest.fixture
def convert(tmp_path: Path) -> Callable[..., Any]:
    """Pickle a tree and make tensors of it; the folder with them, and the Conversion."""

    def made(tree: Any, labels: str = "", names: list[str] = LABELS) -> tuple[Path, Any]:
        source = tmp_path / "pack.pkl"
        source.write_bytes(pickle.dumps(tree))
        settings = params.Features(source=str(source), labels=labels or str(source), tokens=LABELS)
        return tmp_path / "out", features.convert(settings, names, tmp_path / "out")

    return made


def ids(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row["clip_id"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("keys", [RELEASED, {m: m for m in WIDTHS}])
def test_both_published_forms_become_tensors(convert: Callable[..., Any], keys: dict[str, str]) -> None:
    tree = pack(keys, audio=13, vision=12)  # unaligned
    folder, result = convert(tree)
    tensors = load_file(folder / "train.safetensors")
    assert ids(folder / "train.csv") == sorted(f"train{i // 3}_{i}" for i in range(24))
    for m, width in WIDTHS.items():
        rows = {"text": ROWS, "audio": 13, "vision": 12}[m]
        assert (tensors[m].shape, tensors[m].dtype) == ((24, rows, width), np.float32)
        for row, name in enumerate(ids(folder / "train.csv")):
            given = tree["train"][keys[m]][int(name.rpartition("_")[2])]
            assert tensors[f"{m}_mask"][row].tolist() == given.any(1).tolist()
            assert tensors[m][row] == pytest.approx(given, rel=1e-6)
        assert (tensors[f"{m}_time"] == -1).all()
        observed = tensors[m][tensors[f"{m}_mask"]]
        statistics = load_file(folder / "statistics.safetensors")
        assert statistics[f"{m}_mean"] == pytest.approx(observed.mean(0), abs=1e-5)
        assert statistics[f"{m}_deviation"] == pytest.approx(observed.std(0), abs=1e-5)
    for row, name in enumerate(ids(folder / "train.csv")):
        tokens = tree["train"]["tgt"][int(name.rpartition("_")[2])][1:-1]
        assert (np.flatnonzero(tensors["labels"][row]) + 4).tolist() == tokens
    assert result.missing == []
    assert len(ids(folder / "other.csv")) == 0


def test_values_that_are_not_finite_become_0_and_their_rows_are_masked(convert: Callable[..., Any]) -> None:
    tree = pack()
    audio = tree["train"]["src-audio"]
    audio[0, 0, 5], audio[0, 1], audio[1, 0, 2] = -np.inf, -np.inf, np.nan
    folder, result = convert(tree)
    tensors, names = load_file(folder / "train.safetensors"), ids(folder / "train.csv")
    first, second = names.index("train0_0"), names.index("train0_1")
    assert (tensors["audio"][first, 0, 5], tensors["audio"][second, 0, 2]) == (0, 0)
    assert tensors["audio_mask"][first, :3].tolist() == [True, False, True]
    assert np.isfinite(tensors["audio"]).all()
    assert (
        "train, src-audio: 75 infinite values and 1 NaN in 2 clips set to 0; 1 rows without any other value masked"
        in result.remarks
    )


def test_a_clip_that_is_wrong_costs_itself_alone(convert: Callable[..., Any]) -> None:
    tree = pack()
    own = tree["train"]
    own["src-audio"] = [*own["src-audio"][:-1], np.ones((4, 73))]  # the last of another width, so no longer one array
    own["src-visual"][3] = 0
    for m in RELEASED.values():
        own[m][5] = np.zeros_like(own[m][5])
    own["tgt"][7] = [2, 4, 10, 3]
    folder, result = convert(tree)
    missing = {(row.clip_id, row.what): row.reason for row in result.missing}
    assert "another shape" in missing["train7_23", "src-audio"]
    assert ("train1_3", "src-visual") in missing
    assert "left out" in missing["train1_5", "clip"]
    assert "no label's (4 to 9)" in missing["train2_7", "labels"]
    tensors, names = load_file(folder / "train.safetensors"), ids(folder / "train.csv")
    assert len(names) == 23
    assert np.isnan(tensors["labels"][names.index("train2_7")]).all()
    assert tensors["text_mask"][names.index("train7_23")].any()
    assert not tensors["audio_mask"][names.index("train7_23")].any()


def test_lengths_mask_what_lies_behind_them(convert: Callable[..., Any]) -> None:
    tree = pack({m: m for m in WIDTHS})
    tree["valid"]["audio"][:] = 1.0
    tree["valid"]["audio_lengths"] = [4, ROWS + 1, *[ROWS] * 7]
    folder, result = convert(tree)
    mask = load_file(folder / "valid.safetensors")["audio_mask"]
    assert mask[ids(folder / "valid.csv").index("valid0_0")].sum() == 4
    assert mask[ids(folder / "valid.csv").index("valid0_1")].sum() == ROWS
    assert "valid, audio: 1 lengths above the number of rows: ignored" in result.remarks


def test_labels_come_from_a_table_in_the_order_of_the_parameters(convert: Callable[..., Any], tmp_path: Path) -> None:
    tree = pack()
    table = tmp_path / "clips.csv"
    table.write_text("clip_id,text,sad,happy\ntrain0_0,a,0.5,2\ntrain0_1,b,,\n", encoding="utf-8")
    folder, result = convert(tree, str(table), ["happy", "sad"])
    labels = load_file(folder / "train.safetensors")["labels"]
    assert labels[ids(folder / "train.csv").index("train0_0")].tolist() == [2.0, 0.5]
    assert np.isnan(labels).all(1).sum() == 23
    assert sum(row.what == "labels" for row in result.missing) == 24 + 9 + 8 - 1


def test_a_table_with_labels_of_other_clips_is_refused(convert: Callable[..., Any], tmp_path: Path) -> None:
    table = tmp_path / "clips.csv"
    table.write_text("clip_id,text,sad,happy\ntrain0-0,a,0.5,2\n", encoding="utf-8")
    with pytest.raises(PackError, match="has no clip of the features: its clips are called train0-0, theirs train0_0"):
        convert(pack(), str(table), ["happy", "sad"])


def test_labels_come_from_another_file_row_for_row(convert: Callable[..., Any], tmp_path: Path) -> None:
    tree, other = pack(), tmp_path / "labels.pkl"
    other.write_bytes(pickle.dumps({name: {"tgt": own.pop("tgt")} for name, own in pack().items()}))
    for own in tree.values():
        del own["tgt"]
    folder, _ = convert(tree, str(other), ["fear", "happy"])
    labels = load_file(folder / "test.safetensors")["labels"]
    expected = {f"test{i // 3}_{i}": [9 in tokens, 4 in tokens] for i, tokens in enumerate(pack()["test"]["tgt"])}
    assert labels.tolist() == [expected[name] for name in ids(folder / "test.csv")]
    with pytest.raises(PackError, match=r"labels \(tgt\) of 24 clips expected, found none"):
        convert({name: {k: v for k, v in own.items() if k != "tgt"} for name, own in pack().items()})


def spoilt(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    tree = pack()
    change(tree)
    return tree


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([1, 2], "no split in it: found list; expected a dict with train, valid and test"),
        ({"a": {}}, "no split in it: found a"),
        ({"train": {"x": 1}}, "train: no features in it: it has x; expected some of text, src-text"),
        (spoilt(lambda tree: tree["train"]["tgt"].pop()), r"src-text 24, .*tgt 23\), so that no row says whose it is"),
        (spoilt(lambda tree: tree["test"].pop("src-audio")), "widths differ between the splits .*test text 768, vision 35"),
        (spoilt(lambda tree: tree["valid"].update(id=tree["test"]["id"] + ["x"])), "8 clips are in two splits: test0_0"),
        (
            spoilt(lambda tree: tree["test"].update({"src-text": np.ones((8, 3))})),
            r"test, src-text is float64 \(8, 3\): expected",
        ),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_is_refused(convert: Callable[..., Any], tree: Any, message: str) -> None:
    with pytest.raises(PackError, match=message):
        convert(tree)


@pytest.mark.slow
def test_features_train_and_are_scored_with_dvc_and_nothing_else_runs(tmp_path: Path) -> None:
    small = {"train.epochs": 1, "train.loss.queue": 64, "train.model.layers": 1}
    made = checkout(tmp_path, **small)
    made.run("preset", "presets/mosei_features.yaml")
    source = made.folder / "data/corpora/mosei/aligned_50.pkl"
    source.parent.mkdir(parents=True)
    source.write_bytes(pickle.dumps({"train": {"text": Command(os.system, f"touch {tmp_path / 'ran'}")}}))
    assert "system: admitted are numpy arrays" in made.program("dvc", "repro", "evaluate", fails=True)
    assert not (tmp_path / "ran").exists()
    source.write_bytes(pickle.dumps(pack()))
    printed = made.program("dvc", "repro", "evaluate")
    assert re.findall(r"Running stage '(?:[\w/.]+:)?(\w+)", printed) == ["features", "train", "evaluate"]
    assert (made.folder / "metrics/test.json").is_file()
    assert len(ids(made.folder / "data/predictions/test.csv")) == 8
    names = made.program("git", "status", "--porcelain", "--untracked-files=all")
    assert not [line for line in names.splitlines() if "corpora/mosei" in line or line.endswith((".safetensors", ".pkl"))]
