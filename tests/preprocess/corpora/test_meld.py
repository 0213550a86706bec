"""MELD becomes a corpus folder; each film is of the split whose folder it lies in."""

import wave
from pathlib import Path

import pytest

from preprocess import corpus
from preprocess.corpora import meld
from tests.preprocess.corpora.commands import PUBLISHED, published, refusal, rows, run, touch, write

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


def meld_table(path: Path, *utterances: int, seconds: int = 2) -> Path:
    rows = [f'{i},word {i},Joey,joy,x,0,{i},1,1,"00:00:01,000","00:00:{1 + seconds:02},000"\n' for i in utterances]
    return write(path, MELD + "".join(rows))


def sound(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(int(seconds * 8000) * 2))


@pytest.mark.parametrize("folder", ["latest", "test", "trained/dev_test", "valid"])
def test_meld_reads_the_split_of_a_film_below_the_folder_that_was_named(tmp_path: Path, folder: str) -> None:
    films = tmp_path / folder
    for name in ("train_splits/latest", "dev_splits_complete", "output_repeated_splits_test"):
        touch(films / name / "dia0_utt3.mp4")
    tables_of = {"--train": "train.csv", "--valid": "dev.csv", "--test": "test.csv"}
    options = [part for option, name in tables_of.items() for part in (option, meld_table(tmp_path / name, 3, len(name)))]
    run("meld", *options, "--videos", films, tmp_path / "corpus")
    media = {row["split"]: row["media"] for row in rows(tmp_path / "corpus/clips.csv").values() if row["media"]}
    assert media == {
        "train": "media/train_splits/latest/dia0_utt3.mp4",
        "valid": "media/dev_splits_complete/dia0_utt3.mp4",
        "test": "media/output_repeated_splits_test/dia0_utt3.mp4",
    }


def test_meld_films_of_one_table_may_lie_in_no_split_folder(tmp_path: Path) -> None:
    touch(tmp_path / "latest/dia0_utt3.mp4")
    table, other = meld_table(tmp_path / "dev.csv", 3), meld_table(tmp_path / "train.csv", 3, 4)
    run("meld", "--valid", table, "--videos", tmp_path / "latest", tmp_path / "one")
    assert rows(tmp_path / "one/clips.csv")["valid_dia0_utt3"]["media"] == "media/dia0_utt3.mp4"
    message = refusal("meld", "--valid", table, "--train", other, "--videos", tmp_path / "latest", tmp_path / "two")
    assert "none of the 1 media" in message


def test_meld_notes_a_film_that_is_much_longer_than_its_utterance(tmp_path: Path) -> None:
    for number, length in ((1, 2.1), (2, 9.0), (3, 0.2), (4, 2.9)):
        sound(tmp_path / f"films/train/dia0_utt{number}.wav", length)
    touch(tmp_path / "films/train/dia0_utt5.wav")  # broken: refused later, by the manifest
    run("meld", "--train", meld_table(tmp_path / "t.csv", 1, 2, 3, 4, 5), "--videos", tmp_path / "films", tmp_path / "corpus")
    notes = {name[-1]: row["note"] for name, row in rows(tmp_path / "corpus/clips.csv").items()}
    assert notes == {
        "1": "",
        "2": "film much longer than its utterance: 9.0 s instead of 2.0 s",
        "3": "film much shorter than its utterance: 0.2 s instead of 2.0 s",
        "4": "",
        "5": "",
    }


def test_two_films_of_one_utterance_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "films/train/a/dia0_utt3.mp4", tmp_path / "films/train/b/dia0_utt3.mp4")
    table = meld_table(tmp_path / "t.csv", 3)
    message = refusal("meld", "--train", table, "--videos", tmp_path / "films", tmp_path / "corpus")
    assert "'train_dia0_utt3' is the name of 2 files" in message
    assert "./train/a/dia0_utt3.mp4, ./train/b/dia0_utt3.mp4" in message


def test_meld_refuses_one_table_as_two_splits(tmp_path: Path) -> None:
    table = meld_table(tmp_path / "t.csv", 3)
    message = refusal("meld", "--train", table, "--test", write(tmp_path / "u.csv", table.read_text()), tmp_path / "corpus")
    assert "are the same table: each split has its own" in message


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
