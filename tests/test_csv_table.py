"""Every cell of a table comes out as it was written."""

import ast
import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import csv_table
from preprocess.run import sources
from tests.conftest import ROOT

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.sampled_from(["\r", "\n", '"', ","])
ROWS = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1))


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))


@settings(deadline=None)
@given(rows=ROWS, end=st.sampled_from(["\n", "\r\n"]))
def test_every_cell_is_read_back(rows: list[list[str]], end: str) -> None:
    columns = [f"column {i}" for i in range(len(rows[0]))]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        csv_table.write(path, columns, rows)
        assert read(path) == [columns, *rows]
        csv_table.write_named(path, columns, (dict(zip(columns, row, strict=True)) for row in rows))
        assert read(path) == [columns, *rows]
        path.write_text("".join(csv_table.line(row, end) for row in rows), encoding="utf-8", newline="")
        assert read(path) == rows
        assert path.read_bytes().endswith(end.encode())


def test_a_name_that_is_no_column_is_not_dropped(tmp_path: Path) -> None:
    csv_table.write_named(tmp_path / "table.csv", ["a", "b"], [{"b": 1}])
    assert read(tmp_path / "table.csv") == [["a", "b"], ["", "1"]]
    with pytest.raises(KeyError, match="no column"):
        csv_table.write_named(tmp_path / "table.csv", ["a"], [{"a": 1, "b": 2}])


def test_tables_are_written_here_alone() -> None:
    """The csv module's own writers leave a lone carriage return unquoted, which reads as the end of a row."""
    files = [path for package in sources.PACKAGES for path in [*(ROOT / package).rglob("*.py"), *ROOT.glob(f"{package}.py")]]
    writing = {
        path.name
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("csv.writer", "csv.DictWriter")
    }
    assert writing == {"csv_table.py"}
