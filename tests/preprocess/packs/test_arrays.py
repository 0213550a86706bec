"""A folder of safetensors becomes features: rows are the table's clips in the order of their ids, masks become padding."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import params
from contract import NOISE_COLUMNS
from lddu.tensors import read_noise, read_split
from preprocess.packs.problem import PackError
from preprocess.stages import features

LABELS = ["happy", "sad"]
CLIPS = {"train": ["t3", "t1", "t2"], "valid": ["v1", "v2"]}  # as they stand in the table


def table(folder: Path) -> Path:
    rows = [
        f"{name},said,{split},{split}-{name[1]},0.{name[1]}5,0.25,0.{name[1]},"
        for split, names in CLIPS.items()
        for name in names
    ]
    head = "clip_id,text,split,speaker,happy,sad,noise_audio,noise_vision"
    path = folder / "clips.csv"
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def arrays_of(clips: int) -> dict[str, np.ndarray]:
    """Row i of the sound is i + 1; the second row of each picture, and the whole last one, were not observed."""
    audio = np.repeat(np.arange(1, clips + 1, dtype=np.float16)[:, None], 4, axis=1)
    vision = np.ones((clips, 2, 3), np.float16)
    vision[:, 1] = np.nan
    mask = np.array([[i < clips - 1, False] for i in range(clips)])
    return {"audio": audio, "audio_present": np.arange(clips) != 0, "vision": vision, "vision_mask": mask}


def convert(folder: Path, labels: str = "") -> tuple[Path, object]:
    settings = params.Features(source=str(folder / "files"), labels=labels or str(table(folder)), tokens=LABELS)
    return folder / "out", features.convert(settings, LABELS, folder / "out")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    for split, name in (("train", "train_features"), ("valid", "dev")):
        save_file(arrays_of(len(CLIPS[split])), tmp_path / f"files/{name}.safetensors")
    return tmp_path


def test_rows_are_the_tables_clips_in_the_order_of_their_ids(files: Path) -> None:
    folder, result = convert(files)
    split = read_split(folder, "train", LABELS)
    assert split.clip_ids == ("t1", "t2", "t3")
    assert split.speakers == ("train-1", "train-2", "train-3")
    assert split.labels.tolist() == [pytest.approx([0.15, 0.25]), pytest.approx([0.25, 0.25]), pytest.approx([0.35, 0.25])]
    assert split.features["audio"][:, :, 0].tolist() == [[0], [2], [3]]
    assert split.masks["audio"].tolist() == [[False], [True], [True]]
    assert split.masks["vision"].tolist() == [[True, False], [True, False], [False, False]]
    assert [(row.clip_id, row.what) for row in result.missing] == [
        ("t1", "audio"), ("t3", "vision"), ("v1", "audio"), ("v2", "vision"),
    ]  # fmt: skip
    assert len(read_split(folder, "test", LABELS)) == 0


def test_the_tables_noise_is_for_evaluation(files: Path) -> None:
    folder, _ = convert(files)
    noise = read_noise(folder, ("v2", "t1"))
    assert noise["audio"].tolist() == [0.2, 0.1]
    assert np.isnan(noise["vision"]).all()
    assert not any(name in load_file(folder / "train.safetensors") for name in NOISE_COLUMNS)


def test_every_file_that_does_not_fit_is_named(files: Path) -> None:
    def change(name: str, **tensors: np.ndarray) -> None:
        save_file(arrays_of(3) | tensors, files / f"files/{name}.safetensors")

    change("train_features", vision=np.ones((4, 2, 3), np.float32))
    change("dev", audio=np.ones((2, 4), np.int32))
    change("test", audio=np.ones((0, 4), np.float32), vision=np.ones((0, 2, 3), np.float32))
    change("test_b")
    with pytest.raises(PackError) as error:
        convert(files)
    for said in (
        "train_features.safetensors: vision has 4 rows, but the table has 3 clips in this split",
        "dev.safetensors: audio is int32 (2, 4): expected numbers",
        "test.safetensors and test_b.safetensors are both test",
    ):
        assert said in str(error.value)


def test_a_mask_of_another_shape_and_a_broken_file_are_named(files: Path) -> None:
    save_file(arrays_of(3) | {"vision_mask": np.ones((3, 5), bool)}, files / "files/train_features.safetensors")
    (files / "files/dev.safetensors").write_bytes(b"no safetensors")
    with pytest.raises(PackError) as error:
        convert(files)
    assert "vision_mask is bool (3, 5): expected bool (3,) or (3, 2)" in str(error.value)
    assert "dev.safetensors: " in str(error.value)


def test_a_folder_without_such_files_and_one_without_a_table_are_refused(files: Path) -> None:
    with pytest.raises(PackError, match=r"features\.labels must name a clips\.csv"):
        convert(files, labels=str(files / "files/dev.safetensors"))
    for path in (files / "files").iterdir():
        path.rename(path.with_suffix(".bin"))
    with pytest.raises(PackError, match=r"expected train\*\.safetensors, .* found dev\.bin, train_features\.bin"):
        convert(files)
