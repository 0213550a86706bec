"""Reading CSV tables from elsewhere: UTF-8, UTF-16 or an encoding that the user names; each mistake is listed with its row."""

import csv
import math
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from preprocess.corpus import CorpusError

# Byte order marks, by which a file's first bytes name its encoding.
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
BLANK = frozenset(["", "nan", "none", "null", "na", "n/a"])
# Windows-1252 that was read as Latin-1, such as \x92 for ’; and characters that are not visible.
STRAY = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)} | str.maketrans("", "", "\ufeff\u200b")
# For a tokenizer don't and don’t are different words.
PLAIN = str.maketrans({"‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "…": "..."})


@dataclass(frozen=True)
class Row:
    """A row of a table, cells by column."""

    path: Path
    number: int  # line of the file on which the row ends
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    def wrong(self, column: str, expected: str) -> str:
        return f"{self.path.name}, row {self.number}, {column} = {self[column]!r}: expected {expected}"

    def number_of(self, column: str) -> float | None:
        """The cell as a finite number; None if it is blank, or nan, none or null. ValueError for anything else."""
        if self[column].lower() in BLANK:
            return None
        try:
            value = float(self[column])
        except ValueError:
            raise ValueError(self.wrong(column, "a number, or blank")) from None
        return value if math.isfinite(value) else None


def clean(text: str) -> str:
    """Text in NFC without invisible characters; wrongly decoded Windows-1252 is corrected, white space becomes one space."""
    corrected = unicodedata.normalize("NFC", text.translate(STRAY))
    return " ".join("".join(" " if unicodedata.category(c) == "Cc" else c for c in corrected).split())


def plain(text: str) -> str:
    """English text, cleaned, with plain quotation marks and dots instead of typographic ones."""
    return clean(text).translate(PLAIN)


def read(path: Path, columns: tuple[str, ...], encoding: str = "") -> Iterator[Row]:
    """The rows of a CSV table that must have these columns and may have others.

    It is read as `encoding`; if that is blank, as its byte order mark says, or else as UTF-8. CorpusError says what was
    expected, what the file is instead, and what would be accepted.
    """
    try:
        with path.open(encoding=_encoding(path, encoding), newline="") as file:
            table = csv.DictReader(file)
            names = [name.strip() for name in table.fieldnames or []]
            table.fieldnames = names
            missing = [name for name in columns if name not in names]
            if missing:
                raise CorpusError(_without(path, missing, names, columns))
            yield from _rows(path, table)
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}; expected a CSV table with the columns {', '.join(columns)}") from None
    except (UnicodeError, LookupError) as error:
        raise CorpusError(
            f"{path} is no text in {encoding or 'UTF-8'} ({error}): save it as UTF-8, or name its encoding, "
            "such as --encoding cp1252"
        ) from None
    except csv.Error as error:
        raise CorpusError(f"{path} is no CSV table ({error}); expected the columns {', '.join(columns)}") from None


def _encoding(path: Path, named: str) -> str:
    with path.open("rb") as file:
        start = file.read(3)
    return named or next((encoding for mark, encoding in MARKS.items() if start.startswith(mark)), "utf-8")


def _without(path: Path, missing: list[str], names: list[str], columns: tuple[str, ...]) -> str:
    text = f"{path} has no column {', '.join(missing)}: it has {', '.join(names) or 'none'}; expected {', '.join(columns)}"
    other = next((mark for mark in (";", "\t", "|") if len(names) == 1 and mark in names[0]), "")
    return text + (f". Its cells are separated by {other!r}: save it with commas" if other else "")


def _rows(path: Path, table: csv.DictReader) -> Iterator[Row]:
    for cells in table:
        if None in cells or None in cells.values():
            raise CorpusError(
                f"{path}, row {table.line_num} has not as many cells as row 1 has columns ({len(table.fieldnames or [])}): "
                "a comma or line end inside a cell has to stand in quotes"
            )
        yield Row(path, table.line_num, {name: cell.strip(" \t\r\n") for name, cell in cells.items()})


def each(rows: Iterator[Row], read_row: Callable[[Row], None]) -> None:
    """Call `read_row` with every row; the ValueErrors of all rows together become one CorpusError."""
    problems = []
    for row in rows:
        try:
            read_row(row)
        except ValueError as error:
            if isinstance(error, CorpusError):
                raise
            problems.append(str(error))
    if problems:
        raise CorpusError("the table has mistakes:\n  " + "\n  ".join(problems))


SPLIT_NAMES = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "": "",
}


def split_of(row: Row, column: str) -> str:
    """The split that a cell names; `val`, `validation` and `dev` are valid. ValueError for any other word."""
    name = row[column].lower()
    if name not in SPLIT_NAMES:
        raise ValueError(row.wrong(column, "train, valid, test, or blank"))
    return SPLIT_NAMES[name]


def slug(name: str) -> str:
    """The name as a legal clip id: other characters become "_". "" if no character of it is legal."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip(".").strip("_" if not name.startswith("_") else "")
