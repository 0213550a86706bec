"""The corpus folder: `clips.csv` with a row for each clip, and the media files that it names."""

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from contract import COLUMNS, NOISE_COLUMNS, SPLITS
from preprocess import header

CLIP_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


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
        """The cell without spaces around it; its line ends, which the csv module would not put in quotes, are \\n."""
        return (self.cells.get(column) or "").replace("\r\n", "\n").replace("\r", "\n").strip()

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
        if math.isfinite(value) and "_" not in self.text(column) and low <= value <= high:
            return value
        limits = "" if low == -math.inf else f" of at least {low:g}" if high == math.inf else f" from {low:g} to {high:g}"
        self.problem(column, f"a number{limits}, or blank")
        return None


@dataclass
class _Files:
    """The files of the corpus folder, found by the names that a table gives them."""

    root: Path
    _names: dict[Path, dict[str, list[str]]] = field(default_factory=dict)  # of each folder, by `key`

    @cached_property
    def folder(self) -> Path:
        """The corpus folder, after following links."""
        return self.root.resolve()

    def spelt(self, written: str) -> list[str]:
        """The paths that are meant: as written if that exists, or if nothing like it does.

        Otherwise in the other Unicode form (é of one character or of two), with the spaces at the ends of names that a table
        loses, and with / for the \\ of Windows.
        """
        if (self.root / written).exists():
            return [written]
        paths = [""]
        for part in Path(written.replace("\\", "/")).parts:
            paths = [f"{path}{name}/" for path in paths for name in self._in(self.root / path).get(self.key(part), [])]
        return [path.removesuffix("/") for path in paths] or [written]

    def _in(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._names:
            names: dict[str, list[str]] = {}
            for name in sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []:
                names.setdefault(self.key(name), []).append(name)
            self._names[folder] = names
        return self._names[folder]

    @staticmethod
    def key(name: str) -> str:
        return header.nfc(name).strip()


def read(root: Path, labels: list[str]) -> list[Clip]:
    """Every clip of the corpus, sorted by id; CorpusError lists all problems of the table at once."""
    path = root / "clips.csv"
    if not path.is_file():
        raise CorpusError(f"corpus.root: {root} holds no clips.csv ({'an' if root.is_dir() else 'no'} existing folder)")
    return check(path, root, labels)


def check(path: Path, root: Path, labels: list[str]) -> list[Clip]:
    """The clips of a table whose media lie under `root`, sorted by id; CorpusError as in `read`."""
    problems: list[str] = []
    columns = [*COLUMNS, *NOISE_COLUMNS, *labels]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = header.rows(file)
            _, names = next(table, (1, []))
            names = header.spelt_as(names, columns)
            if separator := header.separator(names, columns):
                raise CorpusError(f"{path}: {separator}")
            problems += [f"row 1: {problem}" for problem in _header(names, columns, ["clip_id", *labels])]
            readable = not problems
            rows = list(_rows(table, names, problems))
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is no CSV table in UTF-8 ({error}){header.kind_of(path)}: save it as CSV UTF-8") from None
    except csv.Error as error:
        raise CorpusError(f"{path} is no CSV table: {error}") from None
    files = _Files(root)
    clips = [_clip(row, files, labels) for row in rows] if readable else []
    problems += ["there is no row"] if not rows else _repeated(clips)
    if problems:
        raise CorpusError("\n".join([f"{path} has {len(problems)} problem(s):", *(f"  {problem}" for problem in problems)]))
    return sorted(clips, key=lambda clip: clip.clip_id)


def _header(names: list[str], columns: list[str], required: list[str]) -> list[str]:
    """What is wrong with the header; the cells of rows are checked only if nothing is."""
    misspelt = header.misspelt(names, columns)
    absent = [name for name in required if name not in misspelt]
    return [*header.missing(names, absent), *misspelt.values(), *header.doubled(names, columns)]


def _rows(table: Iterator[tuple[int, list[str]]], names: list[str], problems: list[str]) -> Iterator[_Row]:
    for number, cells in table:
        if len(cells) != len(names):
            problems.append(f"row {number} has {len(cells)} cells: expected {len(names)}, as in row 1")
        yield _Row(number, dict(zip(names, cells, strict=False)), problems)


def _clip(row: _Row, files: _Files, labels: list[str]) -> Clip:
    clip_id = row.text("clip_id")
    if not CLIP_ID.fullmatch(clip_id):
        row.problem("clip_id", "letters, digits, '_', '-' and, after the first, '.'")
    if row.text("split") not in ("", *SPLITS):
        row.problem("split", "train, valid, test, or blank")
    if not row.text("media") and not row.text("text"):
        row.problem("media", "a file, since the row has no text either")
    for column in ("clip_id", "media", "text", "split", "speaker"):
        if row.text(column) in header.FORMULA_ERRORS:
            row.problem(column, "what was there before a spreadsheet program took it for a formula")
    start, end = row.number_in("start") or 0.0, row.number_in("end", 0)
    return Clip(
        clip_id=clip_id,
        media=_media(row, files),
        start=max(start, 0.0),
        end=end,
        text=header.nfc(row.text("text")),
        split=row.text("split"),
        speaker=header.nfc(row.text("speaker")),
        noise={column: value for column in NOISE_COLUMNS if (value := row.number_in(column, 0, 1)) is not None},
        labels=_labels(row, labels),
        note=f"start {start:g} s is before the medium: taken as 0" if start < 0 else "",
    )


def _media(row: _Row, files: _Files) -> str:
    """The path as the disk spells it; a problem if it leads out of the corpus folder, also through a link."""
    written = row.text("media")
    if not written:
        return ""
    if "\0" in written or Path(written).is_absolute() or not _is_inside(files.root / written, files.folder):
        row.problem("media", "a path inside the corpus folder, relative to it")
        return ""
    paths = files.spelt(written)
    if len(paths) > 1:
        row.problem(
            "media", f"the name of one file: {' and '.join(map(ascii, paths))} differ only in their Unicode form or spaces"
        )
    if paths[0] != written and not _is_inside(files.root / paths[0], files.folder):
        row.problem("media", "a path inside the corpus folder, relative to it")
        return ""
    return paths[0]


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a path, after following links, is in a resolved folder or below it; False if it cannot be followed."""
    try:
        path.is_file()
        return path.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # a name too long; links in a circle
        return False


def _labels(row: _Row, labels: list[str]) -> dict[str, float]:
    values = {label: row.number_in(label) for label in labels}
    blank = [label for label in labels if not row.text(label)]
    if blank and len(blank) < len(labels):
        row.problem(blank[0], "a number, since other labels of the row have one (all blank: unlabelled)")
    return {} if blank else {label: value for label, value in values.items() if value is not None}


def _repeated(clips: list[Clip]) -> list[str]:
    counts = Counter(clip.clip_id for clip in clips)
    repeated = sorted(clip_id for clip_id, count in counts.items() if count > 1 and clip_id)
    return [f"clip_id {clip_id!r} is in more than one row: expected once" for clip_id in repeated]


def folded(clips: list[Clip], folds: int, fold: int) -> list[Clip]:
    """The clips with splits by speaker: of `folds` groups of speakers, group `fold` is test and the next group valid.

    Speakers are dealt to the groups in the order of their names; with as many folds as speakers, or more, each group is one
    speaker. Unlabelled clips get no split. CorpusError if a labelled clip has no speaker, or if fewer than three speakers
    leave a split empty.
    """
    without_speaker = [clip.clip_id for clip in clips if clip.labels and not clip.speaker]
    names = {_source(clip, "speaker"): clip.speaker for clip in sorted(clips, key=lambda clip: clip.speaker) if clip.labels}
    speakers = sorted(filter(None, names), key=lambda speaker: names[speaker])
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
    return [replace(clip, split=splits.get(group[_source(clip, "speaker")], "train") if clip.labels else "") for clip in clips]


def _source(clip: Clip, column: str) -> str:
    """What clips of one speaker, or of one file, have in common; Ann, ann and the two Unicode forms of Zoé are one speaker."""
    return clip.media if column == "media" else header.nfc(clip.speaker).casefold()


def leakage(clips: list[Clip], column: str) -> dict[str, list[str]]:
    """Speakers, or media files, that occur in more than one split, with those splits."""
    splits: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    for clip in clips:
        if clip.split and (source := _source(clip, column)):
            splits.setdefault(source, set()).add(clip.split)
            names.setdefault(source, getattr(clip, column))
    return {names[source]: sorted(shared) for source, shared in sorted(splits.items()) if len(shared) > 1}


def leaking_media(clips: list[Clip], digests: dict[str, str]) -> dict[str, list[str]]:
    """As `leakage` of media, where files with the same digest of their content are one, called "a.mp4 = b/a.mp4"."""
    names: dict[str, list[str]] = {}
    for name in sorted({clip.media for clip in clips if clip.split and clip.media}):
        names.setdefault(digests.get(name) or name, []).append(name)
    shared = {name: " = ".join(same) for same in names.values() for name in same}
    return leakage([replace(clip, media=shared.get(clip.media, "")) for clip in clips], "media")
