"""M3ED becomes a corpus folder of utterances."""

import json
from pathlib import Path

import pytest

from contract import SPLITS
from preprocess import corpus
from preprocess.corpora import m3ed
from tests.preprocess.corpora.commands import PUBLISHED, published, refusal, rows, run, touch, write

ANNOTATION = {
    "anjia": {
        "anjia_1": {
            "SpeakerInfo": {"A": {"Name": "房似锦", "Gender": "Female"}, "B": {"Gender": "Male"}},
            "Dialog": {
                "anjia_1_1": {
                    "StartTime": "00:23:48:04",
                    "EndTime": "00:23:50:10",
                    "Text": "你好，  世界",
                    "Speaker": "A",
                    "EmoAnnotation": {"final_mul_emo": "Happy,Surprise", "final_main_emo": "Happy"},
                },
                "anjia_1_2": {
                    "StartTime": "00:23:51:00",
                    "EndTime": "00:23:52:24",
                    "Text": "嗯",
                    "Speaker": "B",
                    "EmoAnnotation": {"final_mul_emo": "", "final_main_emo": "Neutral"},
                },
            },
        }
    },
    "woju": {"woju_1": {"SpeakerInfo": {}, "Dialog": {}}},
}


def m3ed_files(folder: Path, annotation: object = ANNOTATION) -> list[object]:
    for name, series in (("train", "woju\n"), ("val", ""), ("test", "anjia")):
        write(folder / f"movie_list_{name}.txt", series)
    tree = write(folder / "annotation.json", json.dumps(annotation, ensure_ascii=False))
    return ["m3ed", "--annotation", tree, "--splits", folder]


def test_m3ed_makes_utterances_with_several_labels_and_times_in_frames(tmp_path: Path) -> None:
    touch(tmp_path / "films/anjia/02.mp4", tmp_path / "films/anjia_1_2.wav")
    relation = write(tmp_path / "relation.json", json.dumps({"anjia": {"anjia_1": {"episode": 2}, "anjia_2": {"episode": 4}}}))
    run(*m3ed_files(tmp_path), "--episodes", relation, "--videos", tmp_path / "films", tmp_path / "corpus")
    written = rows(tmp_path / "corpus/clips.csv")
    first, second = written["anjia_1_1"], written["anjia_1_2"]
    assert {label for label in m3ed.LABELS if float(first[label])} == {"happy", "surprise"}
    assert {label for label in m3ed.LABELS if float(second[label])} == {"neutral"}
    assert (first["text"], first["split"], first["speaker"]) == ("你好， 世界", "test", "anjia 房似锦")
    assert (first["media"], float(first["start"]), float(first["end"])) == ("media/anjia/02.mp4", 1428.16, 1430.4)
    assert (second["media"], second["start"], second["speaker"]) == ("media/anjia_1_2.wav", "", "anjia_1 B")
    assert rows(tmp_path / "corpus/missing.csv")["anjia_2"]["what"] == "dialogue"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"StartTime": "00:23:48"}, "anjia_1_1: '00:23:48': expected HH:MM:SS:FF"),
        ({"EmoAnnotation": {"final_mul_emo": "Joy"}}, "anjia_1_1: emotion joy: expected of happy, neutral"),
        ({"Text": None}, "anjia_1_1: Text is None: expected a text"),
        ({"EmoAnnotation": "Happy"}, "anjia_1_1: it is {"),
    ],
)
def test_m3ed_names_an_utterance_that_cannot_be_read(tmp_path: Path, change: dict[str, object], message: str) -> None:
    tree = json.loads(json.dumps(ANNOTATION))
    tree["anjia"]["anjia_1"]["Dialog"]["anjia_1_1"] |= change
    assert message in refusal(*m3ed_files(tmp_path, tree), tmp_path / "corpus")


def test_m3ed_counts_frames_past_a_second_on_and_notes_it(tmp_path: Path) -> None:
    tree = json.loads(json.dumps(ANNOTATION))
    tree["anjia"]["anjia_1"]["Dialog"]["anjia_1_1"]["EndTime"] = " 00:23:50:59"
    (clip, _) = m3ed.read_annotation(tree)
    assert clip.end == pytest.approx(23 * 60 + 50 + 59 / 25)
    assert "more than 25 frames" in clip.notes[0]


def test_m3ed_says_which_file_is_of_another_shape(tmp_path: Path) -> None:
    assert "has another shape; expected {series:" in refusal(*m3ed_files(tmp_path, ["anjia"]), tmp_path / "corpus")
    options = m3ed_files(tmp_path)
    (tmp_path / "movie_list_val.txt").write_text("anjia")
    assert "anjia is in the list of valid too" in refusal(*options, tmp_path / "corpus")
    (tmp_path / "movie_list_val.txt").unlink()
    assert "movie_list_val.txt: No such file" in refusal(*options, tmp_path / "corpus")


@published
def test_m3ed_knows_the_published_dialogues_and_series(tmp_path: Path) -> None:
    relation = PUBLISHED / "m3ed/relation_annotation_release.json"
    tree = {
        series: {
            dialogue: {
                "Dialog": {
                    f"{dialogue}_1": {
                        "StartTime": place["start_time"],
                        "EndTime": place["end_time"],
                        "Text": "好",
                        "EmoAnnotation": {"final_mul_emo": "Sad"},
                    }
                }
            }
            for dialogue, place in dialogues.items()
        }
        for series, dialogues in json.loads(relation.read_text(encoding="utf-8")).items()
    }
    annotation = write(tmp_path / "annotation.json", json.dumps(tree))
    run("m3ed", "--annotation", annotation, "--splits", PUBLISHED / "m3ed", "--episodes", relation, tmp_path / "corpus")
    clips = corpus.read(tmp_path / "corpus", list(m3ed.LABELS))
    series = {split: {clip.clip_id.split("_")[0] for clip in clips if clip.split == split} for split in ("", *SPLITS)}
    assert {split: len(names) for split, names in series.items()} == {"": 0, "train": 38, "valid": 7, "test": 11}
    assert len(clips) == 1016
    assert rows(tmp_path / "corpus/missing.csv") == {}


def test_m3ed_names_a_dialogue_that_stands_twice(tmp_path: Path) -> None:
    options = m3ed_files(tmp_path)
    tree = (tmp_path / "annotation.json").read_text(encoding="utf-8")
    dialogues = tree.replace('"woju": {', '"woju": {"woju_1": {"SpeakerInfo": {}, "Dialog": {}}, ')
    (tmp_path / "annotation.json").write_text(dialogues, encoding="utf-8")
    assert "'woju_1' stands more than once in one object" in refusal(*options, tmp_path / "corpus")
