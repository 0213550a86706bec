"""What is worth knowing of a clip from which nothing is missing: data/manifest/notes.csv, one row a note."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from pathlib import Path

import csv_table


class About(StrEnum):
    """What a note is about."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> "About":
        code = str.__new__(cls, value)
        code._value_, code.meaning = value, meaning
        return code

    TABLE = "table", "a value of clips.csv was corrected"
    CUT_SHORT = "cut_short", "the file ends more than a second before the clip does: the clip ends with it"
    SOUND_TRACK = "sound_track", "the default sound track cannot be decoded: another one is heard"
    SOUND_CHANNEL = "sound_channel", "mixing the channels would lose more than 6 dB: the loudest channel is heard alone"
    DURATION = "duration", "the file's header says another duration than there is: what is there counts"
    CLOCK_JUMP = "clock_jump", "the file's clock is set anew, as in joined recordings: it is read in order, as one recording"
    CLOCK_BACK = "clock_back", "the file's clock goes back: it is broken in time, and what comes later may be lost or misplaced"
    UNREAD = "unread", "a good deal of the file is not read, as where a second recording was appended: its end may be missing"
    CLOCK_GAP = "clock_gap", "for more than 10 s the file holds neither picture nor sound: that time is skipped"


@dataclass(frozen=True, order=True)
class Note:
    """A row of notes.csv."""

    clip_id: str
    code: str
    detail: str


def write(path: Path, rows: Iterable[Note]) -> None:
    """A table of notes, sorted."""
    csv_table.write(path, [field.name for field in fields(Note)], map(astuple, sorted(rows)))


def counts(notes: Iterable[Note]) -> dict[str, int]:
    """How many notes there are of each code."""
    return dict(sorted(Counter(note.code for note in notes).items()))


def in_words(notes: Iterable[Note]) -> list[str]:
    """A line for every code: how many notes, what it means, and some of the clips."""
    meanings = {code.value: code.meaning for code in About}
    clips: dict[str, list[str]] = {}
    for note in sorted(notes):
        clips.setdefault(note.code, []).append(note.clip_id)
    return [
        f"  {len(ids)} x {code}, {meanings[code]}: {', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}"
        for code, ids in sorted(clips.items())
    ]
