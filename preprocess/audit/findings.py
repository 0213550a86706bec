"""What an audit says of a corpus: findings, each with what was seen, a proposal, and where there is one a corrected cell."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

import csv_table
from preprocess.corpora.correct import Correction


class Check(StrEnum):
    """What is asked about a clip, and what is wrong with it where the answer is no."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> "Check":
        check = str.__new__(cls, value)
        check._value_, check.meaning = value, meaning
        return check

    TEXT = "text", "the text is not what is said"
    TIMES = "times", "start and end are wrong: words of the text lie outside of them"
    CUT_WORDS = "cut_words", "words of the text are cut off at the clip's start or end"
    SILENT = "silent", "the sound is silent"
    CLIPPED = "clipped", "the sound is clipped: its peaks are cut off"
    GAP = "gap", "the sound breaks off, or is missing for a moment"
    LENGTHS = "lengths", "sound and picture do not have one length"
    SAME = "same", "two clips show the same recording"
    FACE = "face", "the face is not the speaker's"
    LABELS = "labels", "the labels contradict those of the clips that are most like this one"


FAULT, NOTE = "fault", "note"  # a note: something could not be checked, or may be right


@dataclass(frozen=True)
class Finding:
    """A row of audit.csv."""

    clip_id: str
    check: Check
    level: str  # FAULT or NOTE
    found: str  # what was seen or heard
    proposal: str = ""
    corrections: tuple[Correction, ...] = ()


COLUMNS = ("clip_id", "check", "level", "found", "proposal")


def order(finding: Finding) -> tuple[bool, int, str]:
    """Faults before notes, then by the order of the checks, then by clip."""
    return finding.level == NOTE, list(Check).index(finding.check), finding.clip_id


def write(path: Path, findings: Iterable[Finding]) -> None:
    """audit.csv, in the given order."""
    csv_table.write(path, COLUMNS, ([getattr(finding, column) for column in COLUMNS] for finding in findings))


def write_corrections(path: Path, findings: Iterable[Finding]) -> int:
    """corrections.csv, sorted, of every fault with a corrected cell; a clip of which two findings correct one cell is left to a
    person, since its cells are corrected together or not at all."""
    cells: dict[tuple[str, str], set[Correction]] = {}
    for finding in findings:
        for correction in finding.corrections:
            cells.setdefault((correction.clip_id, correction.column), set()).add(correction)
    doubtful = {clip_id for (clip_id, _), of_cell in cells.items() if len(of_cell) > 1}
    rows = [next(iter(of_cell)) for (clip_id, _), of_cell in sorted(cells.items()) if clip_id not in doubtful]
    csv_table.write(path, [field.name for field in fields(Correction)], ([r.clip_id, r.column, r.old, r.new] for r in rows))
    return len(rows)
