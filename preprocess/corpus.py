"""The corpus folder: `clips.csv` with a row for each clip, and the media files that it names."""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from contract import COLUMNS, NOISE_COLUMNS, SPLITS

CLIP_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
SOURCES = ("speaker", "media")  # columns whose values must not occur in two splits: that is leakage


class CorpusError(ValueError):
    """clips.csv cannot be used; the message lists every problem with its row, column and value."""


@dataclass(frozen=True)
class Clip:
    """A checked row of clips.csv."""

    clip_id: str
    media: str = ""  # relative to the corpus; "" for text alone
    start: float = 0.0  # seconds into the medium
    end: float | None = None  # None: to the medium's end
    text: str = ""  # "": to be transcribed
    split: str = ""
    speaker: str = ""
    noise: dict[str, float] = field(default_factory=dict)  # by column, where known
    labels: dict[str, float] = field(default_factory=dict)  # intensities; empty where unlabelled
    note: str = ""  # what was corrected


@dataclass
class _Row:
    """A row that is being checked; `problems` is the table's list, to which it adds its own."""

    number: int
    cells: dict[str, str]
    problems: list[str]

    def text(self, column: str) -> str:
        return (self.cells.get(column) or "").strip()

    def problem(self, column: str, expected: str) -> None:
        self.problems.append(f"row {self.number}, {column} = {self.text(column)!r}: expected {expected}")

    def number_in(self, column: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """The cell as a finite number, None where blank."""
        if not self.text(column):
            return None
        try:
            value = float(self.text(column))
        except ValueError:
            value = math.nan
        if math.isfinite(value) and low <= value <= high:
            return value
        limits = "" if low == -math.inf else f" of at least {low:g}" if high == math.inf else f" from {low:g} to {high:g}"
        self.problem(column, f"a number{limits}, or blank")
        return None


def read(root: Path, labels: list[str]) -> list[Clip]:
    """Every clip of the corpus, sorted by id; CorpusError lists all problems of the table at once."""
    path = root / "clips.csv"
    if not path.is_file():
        raise CorpusError(f"corpus.root: {root} holds no clips.csv ({'an' if root.is_dir() else 'no'} existing folder)")
    return check(path, root, labels)


def check(path: Path, root: Path, labels: list[str]) -> list[Clip]:
    """The clips of a table whose media lie under `root`, sorted by id; CorpusError as in `read`."""
    problems: list[str] = []
    clips = []
    try:
        for row in _rows(path, labels, problems):
            clips.append(_clip(row, root, labels))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{path} is no CSV table in UTF-8: {error}") from None
    problems += _whole_table(clips)
    if problems:
        raise CorpusError("\n".join([f"{path} has {len(problems)} problem(s):", *(f"  {problem}" for problem in problems)]))
    return sorted(clips, key=lambda clip: clip.clip_id)


def _rows(path: Path, labels: list[str], problems: list[str]) -> Iterator[_Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        columns = table.fieldnames or []
        problems += [f"row 1: there is no column {name!r}" for name in ["clip_id", *labels] if name not in columns]
        columns_read = {*COLUMNS, *NOISE_COLUMNS, *labels}
        problems += [
            f"row 1: column {name!r} is there {n} times"
            for name, n in Counter(columns).items()
            if n > 1 and name in columns_read
        ]
        for cells in table:
            if None in cells or None in cells.values():
                cell_count = sum(len(value) if key is None else value is not None for key, value in cells.items())
                problems.append(f"row {table.line_num} has {cell_count} cells: expected {len(columns)}, as in row 1")
            yield _Row(table.line_num, cells, problems)


def _clip(row: _Row, root: Path, labels: list[str]) -> Clip:
    clip_id = row.text("clip_id")
    if not CLIP_ID.fullmatch(clip_id):
        row.problem("clip_id", "letters, digits, '_', '-' and, after the first, '.'")
    if row.text("split") not in ("", *SPLITS):
        row.problem("split", "train, valid, test, or blank")
    if not row.text("media") and not row.text("text"):
        row.problem("media", "a file, since the row has no text either")
    start, end = row.number_in("start") or 0.0, row.number_in("end", 0)
    return Clip(
        clip_id=clip_id,
        media=_media(row, root),
        start=max(start, 0.0),
        end=end,
        text=row.text("text"),
        split=row.text("split"),
        speaker=row.text("speaker"),
        noise={column: value for column in NOISE_COLUMNS if (value := row.number_in(column, 0, 1)) is not None},
        labels=_labels(row, labels),
        note=f"start {start:g} s is before the medium: taken as 0" if start < 0 else "",
    )


def _media(row: _Row, root: Path) -> str:
    """The path as written; a problem if it leads out of the corpus folder, also through a link."""
    media = row.text("media")
    if not media:
        return ""
    if "\0" in media or Path(media).is_absolute() or not _is_inside(root / media, root):
        row.problem("media", "a path inside the corpus folder, relative to it")
        return ""
    return media


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a path, after following links, is in a folder or below it; False if it cannot be followed."""
    try:
        path.is_file()
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a name too long; links in a circle
        return False


def _labels(row: _Row, labels: list[str]) -> dict[str, float]:
    values = {label: row.number_in(label) for label in labels}
    blank = [label for label in labels if not row.text(label)]
    if blank and len(blank) < len(labels):
        row.problem(blank[0], "a number, since other labels of the row have one (all blank: unlabelled)")
    return {} if blank else {label: value for label, value in values.items() if value is not None}


def _whole_table(clips: list[Clip]) -> list[str]:
    if not clips:
        return ["there is no row"]
    twice = sorted(clip_id for clip_id, count in Counter(clip.clip_id for clip in clips).items() if count > 1 and clip_id)
    return [f"clip_id {clip_id!r} is in more than one row: expected once" for clip_id in twice]


def folded(clips: list[Clip], folds: int, fold: int) -> list[Clip]:
    """The clips with splits by speaker: of `folds` groups of speakers, group `fold` is test and the next group valid.

    Speakers are dealt to the groups in the order of their names; with as many folds as speakers, or more, each group is one
    speaker. Unlabelled clips get no split. CorpusError if a labelled clip has no speaker, or if fewer than three speakers
    leave a split empty.
    """
    without_speaker = [clip.clip_id for clip in clips if clip.labels and not clip.speaker]
    speakers = sorted({clip.speaker for clip in clips if clip.labels} - {""})
    folds = min(folds, len(speakers))
    if without_speaker:
        more = f" and {len(without_speaker) - 5} more" if len(without_speaker) > 5 else ""
        shown = ", ".join(without_speaker[:5]) + more
        raise CorpusError(
            f"corpus.folds: these labelled clips have no speaker: {shown}; fill the column, or set corpus.folds: 0"
        )
    if not fold < folds or folds < len(SPLITS):
        raise CorpusError(f"corpus.fold is {fold}: {len(speakers)} speakers make {folds} folds, of which at least 3 are needed")
    group = {speaker: i % folds for i, speaker in enumerate(speakers)}
    splits = {fold: "test", (fold + 1) % folds: "valid"}
    return [replace(clip, split=splits.get(group[clip.speaker], "train") if clip.labels else "") for clip in clips]


def leakage(clips: list[Clip], column: str) -> dict[str, list[str]]:
    """Speakers, or media files, that occur in more than one split, with those splits."""
    splits: dict[str, set[str]] = {}
    for clip in clips:
        if clip.split and (source := getattr(clip, column)):
            splits.setdefault(source, set()).add(clip.split)
    return {source: sorted(names) for source, names in sorted(splits.items()) if len(names) > 1}
