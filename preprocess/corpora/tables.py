"""Reading CSV tables from elsewhere: UTF-8, UTF-16 or an encoding that the user names; each mistake is listed with its row."""

import csv
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from preprocess import header
from preprocess.corpus import CorpusError

T = TypeVar("T")
# Columns whose usual other names are pointed out; many tables have an id of their own, which is not meant for a clip id.
RENAMED = ("start", "end", "text", "split", "speaker")
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
            value = math.nan
        if not math.isfinite(value) or "_" in self[column]:
            raise ValueError(self.wrong(column, "a number with a decimal point, or blank"))
        return value


def clean(text: str) -> str:
    """Text in NFC without invisible characters; wrongly decoded Windows-1252 is corrected, white space becomes one space."""
    corrected = unicodedata.normalize("NFC", text.translate(STRAY))
    return " ".join("".join(" " if unicodedata.category(c) == "Cc" else c for c in corrected).split())


def plain(text: str) -> str:
    """English text, cleaned, with plain quotation marks and dots instead of typographic ones."""
    return clean(text).translate(PLAIN)


def read(path: Path, columns: tuple[str, ...], encoding: str = "", known: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a CSV table that must have these columns, may have the `known` ones, and may have others.

    It is read as `encoding`; if that is blank, as its byte order mark says, or else as UTF-8. CorpusError says what was
    expected, what the file is instead, and what would be accepted.
    """
    try:
        with path.open(encoding=_encoding(path, encoding), newline="") as file:
            table = header.rows(file)
            _, cells = next(table, (1, []))
            names = header.spelt_as([name.strip() for name in cells], [*columns, *known])
            if problem := _problem(names, columns, known):
                raise CorpusError(f"{path} {problem}")
            yield from _rows(path, table, names, {*columns, *known})
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}; expected a CSV table with the columns {', '.join(columns)}") from None
    except (UnicodeError, LookupError) as error:
        raise CorpusError(
            f"{path} is no text in {encoding or 'UTF-8'} ({error}){header.kind_of(path)}: save it as CSV UTF-8, or name its "
            "encoding, such as --encoding cp1252"
        ) from None
    except csv.Error as error:
        raise CorpusError(f"{path} is no CSV table: {error}; expected the columns {', '.join(columns)}") from None


def _encoding(path: Path, named: str) -> str:
    with path.open("rb") as file:
        start = file.read(3)
    return named or next((encoding for mark, encoding in MARKS.items() if start.startswith(mark)), "utf-8")


def _problem(names: list[str], columns: tuple[str, ...], known: Sequence[str]) -> str:
    """What is wrong with a header, or ""."""
    missing = [name for name in columns if name not in names]
    separator = header.separator(names, [*columns, *known])
    if separator or missing:
        lacks = f"has no column {', '.join(missing)}: it " if missing else ""
        problem = f"{lacks}has {', '.join(names) or 'none'}" + (f"; expected {', '.join(columns)}" if columns else "")
        return f"{problem}; {separator}" if separator else problem
    misspelt = header.misspelt(names, known, RENAMED)
    problems = [*misspelt.values(), *header.doubled(names, [*columns, *known])]
    return "has a header with mistakes:\n  " + "\n  ".join(problems) if problems else ""


def _rows(path: Path, table: Iterator[tuple[int, list[str]]], names: list[str], read: set[str]) -> Iterator[Row]:
    for number, cells in table:
        if len(cells) != len(names):
            raise CorpusError(
                f"{path}, row {number} has not as many cells ({len(cells)}) as row 1 has columns ({len(names)}): "
                "a comma or line end inside a cell has to stand in quotes"
            )
        row = Row(path, number, {name: cell.strip(" \t\r\n") for name, cell in zip(names, cells, strict=True)})
        broken = next((name for name, cell in row.cells.items() if name in read and cell in header.FORMULA_ERRORS), None)
        if broken is not None:
            raise CorpusError(row.wrong(broken, "what was there before a spreadsheet program took it for a formula"))
        yield row


def each(items: Iterable[T], read: Callable[[T], None], title: str = "the table has mistakes") -> None:
    """Call `read` with every row, or clip; the ValueErrors of all of them together become one CorpusError."""
    problems: list[str] = []
    for item in items:
        try:
            read(item)
        except ValueError as error:
            if isinstance(error, CorpusError):
                raise
            problems.append(str(error))
    if problems:
        raise CorpusError(f"{title}:\n  " + "\n  ".join(dict.fromkeys(problems)))


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
