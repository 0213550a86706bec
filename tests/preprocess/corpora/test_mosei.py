"""CMU-MOSEI becomes a corpus folder; all that is missing is listed, and nothing is written over."""

from pathlib import Path

import pytest

from contract import SPLITS
from preprocess import corpus
from preprocess.corpora import mosei
from tests.preprocess.corpora.commands import PUBLISHED, published, refusal, rows, run, touch, write

SEGMENTS = """id,link,segment_id,start,end,sentiment,happy,sad,anger,surprise,disgust,fear
-vid,u,0,10.0,12.5,1.0,0.6666667,0,0,0,0,0.3333334
-vid,u,1,-0.49,3.1,0.0,0,0,0,0,0,0
-vid,u,2,20.0,22.0,0.0,,0,0,0,0,0
-vid,u,3,30.0,33.0,0.0,4.5,0,0,0,0,0
-vid,u,4,40.0,44.0,0.0,0,1,0,0,0,0
-vid,u,5,,,0.0,0,1,0,0,0,0
"""


TEXTS = """video_id,clip_id,segment_id,start,end,split,text
-vid,7,?,10.0001,12.5,train,It\u2019s  good
-vid,1,?,-0.4900,3.1,train,so
-vid,3,?,20.0,22.0,valid,null
-vid,4,?,30.0,33.0,test,much
-vid,9,?,50.0,51.0,test,lost
"""


@pytest.fixture
def mosei_tables(tmp_path: Path) -> list[object]:
    segments, texts = write(tmp_path / "segments.csv", SEGMENTS), write(tmp_path / "texts.csv", TEXTS)
    return ["mosei", "--segments", segments, "--texts", texts]


def test_mosei_finds_the_labels_of_a_text_by_its_times_and_keeps_both_numbers(
    mosei_tables: list[object], tmp_path: Path
) -> None:
    run(*mosei_tables, tmp_path / "corpus")
    row = rows(tmp_path / "corpus/clips.csv")["-vid_7"]
    assert (row["text"], row["split"], row["speaker"]) == ("It's good", "train", "-vid")
    assert [float(row[label]) for label in mosei.LABELS] == [0.6666667, 0, 0, 0, 0, 0.3333334]
    assert (row["clip"], row["segment"], row["start"], row["end"]) == ("7", "0", "10.0", "12.5")


def test_mosei_follows_its_rules_for_null_rows_high_values_and_early_starts(mosei_tables: list[object], tmp_path: Path) -> None:
    run(*mosei_tables, tmp_path / "corpus")
    written = rows(tmp_path / "corpus/clips.csv")
    assert (written["-vid_1"]["start"], "before 0" in written["-vid_1"]["note"]) == ("0.0", True)
    assert ([written["-vid_3"][label] for label in mosei.LABELS], "null row" in written["-vid_3"]["note"]) == ([""] * 6, True)
    assert (written["-vid_4"]["happy"], "happy 4.5" in written["-vid_4"]["note"]) == ("3.0", True)
    clips = {clip.clip_id: clip for clip in corpus.read(tmp_path / "corpus", list(mosei.LABELS))}
    assert clips["-vid_3"].labels == {}


