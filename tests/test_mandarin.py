"""A corpus in Chinese, in M3ED's form, from episodes to the report with the multilingual networks."""

import json
import re
import shutil
from pathlib import Path

import pytest

from benchmarks import mandarin
from tests.conftest import checkout

QUICK = {"train.epochs": 2, "train.baseline": False, "evaluate.bins": 2, "report.clips": 9}


@pytest.mark.slow
def test_chinese_episodes_go_through_every_stage_to_the_report(tmp_path: Path) -> None:
    """Nine sentences, every second one without its text."""
    made = checkout(tmp_path / "checkout")
    said = mandarin.published(made.folder / "m3ed", 9)
    for preset in ("multilingual", "m3ed"):
        made.run("preset", f"presets/{preset}.yaml")
    made.set(**QUICK)
    made.program("python", *mandarin.conversion(Path("m3ed"), "data/corpora/m3ed"))
    mandarin.blank(made.folder / "data/corpora/m3ed/clips.csv")
    made.program("dvc", "repro")

    clips = list(mandarin.heard(made.folder / "data/transcripts", said))
    assert {clip.clip_id for clip in clips if not clip.transcribed} == set(sorted(said)[::2])
    assert all(clip.ordered and clip.text == clip.said for clip in clips if not clip.transcribed)
    kept = [clip for clip in clips if clip.transcribed]
    refused = (made.folder / "data/refused.csv").read_text(encoding="utf-8")
    assert all(clip_id in refused for clip_id in set(said) - {clip.clip_id for clip in clips})
    assert kept
    assert all(clip.ordered for clip in kept)
    assert sum(clip.errors for clip in kept) <= 0.25 * sum(len(clip.said) for clip in kept)
    report = (made.folder / "report/index.html").read_text(encoding="utf-8")
    seen = {*report, *re.findall(r"\\u[0-9a-f]{4}", report)}  # as written, or as the page's script reads it
    shown = [clip for clip in clips if clip.clip_id in report]
    assert shown
    assert all({character, json.dumps(character)[1:-1]} & seen for clip in shown for character in clip.text)
    shutil.rmtree(made.folder)
