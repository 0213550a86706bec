"""What is read is what was written, and what cannot be right is refused by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from contract import TENSOR_SPLITS
from lddu.tensors import TensorError, read_noise, read_split, read_splits, read_statistics, require_labels, require_shares
from tests.lddu.small_corpus import CLIPS, DIMS, LABELS, ROWS, write, write_rows


def rewrite(path: Path, change: Callable[[dict], None], labels: str = '["happy", "sad", "anger"]') -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"labels": labels})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "tensors")


def refused(folder: Path, *names: str) -> str:
    with pytest.raises(TensorError) as error:
        read_splits(folder, names or TENSOR_SPLITS, LABELS)
    return str(error.value)


def test_a_corpus_is_read_as_it_was_written(folder: Path) -> None:
    splits = read_splits(folder, TENSOR_SPLITS, LABELS)
    assert {name: len(split) for name, split in splits.items()} == CLIPS
    train = splits["train"]
    assert train.dims == DIMS
    assert {m: x.shape[1] for m, x in train.features.items()} == ROWS
    assert train.clip_ids[:2] == ("train-000", "train-001")
    assert bool(train.complete.all())
    assert not bool(splits["other"].labelled.any())


def test_a_corpus_of_one_modality_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path, {"text": 12})
    assert read_split(folder, "train", LABELS).dims == {"text": 12}
    assert set(read_statistics(folder, {"text": 12})) == {"text"}


def test_clips_are_selected_with_all_that_belongs_to_them(folder: Path) -> None:
    train = read_split(folder, "train", LABELS)
    chosen = torch.arange(len(train)) % 7 == 2
    few = train.select(chosen)
    assert few.clip_ids[:2] == ("train-002", "train-009")
    assert torch.equal(few.labels, train.labels[chosen])
    assert torch.equal(few.features["audio"], train.features["audio"][chosen])
    assert train.select(torch.ones(len(train), dtype=torch.bool)) is train


def test_a_label_is_present_above_a_value_and_learned_as_presence_or_share(tmp_path: Path) -> None:
    def shared(tensors: dict[str, torch.Tensor]) -> None:
        tensors["labels"][:2] = torch.tensor([[0.2, 0.3, 0.0], [torch.nan, 1.0, 0.1]])

    split = read_split(write(tmp_path, spoil={"train": shared}), "train", LABELS, present_above=0.2)
    assert split.present[:2].tolist() == [[False, True, False], [False, True, False]]
    assert split.targets("presence")[:2].nan_to_num(-1).tolist() == [[0, 1, 0], [-1, 1, 0]]
    assert split.targets("share")[:2].nan_to_num(-1).tolist() == split.labels[:2].nan_to_num(-1).tolist()
    assert split.select(torch.arange(len(split)) < 2).present_above == 0.2


@pytest.mark.parametrize("value", [-0.1, 2.0])
def test_labels_that_are_no_shares_are_named_by_clip(tmp_path: Path, value: float) -> None:
    def shared(tensors: dict[str, torch.Tensor]) -> None:
        tensors["labels"] /= 2
        tensors["labels"][3, 1], tensors["labels"][4] = value, torch.nan

    folder = write(tmp_path, spoil={"train": shared, "valid": lambda tensors: tensors["labels"].div_(2)})
    train, valid = read_splits(folder, ("train", "valid"), LABELS).values()
    with pytest.raises(TensorError, match=rf"train\.safetensors: labels from .*{value:g}.*of clip train-003: train\.targets"):
        require_shares(train, folder)
    require_shares(valid, folder)


def test_an_empty_split_is_read_but_cannot_be_trained_on(folder: Path) -> None:
    rewrite(folder / "valid.safetensors", lambda tensors: tensors.update({k: x[:0] for k, x in tensors.items()}))
    (folder / "valid.csv").write_text("clip_id,start,end,duration\n")
    valid = read_splits(folder, ("train", "valid"), LABELS)["valid"]
    assert len(valid) == 0
    with pytest.raises(TensorError, match=r"valid\.safetensors: no clips: labelled clips are needed"):
        require_labels(valid, folder)


def test_a_split_without_labelled_clips_cannot_be_trained_on(tmp_path: Path) -> None:
    folder = write(tmp_path, spoil={"train": lambda tensors: tensors["labels"].fill_(torch.nan)})
    with pytest.raises(TensorError, match=r"train\.safetensors: 96 clips, none of them labelled"):
        require_labels(read_split(folder, "train", LABELS), folder)


def test_masked_rows_may_hold_anything(tmp_path: Path) -> None:
    def fill(tensors: dict) -> None:
        tensors["audio"].masked_fill_(~tensors["audio_mask"][..., None], torch.nan)

    assert len(read_split(write(tmp_path, spoil={"train": fill}), "train", LABELS)) == CLIPS["train"]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_bad_numbers_are_named_by_clip_modality_and_row(tmp_path: Path, value: float) -> None:
    def spoil(tensors: dict) -> None:
        tensors["audio_mask"][7, 2] = True
        tensors["audio"][7, 2, 3] = value

    assert "train.safetensors: audio: NaN or infinity in clip train-007, row 2" in refused(
        write(tmp_path, spoil={"train": spoil})
    )


def test_of_many_bad_rows_only_some_are_written_out(tmp_path: Path) -> None:
    found = refused(write(tmp_path, spoil={"test": lambda tensors: tensors["text"].fill_(torch.nan)}), "test")
    assert found.count("clip test-") == 5
    assert "more" in found


def test_infinite_intensities_are_named_by_clip(tmp_path: Path) -> None:
    assert "infinite intensities of clip valid-001" in refused(
        write(tmp_path, spoil={"valid": lambda tensors: tensors["labels"][1].fill_(torch.inf)})
    )


def test_every_problem_of_shape_is_told_at_once(folder: Path) -> None:
    def change(tensors: dict) -> None:
        tensors["text_mask"] = tensors["text_mask"].float()
        tensors["audio"] = tensors["audio"][:-1].contiguous()
        del tensors["vision_mask"]

    rewrite(folder / "train.safetensors", change)
    found = refused(folder)
    assert "text_mask is float32 (96, 6), bool (96, 6) is expected" in found
    assert "audio is float32 (95, 9, 7), float32 (96, any, any) is expected" in found
    assert "vision_mask is missing, bool (96, 4) is expected" in found


def test_tensors_without_a_modality_or_with_an_unknown_one_are_refused(folder: Path) -> None:
    rewrite(folder / "train.safetensors", lambda tensors: [tensors.pop(k) for k in list(tensors) if k != "labels"])
    assert "no modality in it" in refused(folder, "train")
    rewrite(folder / "test.safetensors", lambda tensors: tensors.update(smell=torch.zeros(40, 2, 3)))
    assert "smell: no modality" in refused(folder, "test")


def test_labels_that_are_not_those_of_the_corpus_are_refused(folder: Path) -> None:
    with pytest.raises(TensorError, match=r"its labels are \['happy', 'sad', 'anger'\], corpus\.labels has \['sad', 'happy'\]"):
        read_split(folder, "train", ["sad", "happy"])


def test_a_table_of_another_length_is_refused(folder: Path) -> None:
    write_rows(folder / "train.csv", [{"clip_id": "a"}, {"clip_id": "b"}])
    assert "96 clips, but train.csv has 2" in refused(folder)


def test_a_clip_written_twice_is_refused(folder: Path) -> None:
    rows = [{"clip_id": f"c{i % 90:03d}"} for i in range(96)]
    write_rows(folder / "train.csv", rows)
    assert "clips written twice: c000; c001; c002; c003; c004 and 1 more" in refused(folder, "train")


def test_a_clip_of_two_splits_is_refused(folder: Path) -> None:
    rows = [{"clip_id": "train-003" if i == 0 else f"valid-{i:03d}"} for i in range(32)]
    write_rows(folder / "valid.csv", rows)
    assert "in train and in valid: train-003" in refused(folder)


def test_widths_that_differ_between_splits_are_refused(folder: Path) -> None:
    rewrite(folder / "test.safetensors", lambda tensors: tensors.update(text=torch.zeros(40, 6, 13)))
    assert "test has widths {'text': 13" in refused(folder)


@pytest.mark.parametrize("name", ["train.safetensors", "train.csv", "statistics.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(TensorError, match=f"{name} is not there: run align"):
        read_statistics(folder, read_split(folder, "train", LABELS).dims)


def test_a_broken_file_is_named(folder: Path) -> None:
    (folder / "train.safetensors").write_bytes(b"nonsense")
    assert "train.safetensors cannot be read" in refused(folder)


def test_a_table_without_clip_ids_is_named(folder: Path) -> None:
    (folder / "train.csv").write_text("id\n1\n")
    assert "train.csv: no column clip_id; it has id" in refused(folder)


@pytest.mark.parametrize("wrong", [torch.zeros(11), torch.full((12,), torch.nan)])
def test_statistics_that_do_not_fit_are_refused(folder: Path, wrong: torch.Tensor) -> None:
    rewrite(folder / "statistics.safetensors", lambda tensors: tensors.update(text_deviation=wrong))
    with pytest.raises(TensorError, match="text_mean and text_deviation must be 12 finite numbers each"):
        read_statistics(folder, DIMS)


def test_noise_is_read_by_id_and_unknown_where_blank(folder: Path) -> None:
    header = {"noise_audio": "", "noise_vision": ""}
    write_rows(folder / "noise.csv", [{"clip_id": "b", "noise_text": "0.5", **header}, {"clip_id": "a", "noise_text": ""}])
    noise = read_noise(folder, ("a", "b", "c"))
    np.testing.assert_array_equal(noise["text"], [np.nan, 0.5, np.nan])
    assert np.isnan(noise["audio"]).all()
    (folder / "noise.csv").unlink()
    assert np.isnan(read_noise(folder, ("a",))["text"]).all()


def test_noise_that_is_no_number_is_refused(folder: Path) -> None:
    (folder / "noise.csv").write_text("clip_id,noise_text,noise_audio,noise_vision\na,loud,,\n")
    with pytest.raises(TensorError, match=r"noise\.csv: noise_text: .*'loud'"):
        read_noise(folder, ("a",))
