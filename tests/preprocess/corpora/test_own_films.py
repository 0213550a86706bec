"""Own films become a first clips.csv, and long ones utterances."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess import corpus
from preprocess.corpora import __main__ as command
from preprocess.media import decoder
from preprocess.speech import pauses as speech

LABELS = "happy,sad"
# Seconds of speech in a film of 40 s: pink noise louder than its background, the last too short to stand alone.
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


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short film, a sound with a Chinese name, a broken film, and a long one with speech-like noise at SPOKEN."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "day 1").mkdir()
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=64x64:d=1:r=5", folder / "day 1/a.mkv")
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=1:r=8000", folder / "你好.wav")
    (folder / "broken.mp4").write_bytes(b"no film")
    loud = "+".join(f"between(t,{start},{end})" for start, end in SPOKEN)
    noise = ["-f", "lavfi", "-i", "anoisesrc=d=40:r=8000:c=pink:a=0.4:seed=1"]
    ffmpeg(*noise, "-af", f"volume='0.01+{loud}':eval=frame", folder / "long.flac")
    return folder


def test_a_folder_of_films_becomes_a_table_that_the_pipeline_reads(films: Path, tmp_path: Path) -> None:
    run("--media", films, "--labels", LABELS, tmp_path)
    clips = {clip.media: clip for clip in corpus.read(tmp_path, LABELS.split(","))}
    assert set(clips) == {"media/day 1/a.mkv", "media/你好.wav", "media/long.flac"}
    assert clips["media/day 1/a.mkv"].clip_id == "day_1_a"
    assert not any(clip.labels or clip.split for clip in clips.values())
    missing = (tmp_path / "missing.csv").read_text(encoding="utf-8")
    assert 'broken,film,"it cannot be read: broken.mp4: FFmpeg finds no kind of recording' in missing


def test_a_table_brings_texts_splits_and_labels_to_its_files(films: Path, tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    table.write_text(
        "File;\n".replace(";", ",text,split,happy,sad,place")
        + "day 1\\a.mkv,it’s me,dev,1,0,home\ngone.mp4,,,,,\nlong.flac,,,,,\n",
        encoding="utf-8-sig",
    )
    told = refusal("--media", films, "--labels", LABELS, "--table", table, tmp_path / "corpus")
    assert "has no column media, file, filename, path, video: it has File, text" in told
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
    told = refusal("--media", films, "--labels", LABELS, "--table", table, tmp_path / "corpus")
    assert "row 2, split = 'tset': expected train, valid, test, or blank" in told
    assert "row 3, happy = 'much': expected a number" in told
    assert "row 4, sad = '': expected a number, as other labels have one" in told


def test_a_table_that_fits_no_file_says_what_is_there(films: Path, tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    table.write_text("file\nx.mp4\n", encoding="utf-8")
    told = refusal("--media", films, "--labels", LABELS, "--table", table, tmp_path / "corpus")
    assert "none of the 4 media" in told
    assert "x.mp4" in told
    assert "broken.mp4" in told


def test_a_long_film_is_cut_at_its_pauses(films: Path, tmp_path: Path) -> None:
    run("--media", films, "--labels", LABELS, "--segment", tmp_path)
    found = {row["clip_id"]: row for row in rows(tmp_path)}
    assert found["day_1_a"]["start"] == ""  # a short one stays whole
    spans = [(float(row["start"]), float(row["end"])) for name, row in sorted(found.items()) if name.startswith("long_")]
    assert len(spans) == 5
    assert found["long_001"]["speaker"] == "long"
    assert spans[:2] == [pytest.approx(span, abs=0.3) for span in SPOKEN[:2]]
    assert (spans[2][0], spans[3][1]) == pytest.approx(SPOKEN[2], abs=0.3)
    assert spans[2][1] == spans[3][0]
    assert spans[4][0] < SPOKEN[3][0] < SPOKEN[3][1] < spans[4][1]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2500), st.booleans()), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_utterances_last_1_to_15_seconds_and_lose_no_speech(parts: list[tuple[int, bool]], seed: int) -> None:
    loud = np.concatenate([np.full(length, -20.0 if spoken else -70.0) for length, spoken in parts])
    loud += np.random.default_rng(seed).normal(0, 1, len(loud))
    found = speech.utterances(loud)
    edges = np.array([time for span in found for time in span])
    assert (np.diff(edges) >= 0).all()
    assert not len(edges) or (edges[0] >= 0 and edges[-1] <= len(loud) * speech.HOP + 1e-6)
    for start, end in found:
        assert min(speech.SHORTEST, len(loud) * speech.HOP) - 1e-6 <= end - start <= speech.LONGEST + 1e-6
    if loud.min() < -60 and np.mean(loud > -50) > 0.06:
        times = np.flatnonzero(loud > -50) * speech.HOP
        within = np.zeros(len(times), bool)
        for start, end in found:
            within |= (times >= start - 1e-6) & (times < end + 1e-6)
        assert within.all()


def test_a_silent_film_has_no_utterance() -> None:
    assert speech.utterances(np.full(3000, -90.0)) == []
    assert speech.utterances(np.zeros(0)) == []
