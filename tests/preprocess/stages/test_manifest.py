"""The checked clip list, run as a stage on small sounds."""

import json
import shutil
import wave
from pathlib import Path

import numpy as np

from tests.conftest import ROOT, Workspace


def sound(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.random.default_rng(seed).integers(-9999, 9999, 8000, np.int16).tobytes())


def test_a_film_under_two_names_in_two_splits_is_reported_as_leakage(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    workspace.set(**{"corpus.root": "corpus", "corpus.labels": ["happy"]})
    corpus = workspace.folder / "corpus"
    sound(corpus / "a.wav", 1)
    sound(corpus / "b.wav", 2)
    shutil.copy(corpus / "a.wav", corpus / "c.wav")
    rows = ["clip_id,media,split,happy", "a,a.wav,train,1", "b,b.wav,train,1", "c,c.wav,test,0"]
    (corpus / "clips.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    printed = workspace.stages("manifest")
    assert "leakage: media a.wav = c.wav is in the splits test, train" in printed
    summary = json.loads((workspace.folder / "data/manifest/summary.json").read_text(encoding="utf-8"))
    assert (summary["media_in_two_splits"], summary["splits"]["train"]) == (1, 2)
