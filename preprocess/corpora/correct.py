"""Take corrections of clips into the corpus' clips.csv.

The report, and `python -m preprocess audit`, save them as a table with the columns clip_id, column, old and new, a row for each
cell. The corpus is corpus.root in params.yaml. What changes is printed. Corrections of one clip are taken together or not at
all; refused are those
- of a clip or a column that is not there, and two that want different values in one cell;
- of a cell that no longer says what it said when it was corrected;
- with which the clip's row would break a rule of clips.csv, or would end before it starts.
Other rows of clips.csv stay as they are, byte by byte. history.csv beside it keeps the old values. `dvc repro` then does the
corrected clips again, and no others.
"""

import argparse
import csv
import io
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import csv_table
import params
from contract import COLUMNS, NOISE_COLUMNS
from preprocess import corpus, header
from preprocess.corpora import tables
from preprocess.corpus import CorpusError

SAMPLE = Path("data/sample")
TABLE, HISTORY = "clips.csv", "history.csv"
FAILED, UNABLE = 1, 2  # exit status: some corrections were refused; nothing could be done
UNBOUND = ("start", "end")  # blank cells of these say "from the beginning" and "to the end", which corrections write as seconds
CLOSE = 1e-5  # numbers that differ by less are one: tables write six digits


@dataclass(frozen=True)
class Correction:
    """A cell of clips.csv, and what it should hold."""

    clip_id: str
    column: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.clip_id}, {self.column}: {self.old!r} becomes {self.new!r}"


@dataclass(frozen=True)
class Refused:
    """A correction that is not taken, and why."""

    correction: Correction
    reason: str

    def __str__(self) -> str:
        cell = self.correction
        return f"{cell.clip_id}, {cell.column} = {cell.new!r}: {self.reason}"


@dataclass
class Table:
    """clips.csv, of which corrected rows alone are written anew."""

    path: Path
    lines: list[str]  # with their ends; the first record is the header
    names: list[str]
    records: list[tuple[int, int]]  # first line of each row, and the one after its last
    rows: dict[str, dict[str, str]]  # cells by column, by clip id, in the order of `records`
    mark: str  # a byte order mark, or ""
    changed: set[str] = field(default_factory=set)  # ids of corrected clips

    def text(self) -> str:
        """The file's new content."""
        end = "\r\n" if self.lines[0].endswith("\r\n") else "\n"
        if self.names != next(csv.reader(io.StringIO(self.lines[0], newline=""))):  # a column is new: so is every row
            return self.mark + csv_table.line(self.names, end) + "".join(self._row(clip_id, end) for clip_id in self.rows)
        kept = self.lines[: self.records[0][0]]
        for (begin, after), clip_id in zip(self.records, self.rows, strict=True):
            kept += [self._row(clip_id, end)] if clip_id in self.changed else self.lines[begin:after]
        return self.mark + "".join(kept + self.lines[self.records[-1][1] :])

    def _row(self, clip_id: str, end: str) -> str:
        return csv_table.line([self.rows[clip_id].get(name, "") for name in self.names], end)


def read_table(root: Path, labels: list[str]) -> Table:
    """The corpus' table; CorpusError where it is not valid as it is."""
    corpus.read(root, labels)
    path = root / TABLE
    text = path.read_bytes().decode("utf-8-sig")
    mark = "\ufeff" if path.read_bytes().startswith(b"\xef\xbb\xbf") else ""
    lines = list(io.StringIO(text, newline=""))
    (first, names), *found = header.rows(io.StringIO(text, newline=""))
    names = header.spelt_as(names, [*COLUMNS, *NOISE_COLUMNS, *labels])
    ends = [first, *(line for line, _ in found)]
    rows = {cells[names.index("clip_id")].strip(): dict(zip(names, cells, strict=True)) for _, cells in found}
    return Table(path, lines, names, list(pairwise(ends)), rows, mark)


def read(path: Path) -> list[Correction]:
    """The corrections of a file; CorpusError where it is no such table."""
    rows = tables.read(path, ("clip_id", "column", "new"), known=("old",))
    return [Correction(row["clip_id"], row["column"], row["old"], row["new"]) for row in rows]


def same(a: str, b: str) -> bool:
    """Whether two cells say the same: texts without spaces around them, and numbers however they are written."""
    a, b = (header.nfc(cell.replace("\r\n", "\n").replace("\r", "\n").strip()) for cell in (a, b))
    try:
        return a == b or abs(float(a) - float(b)) < CLOSE
    except ValueError:
        return False


