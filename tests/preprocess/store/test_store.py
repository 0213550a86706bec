import os
import resource
import shutil
import struct
import zipfile
from contextlib import chdir
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from preprocess.run import work
from preprocess.store import entries as store
from preprocess.store import inventory, shards
from preprocess.store.entries import Store
from preprocess.store.shards import Shards


def entry(kept: Store, key: str, **files: bytes) -> Path:
    """Add an entry with these files."""
    with kept.workplace() as workplace:
        folder = Path(workplace) / "entry"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        kept.add(key, folder)
    return kept.path(key)


def test_an_entry_is_there_once_it_is_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    kept = Store(tmp_path)
    assert not kept.has("aa")
    path = entry(kept, "aa", json=b"{}", mkv=b"film")
    assert kept.has("aa")
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first = entry(Store(tmp_path / "1"), "aa", b=b"2", a=b"1")
    second = entry(Store(tmp_path / "2"), "aa", a=b"1", b=b"2")
    assert first.read_bytes() == second.read_bytes()


def test_an_entry_has_the_form_that_every_python_writes_alike(tmp_path: Path) -> None:
    """Its members' sizes stand in their headers; the form for gigabytes differs between 3.11.2 and 3.11.7."""
    written = entry(Store(tmp_path), "aa", a=b"12345").read_bytes()
    version, *_, packed, size, _, extra = struct.unpack_from("<HHHHHLLLHH", written, written.index(b"PK\x03\x04") + 4)
    assert (version, packed, size, extra) == (20, 5, 5, 0)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    kept = Store(tmp_path)
    path = entry(kept, "aa", json=b"x" * 1000)
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes({"flip": bytes(content), "cut": bytes(content[:300]), "empty": b""}[damage])
    assert not kept.has("aa")
    entry(kept, "aa", json=b"x" * 1000)
    assert kept.has("aa")


def test_whichever_bit_of_an_entry_is_flipped_it_is_another_or_damaged(tmp_path: Path) -> None:
    kept = Store(tmp_path)
    path = entry(kept, "aa", json=b"{}", mkv=b"x" * 30)
    content = path.read_bytes()
    for place in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(flipped)
        assert kept.has("aa") == path.exists()
        if path.exists():  # the bit was of nothing that counts, such as a date
            with zipfile.ZipFile(path) as archive:
                assert {name: archive.read(name) for name in archive.namelist()} == {"json": b"{}", "mkv": b"x" * 30}


def test_a_machine_that_has_no_file_left_to_open_takes_no_entry_for_damaged(tmp_path: Path) -> None:
    kept = Store(tmp_path)
    path = entry(kept, "aa", json=b"{}")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            inventory.check(tmp_path)
        with pytest.raises(OSError, match="Too many open files"):
            kept.has("aa")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert path.is_file()
    assert kept.has("aa")


def test_a_damaged_entry_that_another_checkout_has_removed_or_made_again_is_no_trouble(tmp_path: Path) -> None:
    kept = Store(tmp_path)
    path = entry(kept, "aa", json=b"{}")
    whole = path.read_bytes()
    kept.discard(path)  # as one does that has seen it damaged, while the other made it again
    assert path.read_bytes() == whole
    path.write_bytes(whole[:-5])
    kept.discard(path)
    kept.discard(path)
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == []


def has(number: int, folder: Path) -> bool:
    return Store(folder).has("aa")


def test_many_processes_that_meet_one_damaged_entry_all_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = Store(tmp_path / "store")
    for _ in range(5):
        path = entry(kept, "aa", json=b"x" * 100_000)
        path.write_bytes(path.read_bytes()[:-5])
        results = work.each(partial(has, folder=kept.folder), range(8), 4, "tests.preprocess.store.test_store")
        assert list(results) == [False] * 8


def test_a_key_changes_with_every_part_and_not_with_their_order() -> None:
    assert store.key(a=1, b=[2]) == store.key(b=[2], a=1)
    assert len({store.key(a=1), store.key(a=2), store.key(b=1), store.key(a="1")}) == 4