def test_mosei_lists_what_is_missing_and_why(
    mosei_tables: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(*mosei_tables, tmp_path / "corpus")
    missing = rows(tmp_path / "corpus/missing.csv")
    assert missing["-vid_9"]["what"] == "labels"
    assert "neither a film nor a text" in missing["-vid_s4"]["reason"]
    assert "cannot be cut" in missing["-vid segment 5"]["reason"]
    printed = capsys.readouterr().out
    assert "4 of 5 texts found their segment" in printed
    assert "in two splits: -vid (test, train, valid)" in printed
    assert next(line.split() for line in printed.splitlines() if "happy" in line) == ["happy", "1", "0", "1", "0"]


def test_mosei_films_are_cut_by_time_or_were_cut_before(mosei_tables: list[object], tmp_path: Path) -> None:
    films = tmp_path / "films"
    touch(films / "full/-vid.mp4")
    run(*mosei_tables, "--videos", films, tmp_path / "whole")
    written = rows(tmp_path / "whole/clips.csv")
    assert {row["media"] for row in written.values()} == {"media/full/-vid.mp4"}
    assert written["-vid_s4"]["text"] == ""  # it has a film, so it can be heard
    (films / "full/-vid.mp4").unlink()
    touch(films / "-vid/7.mp4", films / "-vid_4.mkv")
    run(*mosei_tables, "--videos", films, tmp_path / "cut")
    written = rows(tmp_path / "cut/clips.csv")
    assert [written["-vid_7"][key] for key in ("media", "start", "end")] == ["media/-vid/7.mp4", "", ""]
    assert written["-vid_4"]["media"] == "media/-vid_4.mkv"
    assert (written["-vid_1"]["media"], rows(tmp_path / "cut/missing.csv")["-vid_1"]["what"]) == ("", "film")
    run(*mosei_tables, "--videos", films, "--missing", "drop", tmp_path / "dropped")
    assert set(rows(tmp_path / "dropped/clips.csv")) == {"-vid_7", "-vid_4"}


def test_films_inside_the_corpus_folder_stay_where_they_are(mosei_tables: list[object], tmp_path: Path) -> None:
    touch(tmp_path / "corpus/videos/-vid.mp4")
    run(*mosei_tables, "--videos", tmp_path / "corpus/videos", tmp_path / "corpus")
    assert {row["media"] for row in rows(tmp_path / "corpus/clips.csv").values()} == {"videos/-vid.mp4"}
    assert not (tmp_path / "corpus/media").exists()


def test_a_folder_in_which_no_film_belongs_to_a_clip_is_told_apart_from_missing_films(
    mosei_tables: list[object], tmp_path: Path
) -> None:
    touch(tmp_path / "films/other.mp4")
    message = refusal(*mosei_tables, "--videos", tmp_path / "films", tmp_path / "corpus")
    assert "none of the 1 media" in message
    assert "-vid/7" in message  # what was looked for
    assert "other.mp4" in message  # what is there
    message = refusal(*mosei_tables, "--videos", write(tmp_path / "empty/readme.txt", "").parent, tmp_path / "corpus")
    assert "no film or sound file" in message
    assert ".mkv" in message
    assert "is no folder" in refusal(*mosei_tables, "--videos", tmp_path / "nowhere", tmp_path / "corpus")
    assert not (tmp_path / "corpus/clips.csv").exists()


def test_mosei_takes_the_split_of_another_table(mosei_tables: list[object], tmp_path: Path) -> None:
    split = write(tmp_path / "label.csv", "video_id,clip_id,text,mode\n-vid,7,x,test\n-vid,1,x,train\n-vid,77,x,test\n")
    run(*mosei_tables, "--split", split, tmp_path / "corpus")
    written = rows(tmp_path / "corpus/clips.csv")
    assert [written[f"-vid_{clip}"]["split"] for clip in (7, 1, 3)] == ["test", "train", ""]
    assert rows(tmp_path / "corpus/missing.csv")["-vid_77"]["what"] == "clip"


@published
def test_mosei_has_the_published_counts(tmp_path: Path) -> None:
    folder = PUBLISHED / "mosei"
    options = ["--segments", folder / "segments_raw.csv", "--texts", folder / "train.csv", "--texts", folder / "valid.csv"]
    run("mosei", *options, "--split", folder / "mmsa_label.csv", tmp_path)
    clips = corpus.read(tmp_path, list(mosei.LABELS))
    assert {split: sum(clip.split == split for clip in clips) for split in SPLITS} == {
        "train": 16326,
        "valid": 1871,
        "test": 0,
    }
    train = [clip for clip in clips if clip.split == "train"]
    positives = {label: sum(clip.labels[label] > 0 for clip in train) for label in mosei.LABELS}
    assert positives == {"happy": 8733, "sad": 4269, "anger": 3524, "surprise": 1642, "disgust": 2954, "fear": 1331}
    assert all(len(clip.labels) == 6 and clip.text for clip in clips)
    assert sum("before 0" in row["note"] for row in rows(tmp_path / "clips.csv").values()) == 178


def test_mosei_refuses_two_films_of_one_video(mosei_tables: list[object], tmp_path: Path) -> None:
    touch(tmp_path / "films/a/-vid.mp4", tmp_path / "films/b/-vid.mp4", tmp_path / "films/-vid.wav")
    message = refusal(*mosei_tables, "--videos", tmp_path / "films", tmp_path / "corpus")
    assert message.count("'-vid' is the name of 2 files") == 1  # once, and not for each of its clips
    (tmp_path / "films/b/-vid.mp4").unlink()
    run(*mosei_tables, "--videos", tmp_path / "films", tmp_path / "corpus")  # of a film and its sound, the film
    assert {row["media"] for row in rows(tmp_path / "corpus/clips.csv").values()} == {"media/a/-vid.mp4"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video_id,clip_id,mode\n-vid,7,test\n-vid,7,train\n", "row 3, mode = 'train': expected test, as for this clip above"),
        (
            "video_id,clip_id,mode\nother,7,test\n",
            "has the split of none of the texts: its clips are called other_7 instead of",
        ),
        ("video_id,clip_id,mode\n-vid,7.0,test\n", "its clips are called -vid_7.0 instead of -vid_7"),
    ],
)
def test_mosei_names_what_is_wrong_with_the_other_split(
    mosei_tables: list[object], tmp_path: Path, text: str, message: str
) -> None:
    assert message in refusal(*mosei_tables, "--split", write(tmp_path / "label.csv", text), tmp_path / "corpus")


def test_an_edited_table_is_not_overwritten(mosei_tables: list[object], tmp_path: Path) -> None:
    target = tmp_path / "corpus"
    run(*mosei_tables, target)
    run(*mosei_tables, target)  # the same again is no loss
    edited = (target / "clips.csv").read_text(encoding="utf-8").replace("much", "more")
    (target / "clips.csv").write_text(edited, encoding="utf-8")
    assert "is there already and differs: give --replace" in refusal(*mosei_tables, target)
    assert (target / "clips.csv").read_text(encoding="utf-8") == edited
    run(*mosei_tables, "--replace", target)
    assert "much" in (target / "clips.csv").read_text(encoding="utf-8")


def test_what_would_be_no_corpus_is_not_written(tmp_path: Path) -> None:
    segments = write(tmp_path / "segments.csv", SEGMENTS)
    texts = write(tmp_path / "texts.csv", TEXTS + "-vid,7,?,40.0,44.0,train,twice\n")
    message = refusal("mosei", "--segments", segments, "--texts", texts, tmp_path / "corpus")
    assert "clip_id '-vid_7' is in more than one row" in message
    assert list((tmp_path / "corpus").iterdir()) == []
