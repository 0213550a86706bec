"""What is done again, and what is not, whatever came before; with a stage whose work is next to nothing."""

import errno
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

import params
from preprocess.clips import Task
from preprocess.refusals import Code, Refusal
from preprocess.run import sources, stage
from preprocess.run.stage import Job, Stage
from preprocess.stages import manifest
from preprocess.store import entries as store
from preprocess.store import inventory, shards

MODULE = "tests.preprocess.run.test_stage"
RUN = params.load(sources.ROOT / params.PATH).run.model_copy(update={"workers": 2, "device": "cpu", "store": ".store"})
CLIPS = {f"clip{i}": f"says {i}" for i in range(40)}


def work(task: Task, folder: Path, log: Path) -> None:
    """A clip's text in a file; each time that it is done leaves a line."""
    with log.open("a") as file:
        file.write(f"{task.clip_id}\n")
    if "full" in task.content["text"]:
        raise OSError(errno.ENOSPC, "the disk is full")
    if "nothing" in task.content["text"]:
        raise Refusal(Code.NO_SPEECH, "nothing is said")
    if "others" in task.content["text"] and Path("harmful").exists():
        harm_the_first_clip(damage="damaged" in task.content["text"])
    (folder / "txt").write_text(task.content["text"] * 100, encoding="utf-8")


def harm_the_first_clip(damage: bool) -> None:
    """Remove or damage the entry of clip0, where there is one."""
    for path in inventory.entries(Path(".store/stage")):
        with zipfile.ZipFile(path) as archive:
            is_first = archive.read("txt").startswith(b"says 0")
        if is_first:
            path.write_bytes(path.read_bytes()[:300]) if damage else path.unlink()


def fill(folder: Path, clips: dict[str, str], workers: int = 2, **parameters: object) -> set[str]:
    """Fill the output of a stage in a folder; the clips that were computed."""
    folder.mkdir(exist_ok=True)
    log = (folder / "log").absolute()
    log.write_text("")
    os.chdir(folder)
    made = Stage("stage", MODULE, partial(work, log=log), parameters=dict(parameters))
    tasks = [Task(clip_id, {"text": text}, 1.0) for clip_id, text in clips.items()]
    stage.fill(Job(made, tasks), RUN.model_copy(update={"workers": workers}))
    computed = log.read_text().split()
    assert len(computed) == len(set(computed))
    return set(computed)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "data/stage").iterdir()}