def apply(corrections: Iterable[Correction], table: Table, labels: list[str]) -> tuple[list[Correction], list[Refused]]:
    """Change the table's rows; what was taken, with the old values as they stood, and what was refused."""
    by_clip: dict[str, list[Correction]] = {}
    for correction in dict.fromkeys(corrections):
        by_clip.setdefault(correction.clip_id, []).append(correction)
    taken: list[Correction] = []
    refused: list[Refused] = []
    for clip_id, wanted in sorted(by_clip.items()):
        reasons = [Refused(item, reason) for item in wanted if (reason := _problem(item, wanted, table, labels))]
        todo = [item for item in wanted if not reasons and not same(_cell(table, item), item.new)]
        if not reasons and todo:
            row = table.rows[clip_id] | {item.column: item.new for item in todo}
            reasons = [Refused(todo[-1], reason)] if (reason := _broken_rule(row, table.path.parent, labels)) else []
        if reasons:
            blamed = {item.correction for item in reasons}
            others = [Refused(item, "it belongs to a clip of which another correction is refused") for item in wanted]
            refused += [*reasons, *(item for item in others if item.correction not in blamed)]
            continue
        taken += [Correction(clip_id, item.column, _cell(table, item), item.new) for item in todo]
        _take(table, clip_id, todo)
    return taken, refused


def _cell(table: Table, correction: Correction) -> str:
    return table.rows[correction.clip_id].get(correction.column, "")


def _take(table: Table, clip_id: str, corrections: list[Correction]) -> None:
    for item in corrections:
        table.rows[clip_id][item.column] = item.new
        table.changed.add(clip_id)
        if item.column not in table.names:
            table.names = [*table.names, item.column]


def _problem(item: Correction, of_clip: list[Correction], table: Table, labels: list[str]) -> str:
    """Why a correction cannot be taken, whatever its value; "" where it can."""
    columns = [name for name in (*COLUMNS, *NOISE_COLUMNS, *labels) if name != "clip_id"]
    if item.clip_id not in table.rows:
        return f"{TABLE} has no such clip: it is gone, or has another id now"
    if item.column not in columns:
        return f"no column that can be corrected; these can: {', '.join(columns)}"
    others = {other.new for other in of_clip if other.column == item.column and not same(other.new, item.new)}
    if others:
        return f"another correction of the same cell wants {' and '.join(map(repr, sorted(others)))}: keep one of them"
    now = _cell(table, item)
    if same(now, item.old) or same(now, item.new) or (item.column in UNBOUND and not now.strip()):
        return ""
    return f"the cell says {now!r} now, and said {item.old!r} when it was corrected: correct it again"


def _broken_rule(row: dict[str, str], root: Path, labels: list[str]) -> str:
    """Which rule of clips.csv the row of a clip would break; "" where none."""
    draft = root / f"{TABLE}.draft"
    try:
        draft.write_text(csv_table.line(row) + csv_table.line(row.values()), encoding="utf-8", newline="")
        (clip,) = corpus.check(draft, root, labels)
    except CorpusError as error:
        return "; ".join(line.strip().removeprefix("row 2, ") for line in str(error).splitlines()[1:])
    except UnicodeEncodeError:
        return "a text with half a character in it"
    finally:
        draft.unlink(missing_ok=True)
    if clip.media and (math.inf if clip.end is None else clip.end) <= clip.start:
        return f"the clip would end at {clip.end:g} s, and start at {clip.start:g} s"
    return ""


def write(table: Table, taken: list[Correction]) -> None:
    """Write clips.csv, and add the old values to history.csv; neither is ever seen half written."""
    history = table.path.with_name(HISTORY)
    before = history.read_bytes().decode() if history.is_file() else csv_table.line(["clip_id", "column", "old", "new"])
    lines = "".join(csv_table.line([item.clip_id, item.column, item.old, item.new]) for item in taken)
    for path, text in ((history, before + lines), (table.path, table.text())):
        unfinished = path.with_name(f"{path.name}.unfinished")
        unfinished.write_text(text, encoding="utf-8", newline="")
        unfinished.replace(path)


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("corrections", type=Path, help="the table that the report or the audit saved")
    command.add_argument("--show", action="store_true", help="only say what would change")


def run(args: argparse.Namespace) -> int:
    """The command; its exit status. CorpusError or ParameterError where nothing can be done."""
    settings = params.load().corpus
    root = Path(settings.root)
    if root.resolve() == SAMPLE.resolve():
        raise CorpusError(
            f"{root} is made by the stage sample, which would write it anew: copy it to data/corpora, and name the copy as "
            "corpus.root"
        )
    table = read_table(root, settings.labels)
    taken, refused = apply(read(args.corrections), table, settings.labels)
    for item in taken:
        print(item)
    for problem in refused:
        print(f"refused: {problem}", file=sys.stderr)
    if taken and not args.show:
        write(table, taken)
    written = "would change" if args.show else f"changed in {table.path}, old values in {HISTORY}"
    print(f"{len(taken)} cells of {len(table.changed)} clips {written if taken else 'change'}; {len(refused)} refused")
    return FAILED if refused else 0