@settings(deadline=None)  # disks are slow at times
@given(some.permutations([f"clip{i}" for i in range(9)]))
def test_shards_are_the_same_in_any_order(tmp_path_factory: pytest.TempPathFactory, order: list[str]) -> None:
    folder = tmp_path_factory.mktemp("shards")
    kept = Store(folder / "store")
    entries = {clip: entry(kept, clip, txt=clip.encode(), bin=b"\0" * 9) for clip in order}
    shards.write(folder / "out", entries)
    shards.write(folder / "sorted", dict(sorted(entries.items())))
    for path in (folder / "out").iterdir():
        assert path.read_bytes() == (folder / "sorted" / path.name).read_bytes()


def test_shards_give_back_every_file_and_the_digest_of_its_content(tmp_path: Path) -> None:
    kept = Store(tmp_path / "store")
    entries = {clip: entry(kept, clip, txt=text) for clip, text in {"a": b"1", "b": b"1", "c": b"2"}.items()}
    shards.write(tmp_path / "out", entries)
    found = Shards(tmp_path / "out")
    assert [found.read(clip, "txt") for clip in "abc"] == [b"1", b"1", b"2"]
    assert found.digests["a"] == found.digests["b"] != found.digests["c"]


def test_a_clips_file_can_be_sought_in_without_reading_it_whole(tmp_path: Path) -> None:
    shards.write(tmp_path / "out", {"a": entry(Store(tmp_path / "store"), "a", txt=b"0123456789")})
    with Shards(tmp_path / "out").open("a", "txt") as stream:
        stream.seek(7)
        assert stream.read() == b"789"


def test_archives_hold_no_dates(tmp_path: Path) -> None:
    with zipfile.ZipFile(entry(Store(tmp_path), "aa", json=b"{}")) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def use(kept: Store, checkout: Path, *keys: str) -> None:
    """Have the output of a checkout be made of some entries."""
    checkout.mkdir(exist_ok=True)
    (checkout / "params.yaml").touch()
    with chdir(checkout):
        kept.use(list(keys))


def test_pruning_keeps_what_an_output_is_made_of_and_drops_the_rest(tmp_path: Path) -> None:
    kept = Store(tmp_path / "store")
    for key in ("aa", "bb"):
        entry(kept, key, json=b"{}")
    assert "left as it is" in inventory.prune(kept.folder)
    use(kept, tmp_path / "mine", "aa")
    said = inventory.prune(kept.folder)
    assert said.startswith("1 entries dropped")
    assert f"1 kept for {tmp_path / 'mine'}" in said
    assert kept.has("aa")
    assert not kept.has("bb")
    assert inventory.size(kept.folder).startswith("1 entries")


def test_pruning_forgets_checkouts_that_are_gone_from_this_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Store(tmp_path / "store")
    for key in ("aa", "bb", "cc", "dd", "ee"):
        entry(kept, key, json=b"{}")
    use(kept, tmp_path / "mine", "aa")
    use(kept, tmp_path / "gone", "bb", "aa")
    (kept.folder / "0123456789abcdef.used").write_text("dd\n", encoding="utf-8")  # as notes were once written
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(os, "uname", lambda: SimpleNamespace(nodename="elsewhere"))
        use(kept, tmp_path / "theirs", "cc")
    beside = [
        (kept.folder / store.place(tmp_path / name)).with_suffix(suffix)
        for name in ("gone", "mine")
        for suffix in (".machine", ".known")
    ]
    for path in beside:
        path.touch()
    for name in ("gone", "theirs"):
        shutil.rmtree(tmp_path / name)
    said = inventory.prune(kept.folder)
    assert f"{tmp_path / 'gone'} is gone" in said
    assert f"1 kept for {tmp_path / 'theirs'} on elsewhere" in said
    assert [key for key in ("aa", "bb", "cc", "dd", "ee") if kept.has(key)] == ["aa", "cc", "dd"]
    assert "gone" not in inventory.prune(kept.folder)
    assert [path.is_file() for path in beside] == [False, False, True, True]


def test_checking_removes_damaged_entries_and_names_them(tmp_path: Path) -> None:
    kept = Store(tmp_path)
    whole, damaged = entry(kept, "aa", json=b"{}"), entry(kept, "bb", json=b"{}")
    damaged.write_bytes(damaged.read_bytes()[:-5])
    assert "1 damaged and removed" in (said := inventory.check(tmp_path))
    assert damaged.name in said
    assert whole.exists()
    assert not damaged.exists()
