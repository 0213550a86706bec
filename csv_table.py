"""Tables that the pipeline writes: CSV in UTF-8, with a header, a row a line."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TextIO


@dataclass(frozen=True)
class _Lines:
    """Takes rows that end in "\\r\\n" and writes them with another end."""

    file: TextIO
    end: str

    def write(self, row: str) -> int:
        return self.file.write(row.removesuffix("\r\n") + self.end)


def write_rows(file: TextIO, rows: Iterable[Iterable[object]], end: str = "\n") -> None:
    """Add rows to a file that was opened with newline="". Cells with "\\n" or "\\r" are quoted: the csv module quotes only the
    signs of the end that it writes itself, but takes both for the end of a row when it reads."""
    csv.writer(_Lines(file, end), lineterminator="\r\n").writerows(rows)


def write(path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """A table of rows of cells, in the order of the columns."""
    with path.open("w", encoding="utf-8", newline="") as file:
        write_rows(file, chain([columns], rows))


def write_named(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A table of rows whose cells have the columns' names. Blank is what a row lacks; KeyError where it has another name."""
    write(path, columns, (_cells(columns, row) for row in rows))


def _cells(columns: Sequence[str], row: Mapping[str, Any]) -> list[object]:
    if unknown := row.keys() - set(columns):
        raise KeyError(f"the table has no column {sorted(unknown)}, only {list(columns)}")
    return [row.get(name, "") for name in columns]


def line(cells: Iterable[object], end: str = "\n") -> str:
    """A row as text."""
    text = io.StringIO(newline="")
    write_rows(text, [cells], end)
    return text.getvalue()
