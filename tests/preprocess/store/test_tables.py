"""Tables in pieces are the same safetensors files as tables at once."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from preprocess.store import tables

WHOLE = {
    "times": np.arange(10, dtype=np.float32),
    "present": np.arange(10) % 3 == 0,
    "pose": np.arange(160, dtype=np.float32).reshape(10, 4, 4),
    "words": np.arange(10, dtype=np.int32),
    "mean": np.arange(30, dtype=np.float64).reshape(10, 3),
}


def written(path: Path, step: int) -> Path:
    with tables.Writer(path) as table:
        for begin in range(0, 10, step):
            table.append({name: values[begin : begin + step] for name, values in WHOLE.items()})
    return path


@pytest.mark.parametrize("step", [1, 3, 10])
def test_a_table_in_pieces_reads_as_a_whole(tmp_path: Path, step: int) -> None:
    found = load_file(written(tmp_path / "a", step))
    assert found.keys() == WHOLE.keys()
    for name, values in WHOLE.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype


def test_neither_pieces_nor_the_writer_show_in_the_bytes(tmp_path: Path) -> None:
    save_file(WHOLE, tmp_path / "whole")
    assert written(tmp_path / "a", 3).read_bytes() == written(tmp_path / "b", 10).read_bytes()
    assert written(tmp_path / "c", 3).read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_table_filled_in_any_order_has_the_bytes_of_one_at_once_and_zeros_where_nothing_was_written(tmp_path: Path) -> None:
    whole = {name: np.where(np.arange(10) == 7, 0, values.T).T.astype(values.dtype) for name, values in WHOLE.items()}
    whole["pose"][3, 2:] = 0
    save_file(whole, tmp_path / "whole", metadata={"any": "thing"})
    with (tmp_path / "a").open("wb") as file:
        table = tables.Blank(file, {name: (x.dtype, x.shape[1:]) for name, x in WHOLE.items()}, 10, any="thing")
        for row in (9, 3, 0, 1, 2, 4, 5, 6, 8):
            table.write(row, {name: x[row, :2] if (name, row) == ("pose", 3) else x[row] for name, x in WHOLE.items()})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("rows", [1, 4, 100])
def test_a_table_written_at_once_reads_in_pieces(tmp_path: Path, rows: int) -> None:
    save_file(WHOLE, tmp_path / "a", metadata={"any": "thing"})
    parts = list(tables.read(partial((tmp_path / "a").open, "rb"), rows))
    assert max(len(part["times"]) for part in parts) == min(rows, 10)
    for name, values in WHOLE.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), values)


def test_a_table_reads_at_once(tmp_path: Path) -> None:
    save_file(WHOLE | {"none": np.zeros((0, 3), np.float32)}, tmp_path / "a")
    found = tables.whole(partial((tmp_path / "a").open, "rb"))
    assert found.keys() == WHOLE.keys() | {"none"}
    for name, values in WHOLE.items():
        np.testing.assert_array_equal(found[name], values)
    assert found["none"].shape == (0, 3)


def test_a_header_that_asks_for_too_much_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(ValueError, match="a table's header of 1099511627776 bytes"):
        next(tables.read(partial((tmp_path / "a").open, "rb")))


def test_nothing_is_left_of_a_table_that_was_not_finished(tmp_path: Path) -> None:
    def interrupted() -> None:
        with tables.Writer(tmp_path / "a") as table:
            table.append(WHOLE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
