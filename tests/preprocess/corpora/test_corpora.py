"""Published corpora and tables from elsewhere become a corpus folder; all that is missing is listed."""

import csv
import json
import os
import sys
from pathlib import Path

import pytest

from contract import SPLITS
from preprocess import corpus
from preprocess.corpora import __main__ as command
from preprocess.corpora import m3ed, meld, mosei, tables
from preprocess.corpus import CorpusError

# A folder with the published tables (mosei/, m3ed/, meld/), which are not for this repository to carry.
PUBLISHED = Path(os.environ.get("PUBLISHED_CORPORA", "nowhere"))
published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="PUBLISHED_CORPORA names no folder with the published tables")


def run(*arguments: object) -> None:
    """`python -m preprocess.corpora …` in this process; CorpusError instead of its exit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["corpora", *map(str, arguments)])
        command.main()


def refusal(*arguments: object) -> str:
    """What the command says as it ends with an error."""
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    assert isinstance(end.value.code, str)
    return end.value.code


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["clip_id"]: row for row in csv.DictReader(file)}


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def touch(*paths: Path) -> None:
    for path in paths:
        write(path, "a film that nobody opens here")


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


MELD = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"


def test_meld_makes_neutral_no_label_and_cleans_the_text(tmp_path: Path) -> None:
    text = MELD + (
        '1,It\x92s \x93fine\x94\x85,Joey,joy,positive,0,3,1,1,"00:00:01,000","00:00:02,500"\n'
        '2,so\xa0what?,Joey,neutral,neutral,0,4,1,1,"00:00:09,000","00:00:04,000"\n'
    )
    table = write(tmp_path / "dev.csv", text)
    touch(tmp_path / "films/train_splits/dia0_utt3.mp4", tmp_path / "films/dev_splits_complete/dia0_utt3.mp4")
    run("meld", "--valid", table, "--videos", tmp_path / "films", tmp_path / "corpus")
    written = rows(tmp_path / "corpus/clips.csv")
    first, second = written["valid_dia0_utt3"], written["valid_dia0_utt4"]
    assert (first["text"], second["text"]) == ('It\'s "fine"...', "so what?")
    assert [float(first[label]) for label in meld.LABELS] == [1, 0, 0, 0, 0, 0]
    assert [float(second[label]) for label in meld.LABELS] == [0] * 6
    assert (first["media"], first["start"]) == ("media/dev_splits_complete/dia0_utt3.mp4", "")
    assert "ends 5.000 s before it starts" in second["note"]


def test_meld_names_a_wrong_emotion_and_time_with_their_rows(tmp_path: Path) -> None:
    text = MELD + '1,a,J,glee,x,0,0,1,1,"00:00:01,000","00:00:02,500"\n2,b,J,joy,x,0,1,1,1,"1 s","00:00:02,500"\n'
    message = refusal("meld", "--train", write(tmp_path / "t.csv", text), tmp_path / "corpus")
    assert "t.csv, row 2, Emotion = 'glee': expected one of joy" in message
    assert "t.csv, row 3, StartTime = '1 s': expected HH:MM:SS,mmm" in message
    assert "give at least one" in refusal("meld", tmp_path / "corpus")


@published
def test_meld_has_the_published_rows(tmp_path: Path) -> None:
    names = {"train": "train", "valid": "dev", "test": "test"}
    options = [part for split, name in names.items() for part in (f"--{split}", PUBLISHED / f"meld/{name}_sent_emo.csv")]
    run("meld", *options, tmp_path)
    clips = corpus.read(tmp_path, list(meld.LABELS))
    assert {split: sum(clip.split == split for clip in clips) for split in names} == {
        "train": 9989,
        "valid": 1109,
        "test": 2610,
    }
    positives = {label: sum(clip.labels[label] > 0 for clip in clips if clip.split == "train") for label in meld.LABELS}
    assert positives == {"joy": 1743, "sadness": 683, "anger": 1109, "surprise": 1205, "disgust": 271, "fear": 268}
    assert not [clip for clip in clips if any("\x80" <= c < "\xa0" or c in "‘’“”…" for c in clip.text)]


def test_cleaning_leaves_what_other_languages_need() -> None:
    assert tables.clean("می\u200cخواهم  \x07 déjà\u200b “你好”……\ufeff") == "می\u200cخواهم déjà “你好”……"


def column(path: Path, encoding: str = "") -> list[str]:
    return [row["b"] for row in tables.read(path, ("a", "b"), encoding)]


@pytest.mark.parametrize(
    ("encoding", "end"), [("utf-8", "\n"), ("utf-8-sig", "\r\n"), ("utf-16", "\n"), ("utf-16", "\r\n"), ("utf-8", "\r")]
)
def test_a_table_is_read_whatever_marks_and_line_ends_it_has(tmp_path: Path, encoding: str, end: str) -> None:
    text = end.join(["a , b,more", "1,é好,x", '2," ""q"", z ",y', ""])
    assert column(write(tmp_path / "t.csv", text, encoding)) == ["é好", '"q", z']


def test_another_encoding_is_named_or_can_be(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "a,b\n1,é\n", "cp1252")
    with pytest.raises(CorpusError, match=r"t\.csv is no text in UTF-8.*--encoding cp1252"):
        column(path)
    assert column(path, "cp1252") == ["é"]
    with pytest.raises(CorpusError, match="no text in latin-9000"):
        column(path, "latin-9000")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,c\n1,2\n", "has no column b: it has a, c; expected a, b"),
        ("", "has no column a, b: it has none"),
        ("a;b\n1;2\n", r"separated by ';': save it with commas"),
        ("a,b\n1,2,3\n", r"row 2 has not as many cells"),
        ("a,b\n1\n", r"row 2 has not as many cells"),
    ],
)
def test_a_table_of_another_form_says_what_was_found_and_what_is_accepted(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        column(write(tmp_path / "t.csv", text))


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"t\.csv: No such file.*expected a CSV table with the columns a, b"):
        column(tmp_path / "t.csv")
    with pytest.raises(CorpusError, match="Is a directory"):
        column(tmp_path)


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
