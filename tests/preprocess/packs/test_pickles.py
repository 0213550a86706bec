"""A pickle from an unknown author is read as data; whatever else it asks for is refused, and nothing of it runs."""

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from preprocess.packs import pickles
from preprocess.packs.pickles import PickleError


def objects(shape: tuple[int, ...], items: list[Any], order: Any = "C") -> np.ndarray:
    """An array of objects, however alike they are."""
    found = np.empty(shape, object, order=order)
    for place, item in zip(np.ndindex(shape), items, strict=True):
        found[place] = item
    return found


PLAIN = {
    "float": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "by column": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big end first": np.arange(3, dtype=">i4"),
    "empty": np.zeros((0, 3)),
    "text": np.array(["ab", "c"]),
    "bytes": np.array([b"x", b"yy"]),
    "objects": np.array([[2, 4, 3], [2, 3]], dtype=object),
    "objects of one length": objects((2,), [[2, 4, 3], [2, 5, 3]]),
    "nested": objects((2, 2), [np.arange(2), np.arange(2), "a", (np.arange(3),)], "F"),
    "scalars": [np.float32(2.5), np.int64(3), np.bool_(True)],
    "plain": (1, 2.5, None, True, "é", b"", b"x", [{"a": (1,)}]),
}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray) and one.dtype == object:
        return one.shape == other.shape and all(map(same, one.ravel(), other.ravel()))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_read_as_it_was_written(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(PLAIN, protocol=protocol))
    assert same(pickles.read(path), PLAIN)


def test_an_archive_of_torch_is_read_where_it_holds_arrays(tmp_path: Path) -> None:
    import torch

    torch.save(PLAIN, tmp_path / "x.pt")
    assert same(pickles.read(tmp_path / "x.pt"), PLAIN)
    torch.save({"a": torch.zeros(2)}, tmp_path / "y.pt")
    with pytest.raises(PickleError, match=r"torch\._utils\._rebuild_tensor_v2: admitted are numpy arrays"):
        pickles.read(tmp_path / "y.pt")


class Command:
    """An object whose pickle runs a command when it is loaded."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.does = (call, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple]:
        return self.does


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("call", "named"), [(os.system, r"\w+\.system"), (eval, r"\w+\.eval"), (np.load, r"numpy[\w.]*\.load"), (Path, "pathlib.*")]
)
def test_a_pickle_that_runs_something_is_refused_by_name_and_nothing_ran(
    tmp_path: Path, protocol: int, call: Callable[..., Any], named: str
) -> None:
    marker, path = tmp_path / "ran", tmp_path / "x.pkl"
    argument = f"touch {marker}" if call is os.system else f"open({str(marker)!r}, 'w')" if call is eval else str(marker)
    path.write_bytes(pickle.dumps({"train": {"text": np.ones((1, 1, 1)), "id": Command(call, argument)}}, protocol=protocol))
    with pytest.raises(PickleError) as error:
        pickles.read(path)
    assert re.search(rf"nothing of it ran\. It asks for {named}: admitted are", str(error.value))
    assert not marker.exists()


def test_a_name_that_is_admitted_cannot_be_changed_or_bent(tmp_path: Path) -> None:
    path = tmp_path / "x.pkl"
    for content in (
        b"cnumpy\ndtype\n(dS'__doc__'\nS'x'\nsb.",  # sets an attribute of what it may call
        b"cnumpy\ndtype.__init__\n.",
        b"cnumpy.core.multiarray\nfrombuffer\n.",
        b"c_codecs\nencode\n(S'x'\nS'zip'\ntR.",
        pickle.dumps(np.zeros(2, dtype=[("a", "f4")])),
        pickle.dumps(np.zeros(2, dtype="M8[s]")),
    ):
        path.write_bytes(content)
        with pytest.raises(PickleError, match="was refused, and nothing of it ran"):
            pickles.read(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", pickle.dumps(PLAIN)[:400], b"\x80\x04((((."])
def test_a_file_that_is_no_whole_pickle_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    with pytest.raises(PickleError, match=r"x\.pkl is no whole pickle"):
        pickles.read(path)
    with pytest.raises(PickleError, match=r"nowhere\.pkl: No such file"):
        pickles.read(tmp_path / "nowhere.pkl")
