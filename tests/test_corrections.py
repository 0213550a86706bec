"""After corrections `dvc repro` does the corrected clips again, and no others."""

import csv
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import soundfile

from preprocess.media import decoder
from tests.conftest import Workspace, checkout
from tests.preprocess import voice

SAID = {
    "relabelled": "I am so glad that you are here.",
    "rewritten": "She passed away on a cold morning.",
    "retimed": "How dare they do this to my house.",
    "moved": "It takes an hour to put this away.",
    "untouched": "My uncle has bought another old car.",
}
HEAD = ["clip_id", "media", "start", "end", "text", "split", "speaker", "happy", "sad"]
CORRECTIONS = [
    ("relabelled", "happy", "1", "0"),
    ("relabelled", "sad", "0", "2"),
    ("rewritten", "text", SAID["rewritten"], "She went away on a cold morning."),
    ("retimed", "start", "", "0.1"),
    ("retimed", "end", "", "2.0"),
    ("moved", "split", "train", "valid"),
]
# How many clips each stage computes then; of the rest DVC or the store has all. A label and a split change no clip.
COMPUTED = {
    "frames": 1, "audio": 1, "faces": 1, "transcripts": 2, "encode_text": 2, "encode_audio": 1,
}  # fmt: skip


@pytest.fixture
def films(models: Path, tmp_path: Path) -> Workspace:
    """A checkout with a corpus of five films in which somebody speaks and nobody is seen, taken to tensors."""
    folder = tmp_path / "films"
    folder.mkdir()
    rows = [HEAD]
    for clip_id, text in SAID.items():
        soundfile.write(folder / "said.wav", voice.say(text), voice.RATE)
        picture = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=10"]
        command = [decoder.ffmpeg_path("bundled"), "-loglevel", "error", *picture, "-i", "said.wav", "-shortest"]
        subprocess.run([*command, f"{clip_id}.mp4"], cwd=folder, check=True)
        rows.append([clip_id, f"{clip_id}.mp4", "", "", text, "train", "Ann", "1", "0"])
    (folder / "said.wav").unlink()
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    made = checkout(tmp_path, **{"corpus.root": "films", "corpus.labels": ["happy", "sad"], "corpus.max_refused": 1.0})
    downloads = Path(".store/downloads")
    shutil.copytree(models.parents[1] / downloads, made.folder / downloads, copy_function=os.link)
    made.program("dvc", "repro", "align")
    return made


@pytest.mark.slow
def test_a_run_after_corrections_does_the_corrected_clips_alone(films: Workspace) -> None:
    before = films.bytes_of("transcripts", "encode_audio")
    with (films.folder / "corrections.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("clip_id", "column", "old", "new"), *CORRECTIONS])
    assert "6 cells of 4 clips changed" in films.run("preprocess.corpora", "correct", "corrections.csv")
    printed = films.program("dvc", "repro", "align")
    counts = {name: (int(n), int(k)) for name, n, k in re.findall(r"^(\w+): (\d+) clips, (\d+) computed", printed, re.M)}
    assert {name: counts[name] for name in COMPUTED} == {name: (len(SAID), count) for name, count in COMPUTED.items()}
    after = films.bytes_of("transcripts", "encode_audio")
    assert before != after
    tables = {split: (films.folder / f"data/tensors/{split}.csv").read_text(encoding="utf-8") for split in ("train", "valid")}
    assert "moved" in tables["valid"]
    assert "moved" not in tables["train"]
    assert films.program("dvc", "status", "align") == "Data and pipelines are up to date.\n"
