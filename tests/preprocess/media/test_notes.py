"""Every note on a medium stands in one table, data/manifest/notes.csv, and is counted and said."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from preprocess.clips import read_media
from preprocess.media.probe import Reading
from preprocess.stages import audio, manifest
from preprocess.store.shards import Shards
from tests import clock
from tests.conftest import ROOT, set_params

TABLE = """clip_id,media,start,end,text,happy
early,plain.wav,-3,2,,
inverted,inverted.wav,,,,
joined,joined.ts,,,,
plain,plain.wav,1,2,,
short,plain.wav,2,60,,
text,,,,said,
"""
NOTES = [
    {"clip_id": "early", "code": "table", "detail": "start -3 s is before the medium: taken as 0"},
    {"clip_id": "inverted", "code": "sound_channel", "detail": "inverted.wav: of its 2 channels, number 1 is heard"},
    {"clip_id": "joined", "code": "clock_jump", "detail": "joined.ts: by -3 s at 2.941 s; in all 6.0 s are read"},
    {"clip_id": "short", "code": "cut_short", "detail": "plain.wav: the clip's end is 60 s, the file's 4 s"},
]


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a corpus of one ordinary file and some about which there is something to note."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    set_params(tmp_path / "params.yaml", **{"corpus.root": ".", "corpus.labels": ["happy"], "run.workers": 1})
    wave = clock.wave(4.0, 16000)
    soundfile.write(tmp_path / "plain.wav", wave, 16000)
    soundfile.write(tmp_path / "inverted.wav", np.stack([wave, -wave], axis=1), 16000)
    one = clock.write_film(tmp_path / "one.ts", 3.0, ["-c:v", "libx264", "-c:a", "aac"])
    (tmp_path / "joined.ts").write_bytes(one.read_bytes() * 2)
    (tmp_path / "clips.csv").write_text(TABLE, encoding="utf-8")
    return tmp_path


def test_notes_are_in_one_table_counted_and_said(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest.main()
    with (corpus / "data/manifest/notes.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == NOTES
    counts = json.loads((corpus / "data/manifest/summary.json").read_text(encoding="utf-8"))["notes"]
    assert counts == {"clock_jump": 1, "cut_short": 1, "sound_channel": 1, "table": 1}
    printed = capsys.readouterr().out
    assert "4 notes on clips from which nothing is missing, in data/manifest/notes.csv:\n  1 x clock_jump, " in printed


def test_how_a_medium_is_read_goes_from_the_manifest_to_the_decoders(corpus: Path) -> None:
    manifest.main()
    readings = {item.clip_id: Reading(**item.reading) for item in read_media()}
    assert readings["inverted"] == Reading(channel=0)
    assert readings["joined"] == Reading(joined=True)
    assert readings["plain"] == Reading()
    audio.main()
    shards = Shards(corpus / "data/audio")
    lengths = {}
    for clip_id in readings:
        (corpus / "a.flac").write_bytes(shards.read(clip_id, "flac"))
        samples = soundfile.read(corpus / "a.flac", dtype="float32")[0]
        assert clock.moment(samples, 0.5) == pytest.approx(0.5 + {"plain": 1, "short": 2}.get(clip_id, 0), abs=0.05)
        lengths[clip_id] = len(samples) / 16000
    assert lengths == pytest.approx({"early": 2.0, "inverted": 4.0, "joined": 6.0, "plain": 1.0, "short": 2.0}, abs=0.1)


def test_a_medium_that_was_read_before_keeps_its_notes(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(manifest, "SETTLED", -1.0)
    manifest.main()
    first = {path.name: path.read_bytes() for path in (corpus / "data/manifest").iterdir()}
    manifest.main()
    assert "0 media read, 3 known" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in (corpus / "data/manifest").iterdir()} == first
