"""Why a stage could not do a clip: a closed list of codes. Nothing is dropped without one of them."""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from pathlib import Path

import csv_table

MAX_SHOWN = 50  # refusals that are listed in full when a run stops


class Code(StrEnum):
    """Why a clip, or one modality of it, is not there."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> "Code":
        code = str.__new__(cls, value)
        code._value_, code.meaning = value, meaning
        return code

    MEDIA_MISSING = "media_missing", "the file that clips.csv names is not there"
    MEDIA_UNREADABLE = "media_unreadable", "no demuxer or no decoder can read it"
    EMPTY_SPAN = "empty_span", "nothing of the medium lies between start and end"
    NO_STREAM = "no_stream", "neither picture nor sound"
    NO_FRAMES = "no_frames", "a picture stream of which no frame decodes"
    NO_SAMPLES = "no_samples", "a sound stream of which no sample decodes"
    DECODER_STOPPED = "decoder_stopped", "its decoder took more time, memory or disk than decoder.* allows"
    WORKER_DIED = (
        "worker_died",
        "its worker process died twice, the second time with this clip alone, or its decoder was killed twice",
    )
    FAILED = "failed", "an error that nobody foresaw, which the stage's log in logs/ shows; the next run tries again"
    NO_FACE = "no_face", "no face in any frame"
    SILENT = "silent", "a sound stream of which every sample is zero"
    NO_SPEECH = "no_speech", "nobody speaks where words had to be transcribed"
    OTHER_LANGUAGE = "other_language", "somebody speaks another language than the speech recognition knows, or was asked for"
    UNSURE_TEXT = "unsure_text", "speech that was not recognised with confidence: no text rather than a wrong one"
    TEXT_UNPLACED = "text_unplaced", "its text was not found in its sound: the words are kept, and share the time evenly"
    NOTHING_LEFT = "nothing_left", "no modality remains"


class TooManyError(RuntimeError):
    """More clips were refused than corpus.max_refused allows; the message is the table."""


class Refusal(Exception):  # noqa: N818 – a result of a clip rather than an error of the program
    """One stage cannot do one clip; other stages of the clip, and other clips, go on."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, order=True)
class Refused:
    """A row of refused.csv."""

    clip_id: str
    stage: str
    code: str
    detail: str


def write(path: Path, rows: Iterable[Refused]) -> None:
    path.unlink(missing_ok=True)  # it may be a name of a file in DVC's cache
    csv_table.write(path, [field.name for field in fields(Refused)], map(astuple, sorted(rows)))


def read(path: Path) -> list[Refused]:
    with path.open(encoding="utf-8", newline="") as file:
        return [Refused(**row) for row in csv.DictReader(file)]


def announce(rows: list[Refused], shown: int = 10) -> None:
    """Print the first refusals; the whole table is in the stage's refused.csv."""
    for row in rows[:shown]:
        print(f"  {row.clip_id}: {row.code}: {row.detail}")
    if len(rows) > shown:
        print(f"  … and {len(rows) - shown} more in refused.csv")


def in_words(rows: Iterable[Refused]) -> list[str]:
    """A line for each code, the most frequent first: how many clips, what the code means, and the first clips."""
    meanings = {code.value: code.meaning for code in Code}
    clips: dict[tuple[str, str], list[str]] = {}
    for row in sorted(rows):
        clips.setdefault((row.stage, row.code), []).append(row.clip_id)
    return [
        f"  {len(ids)} x {code} in {stage}, {meanings[code]}: {', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}"
        for (stage, code), ids in sorted(clips.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def require_few(rows: list[Refused], refused: int, clips: int, most: float) -> None:
    """TooManyError, which lists the refusals, if more than a share `most` of the clips was refused, with no modality left."""
    if refused > most * clips:
        shown = [f"  {row.clip_id}: {row.stage}: {row.code}: {row.detail}" for row in sorted(rows)[:MAX_SHOWN]]
        rest = [f"  … and {len(rows) - MAX_SHOWN} more"] if len(rows) > MAX_SHOWN else []
        lines = [
            f"{refused} of {clips} clips were refused: more than corpus.max_refused ({most:g}) allows",
            *in_words(rows),
            "One by one:",
            *shown,
            *rest,
            "Correct the media or clips.csv, or raise corpus.max_refused; finished clips are kept.",
        ]
        raise TooManyError("\n".join(lines))
