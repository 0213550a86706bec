"""The columns of a CSV table that a person made: those that are misspelt, doubled or not separated are named at once."""

import csv
import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# Names that people give to the columns of clips.csv, in letters and digits alone.
SYNONYMS = {
    "clip_id": ("id", "clip", "clipname", "segmentid", "utteranceid"),
    "media": ("medium", "file", "files", "filename", "filepath", "path", "video", "audio", "film", "mediafile", "mediapath"),
    "start": ("begin", "begintime", "starttime", "starts", "startsec", "startseconds", "onset"),
    "end": ("stop", "stoptime", "endtime", "ends", "endsec", "endseconds"),
    "text": ("texts", "transcript", "transcription", "sentence", "utterance", "rawtext"),
    "split": ("splits", "set", "subset", "partition"),
    "speaker": ("speakerid", "actor", "actorid", "subject", "subjectid"),
}
# What a spreadsheet program writes for a cell such as -vid or =) that it could not compute.
FORMULA_ERRORS = frozenset(["#NAME?", "#REF!", "#VALUE!", "#N/A", "#DIV/0!", "#NUM!", "#NULL!"])
# By the first bytes of a file that is no CSV table in UTF-8.
KINDS = {b"PK": "it is a workbook of a spreadsheet program", b"\xff\xfe": "it is UTF-16", b"\xfe\xff": "it is UTF-16"}
SIMILAR = 0.75  # difflib's ratio from which another column is named as what may be meant by one that is missing


def rows(file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table with the lines on which they end; those of blank cells alone, the header too, are left out.

    csv.Error where a quotation mark is not closed, which would make one cell of all that follows, or stands in a cell.
    """
    table = csv.reader(file, strict=True)
    line = 0
    while True:
        try:
            cells = next(table, None)
        except csv.Error as error:
            marks = "a quotation mark inside a cell is written twice, and the cell is put in quotation marks"
            raise csv.Error(f"row {line + 1}: {error}: {marks}") from None
        if cells is None:
            return
        line = table.line_num
        if any(cell.strip() for cell in cells):
            yield line, cells


def kind_of(path: Path) -> str:
    """ ", it is a workbook …" of a file that is no text in UTF-8, as far as its first bytes say so."""
    with path.open("rb") as file:
        start = file.read(2)
    return f", {KINDS[start]}" if start in KINDS else ""


def nfc(name: str) -> str:
    """The composed Unicode form: é may be written as one character, or as e and an accent, and is the same name."""
    return unicodedata.normalize("NFC", name)


def plain(name: str) -> str:
    """A name in small letters and digits alone: case, spaces, dashes and units in brackets do not count."""
    return _letters(re.sub(r"[(\[].*?[)\]]", "", name))


def _letters(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in folded if c.isalnum() or unicodedata.category(c).startswith("M"))


def spelt_as(names: Sequence[str], columns: Iterable[str]) -> list[str]:
    """The names of a header; one that is a known column in another Unicode form is spelt as that column."""
    spelling = {nfc(column): column for column in columns}
    return [spelling.get(nfc(name), name) for name in names]


def separator(names: Sequence[str], columns: Iterable[str]) -> str:
    """What is wrong where the header is a single cell because the table has no commas; "" otherwise."""
    first = names[0] if names else ""
    if first.casefold().startswith("sep="):
        line = ",".join(names)
        return f"its first line, {line!r}, is for a spreadsheet program: delete it, and save the table with commas"
    mark = next((mark for mark in SEPARATORS if mark in first), "")
    if not mark or set(names) & set(columns):
        return ""
    return f"its cells are separated by {SEPARATORS[mark]} ({mark!r}): save it with commas"


def doubled(names: Sequence[str], columns: Iterable[str]) -> list[str]:
    """Columns that are there twice, or once as they should be and once more with other spaces or capitals."""
    columns = list(columns)
    counts = Counter(names)
    problems = [f"column {name!r} is there {counts[name]} times" for name in columns if counts[name] > 1]
    for column in (name for name in columns if name in counts):
        likes = [name for name in counts if name not in columns and _letters(name) == _letters(column)]
        problems += [f"columns {column!r} and {name!r} are nearly the same: delete or rename one of them" for name in likes]
    return problems


def misspelt(names: Sequence[str], columns: Iterable[str], renamed: Iterable[str] = SYNONYMS) -> dict[str, str]:
    """Columns that are not there while another one is nearly so, or, of those in `renamed`, has a usual other name for it."""
    columns = list(columns)
    others = [name for name in names if name not in columns]
    problems = {}
    for column in (name for name in columns if name not in names):
        synonyms = SYNONYMS.get(column, ()) if column in renamed else ()
        likes = [name for name in others if plain(name) == plain(column)] or [
            name for name in others if plain(name) in synonyms
        ]
        if likes:
            problems[column] = (
                f"there is no column {column!r}, but {' and '.join(map(repr, likes))}: rename it to {column!r} if it is that, "
                "or else to a name that cannot be mistaken for it"
            )
    return problems


def missing(names: Sequence[str], columns: Iterable[str]) -> list[str]:
    """Columns that must be there and are not, each with the column that may be meant."""
    problems = []
    for column in (name for name in columns if name not in names):
        near = difflib.get_close_matches(plain(column), [plain(name) for name in names], 1, SIMILAR)
        meant = next((f": is {name!r} meant?" for name in names if near and plain(name) == near[0]), "")
        problems.append(f"there is no column {column!r}{meant}")
    return problems
