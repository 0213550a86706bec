"""Packs are read by those whose form they have, and back by the stage features as the tensors that they were made of."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import webdataset
from safetensors.numpy import load_file

import params
from contract import MODALITIES, SPLITS
from preprocess import __main__ as program
from preprocess.encoders import prosody
from preprocess.packs import dimensions, passport, pickles
from preprocess.packs.problem import PackError
from preprocess.stages import features
from tests.conftest import ROOT
from tests.lddu import small_corpus

LOAD = params.load
TENSORS, PACK = Path("data/tensors"), Path("packed")


def settings(**changed: Any) -> params.Params:
    tree = LOAD(ROOT / "params.yaml").model_dump()
    tree["corpus"]["labels"] = small_corpus.LABELS
    return params.Params.model_validate(tree | changed)


@pytest.fixture
def tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a small corpus of tensors and its passport; one clip of train has no labels."""
    monkeypatch.chdir(tmp_path)

    def unlabelled(of: dict[str, torch.Tensor]) -> None:
        of["labels"][3] = torch.nan

    small_corpus.write(TENSORS, spoil={"train": unlabelled})
    monkeypatch.setattr(params, "load", lambda path=params.PATH: settings())
    passport.write(TENSORS, settings(), small_corpus.DIMS)
    return tmp_path


def pack(*arguments: object) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["preprocess", "pack", *map(str, arguments)])
        try:
            program.main()
        except SystemExit as end:
            if isinstance(end.code, str):
                raise PackError(end.code) from None
            return int(end.code or 0)
    return 0


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["clip_id"]: row for row in csv.DictReader(file)}


def of_clip(tree: dict[str, np.ndarray], i: int, m: str) -> np.ndarray:
    return tree[m][i][tree[f"{m}_mask"][i]]


