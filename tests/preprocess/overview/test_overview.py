"""What `status` and `plan` say of real clips, before, while and after shares of them are computed."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import params
from preprocess.media import decoder
from preprocess.overview import changes, foreseen
from preprocess.overview.foreseen import BY_CLIP
from preprocess.overview.words import duration
from preprocess.stages import manifest
from preprocess.store.entries import Store
from preprocess.store.shards import REFUSED
from tests.conftest import ROOT, Workspace

PICTURE = "testsrc=s=96x64:r=10:d=2"
SOUND = "sine=frequency=300:duration=2"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Four films, of which one has no picture and one is broken, in the manifest of a workspace."""
    made = Workspace(tmp_path_factory.mktemp("overview"))
    (made.folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    made.set(**{"corpus.root": "films", "corpus.labels": ["happy"], "corpus.max_refused": 1.0})
    films = made.folder / "films"
    films.mkdir()
    sources = {"a": [PICTURE, SOUND], "b": [PICTURE.replace("10", "12"), SOUND], "c": [SOUND]}
    for name, inputs in sources.items():
        given_inputs = [word for text in inputs for word in ("-f", "lavfi", "-i", text)]
        ffmpeg = [decoder.ffmpeg_path("bundled"), "-loglevel", "error", *given_inputs]
        subprocess.run([*ffmpeg, "-c:v", "ffv1", films / f"{name}.mkv"], check=True)
    (films / "d.mkv").write_bytes(b"no film")
    rows = "".join(f"{name},{name}.mkv,hello {name},train,1\n" for name in "abcd")
    (films / "clips.csv").write_text(f"clip_id,media,text,split,happy\n{rows}", encoding="utf-8")
    time.sleep(manifest.SETTLED)  # what was read of younger files is not kept
    return made


def line(printed: str, stage: str) -> str:
    return next(text for text in printed.splitlines() if text.startswith(f"{stage} "))


def test_shares_are_foreseen_seen_and_found(workspace: Workspace) -> None:
    printed = workspace.run("preprocess", "plan")
    assert "4 to read" in line(printed, "manifest")
    assert "to compute at most; how long is unknown" in line(printed, "frames")
    assert "manifest has not run yet" in workspace.run("preprocess", "status")
    workspace.run("preprocess", "manifest")
    assert re.search(r"0 there +2 to compute; how long", line(workspace.run("preprocess", "plan"), "frames"))
    for number in (2, 1):
        printed = workspace.run("preprocess", "frames", "--share", f"{number}/2")
        assert re.search(rf"frames, share {number}/2: \d clips, \d computed, 0 there, 0 refused", printed)
    assert not (workspace.folder / "data/frames").exists()
    printed = workspace.run("preprocess", "status")
    assert re.search(r"2 clips +2 done +0 refused +0 left", line(printed, "frames"))
    assert re.search(r": 2 clips computed in .* of work", printed)
    assert re.search(r"2 clips +0 done +0 refused +2 left at most", line(printed, "faces"))
    assert "2 clips, 0 computed, 2 reused" in workspace.stages("frames")
    shared = workspace.bytes_of("frames")
    workspace.set(**{"run.store": ".other"})
    assert "2 clips, 2 computed" in workspace.stages("frames")
    assert workspace.bytes_of("frames") == shared
    workspace.set(**{"run.store": ".store"})


def test_a_changed_parameter_is_planned_with_its_cost(workspace: Workspace) -> None:
    workspace.stages("manifest", "frames")
    with_rate = {"frames": {"rate": 3, "max_side": 640}}
    lock = {"schema": "2.0", "stages": {"frames": {"params": {"params.yaml": with_rate}}}}
    (workspace.folder / "dvc.lock").write_text(json.dumps(lock))
    (workspace.folder / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    workspace.set(**{"frames.rate": 4})
    printed = workspace.run("preprocess", "plan")
    (workspace.folder / "dvc.yaml").unlink()
    assert re.search(r"0 there +2 to compute; about [\d.]+ s, [\d.]+ MB", line(printed, "frames"))
    assert "frames.rate 3 -> 4" in line(printed, "changed for frames:")
    assert re.search(r"DVC runs for these parameters: frames, faces, encode_vision, align, train", printed)


@pytest.mark.slow
def test_a_timed_sample_gives_every_stage_a_cost_and_keeps_its_clips(
    workspace: Workspace, make_workspace: Callable[..., Workspace]
) -> None:
    """No stage has run yet but `models` and `manifest`."""
    films = str(workspace.folder / "films")
    made = make_workspace(**{"corpus.root": films, "corpus.labels": ["happy"], "corpus.max_refused": 1.0})
    assert "dvc repro manifest, or time none" in made.run("preprocess", "plan", "--sample", "2", fails=True)
    made.run("preprocess", "manifest")
    printed = made.run("preprocess", "plan", "--sample", "3")
    assert "{" not in printed
    assert [stage for stage in BY_CLIP if "unknown" in line(printed, stage)] in ([], ["encode_vision"])  # nobody has a face
    assert re.search(r"in all (at least )?about [\d.]+ s, [\d.]+ MB in the store, where .* are free", printed)
    there = {stage: int(line(printed, stage).split()[1]) for stage in BY_CLIP}
    assert there["transcripts"] == there["align"] == 3
    assert there["frames"] > 0
    assert sorted(path.name for path in (made.folder / "data").iterdir()) == ["manifest", "models"]
    printed = made.stages("frames", "audio")
    assert f"{there['frames']} reused" in line(printed, "frames:")
    assert f"{there['audio']} reused" in line(printed, "audio:")


@pytest.mark.parametrize(
    ("share", "problem"), [("17/16", "'17/16' is no share"), ("0/4", "'0/4' is no share"), ("2", "'2' is no")]
)
def test_a_wrong_share_is_said_and_nothing_done(workspace: Workspace, share: str, problem: str) -> None:
    printed = workspace.run("preprocess", "frames", "--share", share, fails=True)
    assert problem in printed
    assert "Traceback" not in printed


def test_a_store_that_cannot_be_written_stops_with_a_sentence(workspace: Workspace) -> None:
    workspace.stages("manifest")
    (workspace.folder / "taken").write_text("a file")
    workspace.set(**{"run.store": "taken"})
    printed = workspace.run("preprocess", "frames", "--share", "1/2", fails=True)
    workspace.set(**{"run.store": ".store"})
    assert "taken/frames cannot be written on" in printed
    assert "Traceback" not in printed


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(st.sampled_from(["txt", "json", "refused.jsonl"]), st.binary(max_size=300), min_size=1))
def test_the_end_of_an_entry_says_what_it_is(files: dict[str, bytes]) -> None:
    with TemporaryDirectory() as temporary:
        store = Store(Path(temporary))
        for key, members in {"aa": files, "bb": {REFUSED: b"{}"}}.items():
            folder = Path(temporary) / f"{key}-files"
            folder.mkdir()
            for name, content in members.items():
                (folder / name).write_bytes(content)
            store.add(key, folder)
        digest, is_refusal = foreseen.glance(store.path("aa"))
        assert (len(digest), is_refusal) == (64, False)
        assert foreseen.glance(store.path("bb"))[1]
        assert foreseen.glance(store.path("cc")) == ("", False)


def test_stages_after_a_stage_are_those_of_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert changes.after({"report"}, params.load()) == ["report"]
    assert changes.after({"align"}, params.load()) == ["align", "train", "evaluate", "predictor", "report"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(3, "3.0 s"), (75, "75 s"), (600, "10 min"), (7200, "2.0 h"), (300_000, "3.5 days")]
)
def test_times_are_read_at_a_glance(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_params_are_read_as_dvc_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC writes YAML 1.2, where 5e-05 is a number."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    rate = params.load().tune.text.lr
    assert "e" in str(rate)
    (tmp_path / "dvc.lock").write_text(
        f"stages:\n  tune_text:\n    params:\n      params.yaml:\n        tune.text.lr: {rate}\n"
    )
    assert changes.changed(params.load()) == {}