def clean(folder: Path, clips: dict[str, str], **parameters: object) -> dict[str, bytes]:
    """The output of a run in a folder of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    fill(folder, clips, **parameters)
    return files(folder)


@pytest.fixture(autouse=True)
def back() -> Iterator[None]:
    here = Path.cwd()
    yield
    os.chdir(here)


def test_whatever_the_history_only_what_is_new_is_computed_and_the_bytes_are_those_of_a_clean_run(tmp_path: Path) -> None:
    others = {clip_id: text for clip_id, text in CLIPS.items() if clip_id != "clip7"}
    others |= {"clip3": "something else", "new": "says more", "mute": "nothing"}
    history = [
        (CLIPS, {}, set(CLIPS)),
        (others, {}, {"clip3", "new", "mute"}),
        (others, {"rate": 5}, set(others)),
        (CLIPS, {}, set()),
        (dict(reversed(others.items())), {}, set()),
    ]
    outputs: dict[str, dict[str, bytes]] = {}
    for clips, parameters, computed in history:
        name = str((sorted(clips.items()), parameters))
        outputs[name] = outputs.get(name) or clean(tmp_path / "clean", clips, **parameters)
        assert fill(tmp_path / "checkout", clips, **parameters) == computed
        assert files(tmp_path / "checkout") == outputs[name]


def test_what_an_interrupted_run_has_finished_is_not_pruned(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()  # by which a checkout is known to be there
    fill(tmp_path, {"clip0": "an earlier run"})
    with pytest.raises(OSError, match="full"):
        fill(tmp_path, CLIPS | {"full": "the disk is full"}, workers=1)
    kept = tmp_path / ".store/stage"
    finished = len(inventory.entries(kept)) - 1
    assert inventory.prune(kept).startswith("1 entries dropped")  # of the earlier run
    assert len(fill(tmp_path, CLIPS)) == len(CLIPS) - finished < len(CLIPS)


def test_what_a_killed_run_left_unfinished_is_gone_with_the_next(tmp_path: Path) -> None:
    fill(tmp_path, CLIPS)
    checkouts = (tmp_path, tmp_path / "elsewhere")  # of which the other may still be at work
    left = [tmp_path / ".store/stage" / f"{store.UNFINISHED}{store.place(checkout)}-x" for checkout in checkouts]
    for path in left:
        path.mkdir()
    fill(tmp_path, CLIPS)
    assert [path.exists() for path in left] == [False, True]


@pytest.mark.parametrize("workers", [1, 4])
def test_neither_order_nor_workers_change_a_byte(tmp_path: Path, workers: int) -> None:
    shuffled = dict(sorted(CLIPS.items(), key=lambda item: item[0][::-1]))
    assert clean(tmp_path / "one", shuffled, workers=workers) == clean(tmp_path / "other", CLIPS)


def test_clips_of_the_same_content_are_computed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(fill(tmp_path, {"a": "the same", "b": "the same"})) == 1
    assert "stage: 2 clips, 1 computed, 1 reused, 0 refused" in capsys.readouterr().out


def test_an_output_that_dvc_linked_to_its_cache_is_replaced_and_never_written_through(tmp_path: Path) -> None:
    """With `cache.type hardlink`, the output's files are read-only, and other names of those in DVC's cache."""
    fill(tmp_path, CLIPS | {"mute": "nothing"})
    cache = tmp_path / "cache"
    cache.mkdir()
    for path in (tmp_path / "data/stage").iterdir():
        path.chmod(0o444)
        os.link(path, cache / path.name)
    cached = {path.name: path.read_bytes() for path in cache.iterdir()}
    changed = CLIPS | {"clip3": "something else", "mute": "nothing"}
    fill(tmp_path, changed)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == cached
    replaced = {path.name for path in cache.iterdir() if path.stat().st_nlink == 1}
    assert replaced == {shards.shard_of("clip3"), "index.csv", "refused.csv"}
    assert files(tmp_path) == clean(tmp_path / "clean", changed)


def change_refusals(kept: store.Store, code: Code) -> None:
    """Write whole entries, with another code, in the place of those that hold a refusal."""
    for path in inventory.entries(kept.folder):
        with zipfile.ZipFile(path) as archive:
            refusal = json.loads(archive.read(shards.REFUSED)) if shards.REFUSED in archive.namelist() else None
        if refusal:
            with kept.workplace() as workplace:
                folder = Path(workplace) / "entry"
                folder.mkdir()
                (folder / shards.REFUSED).write_text(json.dumps(refusal | {"code": code}), encoding="utf-8")
                kept.add(path.stem, folder)


def test_a_clip_whose_entry_is_lost_or_whose_worker_died_is_computed_again(tmp_path: Path) -> None:
    clips = CLIPS | {"mute": "nothing"}
    fill(tmp_path, clips)
    whole = files(tmp_path)
    next((tmp_path / ".store/stage").glob("??/*.zip")).unlink()
    assert len(fill(tmp_path, clips)) == 1
    assert files(tmp_path) == whole
    change_refusals(store.Store(tmp_path / ".store/stage"), Code.WORKER_DIED)
    assert fill(tmp_path, clips) == {"mute"}
    assert files(tmp_path) == whole


@pytest.mark.parametrize("harm", ["removed", "damaged"])
def test_an_entry_that_another_checkout_takes_away_meanwhile_is_computed_again(tmp_path: Path, harm: str) -> None:
    """The clip that is computed does to the others' entries what a checkout with the same store may do at any time."""
    whole = clean(tmp_path / "clean", CLIPS | {"new": f"{harm} others"})
    fill(tmp_path / "checkout", CLIPS)
    (tmp_path / "checkout/harmful").touch()
    shutil.rmtree(tmp_path / "checkout/data")  # so that every entry is read
    computed = fill(tmp_path / "checkout", CLIPS | {"new": f"{harm} others"})
    assert computed == {"new", "clip0"}
    assert files(tmp_path / "checkout") == whole


def test_a_damaged_entry_is_made_again_when_its_shard_is_written(tmp_path: Path) -> None:
    fill(tmp_path, CLIPS)
    whole = files(tmp_path)
    path = next((tmp_path / ".store/stage").glob("??/*.zip"))
    path.write_bytes(path.read_bytes()[:50])
    assert len(fill(tmp_path, CLIPS)) == 1
    assert files(tmp_path) == whole


def test_media_that_are_as_they_were_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["a.wav", "b.wav"]
    for name in names:
        soundfile.write(tmp_path / name, np.zeros(1600), 16000)
    monkeypatch.setattr(manifest, "SETTLED", 3600.0)
    assert manifest.probe_all(names, tmp_path, RUN)[1] == 0
    assert manifest.probe_all(names, tmp_path, RUN)[1] == 0  # they have only just been written
    monkeypatch.setattr(manifest, "SETTLED", 0.0)
    first, _ = manifest.probe_all(names, tmp_path, RUN)
    assert manifest.probe_all(names, tmp_path, RUN) == (first, 2)
    times = (tmp_path / "b.wav").stat()
    soundfile.write(tmp_path / "b.wav", np.ones(1600) / 2, 16000)
    os.utime(tmp_path / "b.wav", ns=(times.st_atime_ns, times.st_mtime_ns))  # of the same size and date
    second, known = manifest.probe_all([*names, "c.wav"], tmp_path, RUN)
    assert known == 1
    assert second["a.wav"] == first["a.wav"]
    assert second["b.wav"].digest != first["b.wav"].digest
    assert second["c.wav"].code == Code.MEDIA_MISSING
    (note,) = (tmp_path / ".store/manifest").glob("*.json")
    for damage in (b"\xff", b"[]", note.read_bytes().replace(b'"probed"', b'"proved"')):
        note.write_bytes(damage)
        assert manifest.probe_all(names, tmp_path, RUN)[1] == 0