@pytest.mark.parametrize("form", ["lddu", "mmsa"])
def test_what_is_packed_is_read_back_as_the_same_tensors(tensors: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack(form, PACK) == 0
    assert "1 clips without labels are left out" in capsys.readouterr().out
    source = {"source": str(PACK / "features.pkl"), "labels": str(PACK / "clips.csv"), "tokens": small_corpus.LABELS}
    read = Path("read")
    features.convert(params.Features.model_validate(source), small_corpus.LABELS, read)
    for split in SPLITS:
        first, again = (load_file(folder / f"{split}.safetensors") for folder in (TENSORS, read))
        ids = [list(table(folder / f"{split}.csv")) for folder in (TENSORS, read)]
        places = [ids[0].index(clip_id) for clip_id in ids[1]]
        empty = [i for i in range(len(ids[0])) if not any(first[f"{m}_mask"][i].any() for m in MODALITIES)]
        assert set(range(len(ids[0]))) - set(places) == {*empty, *([3] if split == "train" else [])}
        assert np.array_equal(again["labels"], first["labels"][places])
        for m in MODALITIES:
            assert again[m].dtype == np.float32
            assert np.array_equal(again[f"{m}_mask"], first[f"{m}_mask"][places])
            assert all(np.array_equal(of_clip(again, i, m), of_clip(first, place, m)) for i, place in enumerate(places))
    speakers = table(TENSORS / "speakers.csv")
    assert all(row["speaker"] == speakers[clip_id]["speaker"] for clip_id, row in table(read / "speakers.csv").items())
    noise = table(TENSORS / "noise.csv")
    for clip_id, row in table(read / "noise.csv").items():
        assert [float(row[f"noise_{m}"]) for m in MODALITIES] == [float(noise[clip_id][f"noise_{m}"]) for m in MODALITIES]
    assert passport.differences(passport.read(TENSORS), passport.read(read)) == []


def test_the_form_of_lddu_has_the_keys_types_and_label_codes_of_its_loader(tensors: Path) -> None:
    pack("lddu", PACK, "--rows", 50)
    for tree in (torch.load(PACK / "features.pt", weights_only=False), pickles.read(PACK / "features.pkl")):
        for split in SPLITS:
            data, labels = tree[split], load_file(TENSORS / f"{split}.safetensors")["labels"]
            labels = labels[~np.isnan(labels).any(1)]
            assert {key: (data[key].dtype, *data[key].shape) for key in ("src-text", "src-audio", "src-visual")} == {
                f"src-{key}": (np.float32, len(labels), 50, small_corpus.DIMS[m])
                for key, m in (("text", "text"), ("audio", "audio"), ("visual", "vision"))
            }
            assert all(np.array_equal(data[m], data[key]) for m, key in (("vision", "src-visual"), ("audio", "src-audio")))
            codes = [[token - 4 for token in tokens[1:-1]] for tokens in data["tgt"]]
            assert codes == [np.flatnonzero(row > 0).tolist() for row in labels]
            assert all(type(token) is int for tokens in data["tgt"] for token in tokens)
    loaded = torch.load(PACK / "features.pt", weights_only=False)["train"]["src-audio"][0]
    loaded[loaded == -np.inf] = 0  # as the loaders do: the arrays can be written
    assert b"numpy._core" not in (PACK / "features.pkl").read_bytes()  # numpy 1 has no such name


def test_ids_have_the_video_where_a_clips_id_begins_with_its_speaker(tensors: Path) -> None:
    speakers = table(TENSORS / "speakers.csv")
    rows = [{"clip_id": clip_id, "speaker": "train" if clip_id.startswith("train") else ""} for clip_id in speakers]
    small_corpus.write_rows(TENSORS / "speakers.csv", rows)
    for split in SPLITS:
        path = TENSORS / f"{split}.csv"
        path.write_text(path.read_text().replace(f"{split}-", f"{split}_"))
    small_corpus.write_rows(TENSORS / "speakers.csv", [row | {"clip_id": row["clip_id"].replace("-", "_")} for row in rows])
    pack("lddu", PACK)
    assert pickles.read(PACK / "features.pkl")["train"]["id"][0] == "train$_$000"
    assert pickles.read(PACK / "features.pkl")["valid"]["id"][0] == "valid_000"


def test_the_form_of_mmsa_has_a_sentiment_from_the_labels_or_from_the_one_that_is_named(tensors: Path) -> None:
    pack("mmsa", PACK)
    tree = pickles.read(PACK / "features.pkl")
    labels = load_file(TENSORS / "valid.safetensors")["labels"]  # happy, sad, anger
    assert np.array_equal(tree["valid"]["regression_labels"], labels[:, 0] - labels[:, 1:].max(1))
    assert np.array_equal(tree["valid"]["classification_labels"], np.sign(tree["valid"]["regression_labels"]) + 1)
    lengths = tree["valid"]["audio_lengths"]
    assert lengths == load_file(TENSORS / "valid.safetensors")["audio_mask"].sum(1).tolist()
    assert len(tree["valid"]["raw_text"]) == len(tree["valid"]["id"]) == len(labels)
    pack("mmsa", PACK, "--sentiment", "sad")
    assert np.array_equal(pickles.read(PACK / "features.pkl")["valid"]["regression_labels"], labels[:, 1])
    with pytest.raises(PackError, match="--sentiment joy: the labels are happy, sad, anger"):
        pack("mmsa", PACK, "--sentiment", "joy")


def test_hugging_face_loads_the_folder_with_typed_features(
    tensors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    from datasets import Value, load_dataset

    pack("hf", PACK)
    found = load_dataset(str(PACK), cache_dir=str(tmp_path / "cache"))
    assert set(found) == {"train", "validation", "test"}
    first = load_file(TENSORS / "train.safetensors")
    assert found["train"].features["happy"] == Value("float32")
    assert found["train"].features["text_features"].feature.length == small_corpus.DIMS["text"]
    row = found["train"].with_format("numpy")[0]
    count = int(first["text_mask"][0].sum())
    assert np.array_equal(np.stack(row["text_features"]) if count else np.zeros((0, 12)), first["text"][0, :count])
    assert found["train"][3]["happy"] is None
    assert [found["train"][i]["clip_id"] for i in range(2)] == ["train-000", "train-001"]


def test_webdataset_reads_the_shards(tensors: Path) -> None:
    pack("webdataset", PACK)
    first, ids = load_file(TENSORS / "test.safetensors"), list(table(TENSORS / "test.csv"))
    samples = list(webdataset.WebDataset(str(PACK / "test-000000.tar"), shardshuffle=False).decode())
    assert [sample["json"]["clip_id"] for sample in samples] == ids
    for i, sample in enumerate(samples):
        assert list(sample["json"]["labels"].values()) == first["labels"][i].tolist()
        for m in MODALITIES:
            count = int(first[f"{m}_mask"][i].sum())
            assert (f"{m}.npy" in sample) == bool(count)
            assert not count or np.array_equal(sample[f"{m}.npy"], first[m][i, :count])


def test_the_same_tensors_give_the_same_bytes(tensors: Path) -> None:
    for form in ("lddu", "mmsa", "hf", "webdataset"):
        pack(form, Path("first") / form)
        pack(form, Path("second") / form)
        files = [path.relative_to("first") for path in Path("first", form).rglob("*") if path.is_file()]
        assert len(files) >= 3
        assert [path for path in files if (Path("first") / path).read_bytes() != (Path("second") / path).read_bytes()] == []


def test_compare_says_in_what_two_differ(tensors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack("hf", PACK)
    assert pack("compare", TENSORS, TENSORS) == 0
    capsys.readouterr()
    assert pack("compare", TENSORS, PACK) == 1
    assert "packed.commit: none | " in (said := capsys.readouterr().out)
    assert "the features are of one kind" in said
    other = passport.read(TENSORS)
    other["modalities"]["text"]["encoder"]["layer"] = 7
    Path("other").mkdir()
    passport.save(Path("other"), other)
    assert pack("compare", TENSORS, "other") == 1
    assert "modalities.text.encoder.layer: 3 | 7" in (said := capsys.readouterr().out)
    assert "of one kind" not in said
    with pytest.raises(PackError, match=r"features of another kind .*\n  modalities\.text\.encoder\.layer: 3 \| 7"):
        passport.require_same(passport.read(TENSORS), other, "other")


def test_what_cannot_be_packed_is_named(tensors: Path) -> None:
    with pytest.raises(PackError, match=r"nowhere has no tensors .*run align"):
        pack("lddu", PACK, "--tensors", "nowhere")
    with pytest.raises(PackError, match=r"--rows 2: a clip has \d rows; align\.max_rows: 2"):
        pack("lddu", PACK, "--rows", 2)
    with pytest.raises(PackError, match="data holds other files, and no pack"):
        pack("hf", "data")
    with pytest.raises(PackError, match=r"nowhere.* is not there"):
        pack("compare", "nowhere", TENSORS)
    (TENSORS / "train.safetensors").write_bytes(b"{")
    with pytest.raises(PackError, match=r"train\.safetensors or its table cannot be read"):
        pack("hf", "new")


def test_every_dimension_has_its_name() -> None:
    from mediapipe.tasks.python.vision.face_landmarker import Blendshapes

    words = [name.split("_") for name in Blendshapes.__members__]
    camel = ["_neutral", *("".join([first.lower(), *(word.title() for word in rest)]) for first, *rest in words[1:])]
    assert camel == dimensions.BLENDSHAPES
    assert tuple(dimensions.PROSODY) == prosody.NAMES
    usual = settings()
    audio = dimensions.names(usual, [], "audio", 1536)
    assert (audio[0], audio[384], audio[768], audio[-1]) == (
        "audio_layer2_0", "audio_layer-1_0", "audio_layer2_0_clip", "audio_layer-1_383_clip",
    )  # fmt: skip
    assert dimensions.names(usual, [], "vision", 58)[-1] == "head_z"
    encode = usual.encode.model_copy(
        update={
            "audio": usual.encode.audio.model_copy(update={"features": "both"}),
            "vision": usual.encode.vision.model_copy(update={"dynamics": True}),
            "text": usual.encode.text.model_copy(update={"classifier": True}),
        }
    )
    rich = usual.model_copy(update={"encode": encode})
    assert dimensions.names(rich, ["joy"], "audio", 2 * (768 + 16))[784 - 1] == "mfcc_4"
    assert dimensions.names(rich, ["joy"], "vision", 58 + 62)[-1] == "mouth_with_sound"
    assert dimensions.names(rich, ["joy"], "text", 385)[-1] == "classifier_joy"
    assert dimensions.names(rich, ["joy"], "vision", 59) == [f"vision_{i}" for i in range(59)]
    for m, width in (("audio", 1568), ("vision", 120), ("text", 385)):
        assert len(set(dimensions.names(rich, ["joy"], m, width))) == width


def test_the_passport_of_tensors_depends_on_neither_commit_nor_machine(tensors: Path) -> None:
    found = json.dumps(passport.read(TENSORS))
    assert "commit" not in found
    assert str(tensors) not in found
