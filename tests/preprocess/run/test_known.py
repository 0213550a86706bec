"""Entries whose files have not changed are not read again to find out whether they are whole; damaged ones are made again."""

import shutil
from pathlib import Path

import pytest

from preprocess.run import known
from preprocess.run.known import Known
from preprocess.store import entries, inventory
from preprocess.store.entries import Store
from tests.preprocess.run.test_stage import CLIPS, clean, files, fill


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """The entries that were read to compare them with their digests, of a checkout that is restored afterwards."""
    paths: list[Path] = []
    check = entries.members_of_whole
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(entries, "members_of_whole", lambda path: paths.append(path) or check(path))
    return paths


def test_only_what_changed_since_is_read_again(tmp_path: Path, checked: list[Path]) -> None:
    fill(tmp_path, CLIPS)
    checked.clear()
    assert fill(tmp_path, CLIPS) == set()
    assert checked == []
    paths = inventory.entries(tmp_path / ".store/stage")
    paths[0].touch()
    whole = files(tmp_path)
    assert fill(tmp_path, CLIPS) == set()
    assert checked == [paths[0]]
    assert fill(tmp_path, CLIPS | {"clip3": "says other"}) == {"clip3"}
    assert files(tmp_path) != whole


def test_another_checkout_reads_for_itself(tmp_path: Path, checked: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, CLIPS)
    store = Store(tmp_path / ".store/stage")
    (key, *_) = (path.stem for path in inventory.entries(store.folder))
    assert Known(store).has(key)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert not Known(store).has(key)


def test_what_is_damaged_without_a_trace_is_found_when_it_is_written(
    tmp_path: Path, checked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = clean(tmp_path / "clean", CLIPS)
    monkeypatch.setattr(known, "_state", lambda path: "0123456789abcdef" if path.is_file() else "")
    fill(tmp_path / "checkout", CLIPS)
    path = inventory.entries(tmp_path / "checkout/.store/stage")[0]
    content = path.read_bytes()
    place = content.index(b"says")
    path.write_bytes(content[:place] + b"S" + content[place + 1 :])
    shutil.rmtree(tmp_path / "checkout/data")
    assert len(fill(tmp_path / "checkout", CLIPS)) == 1
    assert files(tmp_path / "checkout") == whole


@pytest.mark.parametrize("content", ["", "no list", "\xff\n", "key 0123\n"])
def test_a_damaged_list_is_an_empty_one(tmp_path: Path, checked: list[Path], content: str) -> None:
    fill(tmp_path, CLIPS)
    (path,) = (tmp_path / ".store/stage").glob("*.known")
    path.write_text(content, encoding="latin-1")
    checked.clear()
    assert fill(tmp_path, CLIPS) == set()
    assert len(checked) == len(CLIPS)
