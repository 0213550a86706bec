"""A folder of films becomes a first clips.csv, and long films become utterances."""

import csv
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from preprocess import corpus
from preprocess.corpora import __main__ as command
from preprocess.media import decoder
from tests.preprocess import voice

LABELS = "happy,sad"
# Seconds of speech in a film of 40 s; the last stretch is too short to stand alone.
SPOKEN = [(2.0, 5.0), (7.0, 9.5), (12.0, 31.0), (35.0, 35.6)]


def run(*arguments: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["corpora", "folder", *map(str, arguments)])
        command.main()


def refusal(*arguments: object) -> str:
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    return str(end.value.code)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "clips.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([decoder.ffmpeg_path("bundled"), "-nostdin", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def talk() -> np.ndarray:
    """A film's sound: one sentence again and again at SPOKEN, without a pause in it."""
    sentence = voice.say("We were walking home when it started to rain and I have had enough of this.")
    loud = np.flatnonzero(np.abs(sentence) > 0.02)
    sentence = sentence[loud[0] : loud[-1]]
    wave = voice.noise(40, 0.002, 1)
    for start, end in SPOKEN:
        begin, count = int(start * voice.RATE), int((end - start) * voice.RATE)
        wave[begin : begin + count] += np.resize(sentence, count)
    return np.clip(wave, -1, 1)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short film, a sound with a Chinese name, a broken film, and a long one with speech at SPOKEN."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "day 1").mkdir()
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:d=1:r=5", folder / "day 1/a.mkv")
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=1:r=8000", folder / "你好.wav")
    (folder / "broken.mp4").write_bytes(b"no film")
    soundfile.write(folder / "long.flac", talk(), voice.RATE)
    return folder


def test_a_folder_of_films_becomes_a_table_that_the_pipeline_reads(films: Path, tmp_path: Path) -> None:
    run("--media", films, "--labels", LABELS, tmp_path)
    clips = {clip.media: clip for clip in corpus.read(tmp_path, LABELS.split(","))}
    assert set(clips) == {"media/day 1/a.mkv", "media/你好.wav", "media/long.flac"}
    assert clips["media/day 1/a.mkv"].clip_id == "day_1_a"
    assert not any(clip.labels or clip.split for clip in clips.values())
    missing = (tmp_path / "missing.csv").read_text(encoding="utf-8")
    assert "broken,film,it cannot be read: broken.mp4: Invalid data" in missing


