"""The clip list that the stage manifest writes: one table for each thing that later stages need."""

import csv
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

FOLDER = Path("data/manifest")


@dataclass(frozen=True)
class Task:
    """One clip that one stage has to process."""

    clip_id: str
    content: dict[str, Any]  # plain JSON: everything about the clip that can change the result; enters the store's key
    seconds: float  # of media, for the progress bar
    source: str = ""  # the file or folder to read, if the content is not in `content` itself; never enters the key
    size: int = 0  # bytes to read; sorts clips by length where `seconds` is 0


@dataclass(frozen=True)
class Medium:
    """A row of media.csv: which part of which file a clip is, and what the file holds."""

    clip_id: str
    media: str  # relative to the corpus
    digest: str  # sha256 of the whole file
    start: float  # seconds into the file
    end: float
    picture: bool
    sound: bool
    width: int  # pixels
    height: int
    frame_rate: float
    sample_rate: int  # hertz
    channels: int
    reading: dict[str, Any] = field(default_factory=dict)  # media.probe.Reading's fields, where they are not the usual ones

    @property
    def duration(self) -> float:
        """Seconds of the clip: of its part of the file, less what is skipped there."""
        gaps = self.reading.get("gaps", [])
        return self.end - self.start - sum(max(0.0, min(b, self.end) - max(a, self.start)) for a, b in gaps)

    def decoding(self, root: Path) -> Task:
        """The task for a stage that decodes; the file may be renamed, its bytes count."""
        content = {"digest": self.digest, "start": self.start, "end": self.end, "reading": self.reading}
        return Task(self.clip_id, content, self.duration, str(root / self.media))


@dataclass(frozen=True)
class Label:
    """A row of labels.csv."""

    clip_id: str
    split: str  # train, valid, test, or other
    values: list[float]  # intensities, NaN where unlabelled


def read_media() -> list[Medium]:
    """Every clip with a medium, sorted by id."""
    with (FOLDER / "media.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return [Medium(**{item.name: _parse(item.type, row[item.name]) for item in fields(Medium)}) for row in rows]


def _parse(kind: Any, cell: str) -> Any:
    return json.loads(cell or "{}") if kind == dict[str, Any] else cell == "1" if kind is bool else kind(cell)


def durations() -> dict[str, float]:
    """Seconds by clip id, of every clip with a medium."""
    return {item.clip_id: item.duration for item in read_media()}


def read_texts() -> dict[str, str]:
    """Text by clip id, of every clip; "" where it will be transcribed."""
    with (FOLDER / "texts.csv").open(encoding="utf-8", newline="") as file:
        return {row["clip_id"]: row["text"] for row in csv.DictReader(file)}


def read_labels(names: list[str]) -> list[Label]:
    """Split and intensities of every clip, sorted by id."""
    with (FOLDER / "labels.csv").open(encoding="utf-8", newline="") as file:
        return [
            Label(row["clip_id"], row["split"] or "other", [float(row[name]) if row[name] else float("nan") for name in names])
            for row in csv.DictReader(file)
        ]
