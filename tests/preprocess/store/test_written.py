"""Files of an output that would be the same are not written again; the output has the bytes of a run from nothing."""

import random
import shutil
from pathlib import Path

import pytest

from preprocess.store import shards
from preprocess.store.entries import Store, place
from preprocess.store.written import SUFFIX
from tests.preprocess.run.test_stage import CLIPS, clean, fill


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "data/stage").iterdir()}


def written_at(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "data/stage").iterdir()}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "checkout", CLIPS)
    return tmp_path / "checkout"


def test_a_changed_clip_changes_its_archive_alone(checkout: Path) -> None:
    changed = CLIPS | {"clip3": "something else"}
    times = written_at(checkout)
    fill(checkout, changed)
    assert {name for name, time in written_at(checkout).items() if time != times[name]} == {
        shards.shard_of("clip3"),
        "index.csv",
        "refused.csv",
    }
    assert outputs(checkout) == clean(checkout.parent / "clean", changed)


def edited(path: Path) -> None:
    """Another byte in a file of the same size."""
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def replaced(path: Path) -> None:
    """Another file of the same size and times has its name, as DVC leaves where it takes a copy from its cache."""
    shutil.copy2(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)


@pytest.mark.parametrize("harm", [edited, replaced, Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("name", [shards.shard_of("clip3"), "index.csv", "refused.csv"])
def test_what_somebody_changed_is_written_again(checkout: Path, name: str, harm: object) -> None:
    whole = outputs(checkout)
    harm(checkout / "data/stage" / name)  # type: ignore[operator]
    assert fill(checkout, CLIPS) == set()
    assert outputs(checkout) == whole


def test_files_of_others_and_archives_without_clips_go(checkout: Path) -> None:
    (checkout / "data/stage/other").mkdir()
    (checkout / "data/stage/other/file").touch()
    (checkout / "data/stage/99.zip").touch()
    few = {clip_id: text for clip_id, text in CLIPS.items() if shards.shard_of(clip_id) != shards.shard_of("clip3")}
    fill(checkout, few)
    assert outputs(checkout) == clean(checkout.parent / "clean", few)


def test_any_changes_in_any_order_give_the_bytes_of_a_run_from_nothing(checkout: Path) -> None:
    chance = random.Random(0)
    clips = dict(CLIPS)
    for step in range(8):
        for clip_id in chance.sample(sorted(clips), 2):
            del clips[clip_id]
        clips |= {f"new{step}": "nothing" if step % 3 == 0 else f"says {step}", "clip7": f"says {chance.random()}"}
        if step == 4:
            chance.choice(sorted((checkout / "data/stage").glob("*.zip"))).write_bytes(b"damaged")
        fill(checkout, clips)
        assert outputs(checkout) == clean(checkout.parent / f"clean{step}", clips)


@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", '[["a"]]', "\xff"])
def test_a_damaged_list_is_an_empty_one(checkout: Path, content: str) -> None:
    whole = outputs(checkout)
    store = Store(checkout / ".store/stage")
    path = store.folder / f"{place(checkout)}{SUFFIX}"
    assert path.is_file()
    path.write_text(content, encoding="latin-1")
    fill(checkout, CLIPS)
    assert outputs(checkout) == whole