def test_a_table_brings_texts_splits_and_labels_to_its_files(films: Path, tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    table.write_text(
        "File;\n".replace(";", ",text,split,happy,sad,place")
        + "day 1\\a.mkv,it’s me,dev,1,0,home\ngone.mp4,,,,,\nlong.flac,,,,,\n",
        encoding="utf-8-sig",
    )
    message = refusal("--media", films, "--labels", LABELS, "--table", table, tmp_path / "corpus")
    assert "has no column media, file, filename, path, video: it has File, text" in message
    run("--media", films, "--labels", LABELS, "--table", table, "--column", "File", tmp_path / "corpus")
    first, second = rows(tmp_path / "corpus")
    assert (first["text"], first["split"], first["happy"], first["place"]) == ("it’s me", "valid", "1.0", "home")
    assert (second["clip_id"], second["happy"]) == ("long", "")
    missing = (tmp_path / "corpus/missing.csv").read_text(encoding="utf-8")
    assert "gone.mp4,film," in missing
    assert "你好.wav,row," in missing


def test_wrong_cells_of_a_table_are_named_all_at_once(films: Path, tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    table.write_text("file,split,happy,sad\na.mkv,tset,1,0\nlong.flac,test,much,0\n你好.wav,test,1,\n", encoding="utf-8")
    message = refusal("--media", films, "--labels", LABELS, "--table", table, tmp_path / "corpus")
    assert "row 2, split = 'tset': expected train, valid, test, or blank" in message
    assert "row 3, happy = 'much': expected a number" in message
    assert "row 4, sad = '': expected a number, as other labels have one" in message


def test_a_table_that_fits_no_file_says_what_is_there(films: Path, tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    table.write_text("file\nx.mp4\n", encoding="utf-8")
    message = refusal("--media", films, "--labels", LABELS, "--table", table, tmp_path / "corpus")
    assert "none of the 4 media" in message
    assert "x.mp4" in message
    assert "broken.mp4" in message


@pytest.fixture(scope="module")
def days(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days' recordings, each with a sound of the same name."""
    folder = tmp_path_factory.mktemp("days")
    for name in ("day1/talk.wav", "day2/talk.wav", "day1/fröhlich.wav"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(films / "你好.wav", folder / name)
    return folder


def tabled(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    (folder / "films.csv").write_bytes(text.encode(encoding))
    return folder / "films.csv"


@pytest.mark.parametrize("names", [("talk.wav", "talk.wav"), ("talk", "day2/talk.wav")])
def test_a_name_of_two_films_is_refused_before_one_is_in_two_splits(days: Path, tmp_path: Path, names: tuple[str, str]) -> None:
    table = tabled(tmp_path, f"file,text,split,happy,sad\n{names[0]},day one,train,1,0\n{names[1]},day two,test,0,1\n")
    message = refusal("--media", days, "--labels", LABELS, "--table", table, tmp_path / "corpus")
    assert f"films.csv, row 2, file = {names[0]!r}: expected a path that says which file is meant" in message
    assert "./day1/talk.wav, ./day2/talk.wav" in message
    assert not (tmp_path / "corpus").exists()


def test_paths_bring_each_text_to_its_film(days: Path, tmp_path: Path) -> None:
    written = unicodedata.normalize("NFD", "day1/fröhlich.wav")
    table = tabled(tmp_path, f"file,text\nday2/talk.wav,two\nday1/talk.wav,one\n{written},three\n")
    run("--media", days, "--labels", LABELS, "--table", table, tmp_path / "corpus")
    clips = {clip.media: clip.text for clip in corpus.read(tmp_path / "corpus", LABELS.split(","))}
    assert clips == {"media/day1/talk.wav": "one", "media/day2/talk.wav": "two", "media/day1/fröhlich.wav": "three"}


def test_a_corpus_below_its_films_is_no_second_copy_of_them(days: Path, tmp_path: Path) -> None:
    shutil.copytree(days, tmp_path / "films")
    table = tabled(tmp_path, "file\nday1/talk.wav\nday2/talk.wav\nfröhlich\n")
    for options in ([], [], ["--table", table, "--replace"]):
        run("--media", tmp_path / "films", "--labels", LABELS, *options, tmp_path / "films/corpus")
        assert len(rows(tmp_path / "films/corpus")) == 3


def test_a_film_in_two_splits_is_reported(days: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tabled(tmp_path, "file,split,end\nday1/talk.wav,train,0.5\nday1/talk.wav,test,\nday2/talk.wav,test,\n")
    run("--media", days, "--labels", LABELS, "--table", table, tmp_path / "corpus")
    assert "in two splits: media/day1/talk.wav (test, train)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("file,Split,happy,sad", "there is no column 'split', but 'Split'"),
        ("file,Text,happy,sad", "there is no column 'text', but 'Text'"),
        ("file,transcript,happy,sad", "there is no column 'text', but 'transcript'"),
        ("file,text,HAPPY,sad", "there is no column 'happy', but 'HAPPY'"),
        ("file,text,happy,place", "has no column sad: it needs one for each of happy, sad, or none"),
        ("file,text,Text ,place", "columns 'text' and 'Text' are nearly the same"),
        ("file,text,text,place", "column 'text' is there 2 times"),
        ("Media,text,happy,sad", "name the one with the files: --column Media"),
        ("file;text;happy;sad", "its cells are separated by semicolons"),
        ("file\ttext\thappy\tsad", "its cells are separated by tabs"),
    ],
)
def test_a_table_with_a_column_that_is_nearly_right_is_refused(days: Path, tmp_path: Path, header: str, message: str) -> None:
    separator = ";" if ";" in header else "\t" if "\t" in header else ","
    table = tabled(tmp_path, f"{header}\n{separator.join(['day1/talk.wav', 'hi', '1', '0'])}\n")
    assert message in refusal("--media", days, "--labels", LABELS, "--table", table, tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("labels", ["happy,,sad", "happy,text", "happy,happy", "a/b"])
def test_labels_that_params_could_not_have_are_refused(days: Path, tmp_path: Path, labels: str) -> None:
    assert f"--labels {labels!r}: each label is" in refusal("--media", days, "--labels", labels, tmp_path / "corpus")


def test_a_table_that_would_be_no_corpus_is_named_as_the_one_to_be_written(days: Path, tmp_path: Path) -> None:
    table = tabled(tmp_path, "clip_id,file\nx,day1/talk.wav\nx,day2/talk.wav\n")
    message = refusal("--media", days, "--labels", LABELS, "--table", table, tmp_path / "corpus")
    assert "clips.csv, which was not written, has 1 problem(s)" in message


def test_outside_of_the_repository_the_missing_parameters_are_named(
    days: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "params.yaml is not here" in refusal("--media", days, tmp_path / "corpus")


def test_what_a_table_says_beside_is_kept(days: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tabled(tmp_path, "id,file,joy,note\n7,day1/talk.wav,1,too loud\n,,,\n", "utf-16")
    run("--media", days, "--labels", LABELS, "--table", table, tmp_path / "corpus")
    (row,) = rows(tmp_path / "corpus")
    assert (row["id"], row["joy"], row["note"], row["happy"]) == ("7", "1", "too loud", "")
    assert "copied, and not read: id, joy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ('file,text\nday1/talk.wav,"hi\nday2/talk.wav,so\n', "utf-8", "row 2: unexpected end of data: a quotation mark"),
        ("file,text\nday1/talk.wav,#NAME?\n", "utf-8", "row 2, text = '#NAME?': expected what was there before"),
        ('file,start\nday1/talk.wav,"0,5"\n', "utf-8", "row 2, start = '0,5': expected a number with a decimal point"),
        ("file,start\nday1/talk.wav,inf\n", "utf-8", "row 2, start = 'inf': expected a number with a decimal point"),
        ("sep=;\nfile;text\nday1/talk.wav;hi\n", "utf-8", "its first line, 'sep=;', is for a spreadsheet program"),
        ("PK\x03\x04\x81\xff", "latin-1", "it is a workbook of a spreadsheet program: save it as CSV UTF-8"),
    ],
)
def test_what_a_spreadsheet_left_in_a_table_is_named(
    days: Path, tmp_path: Path, text: str, encoding: str, message: str
) -> None:
    table = tabled(tmp_path, text, encoding)
    assert message in refusal("--media", days, "--labels", LABELS, "--table", table, tmp_path / "corpus")


def test_a_long_film_is_cut_at_its_pauses(films: Path, tmp_path: Path) -> None:
    run("--media", films, "--labels", LABELS, "--segment", tmp_path)
    written = {row["clip_id"]: row for row in rows(tmp_path)}
    assert written["day_1_a"]["start"] == ""  # a short one stays whole
    spans = [(float(row["start"]), float(row["end"])) for name, row in sorted(written.items()) if name.startswith("long_")]
    assert len(spans) == 5
    assert written["long_001"]["speaker"] == "long"
    assert spans[:2] == [pytest.approx(span, abs=0.3) for span in SPOKEN[:2]]
    assert (spans[2][0], spans[3][1]) == pytest.approx(SPOKEN[2], abs=0.3)
    assert spans[2][1] == spans[3][0]
    assert spans[4][0] < SPOKEN[3][0] < SPOKEN[3][1] < spans[4][1]
