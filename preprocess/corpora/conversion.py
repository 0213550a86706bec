"""What an adapter found: the clips, written as a corpus folder, and a table that says what is there and what is not."""

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from contract import COLUMNS, SPLITS
from preprocess import corpus
from preprocess.corpus import CorpusError

SHOWN = 8  # names of one kind that are written out


@dataclass
class Clip:
    """A row of clips.csv to be written."""

    clip_id: str
    media: str = ""
    start: float | None = None  # seconds into the medium
    end: float | None = None
    text: str = ""
    split: str = ""
    speaker: str = ""
    labels: dict[str, float] = field(default_factory=dict)  # empty: unlabelled
    more: dict[str, str] = field(default_factory=dict)  # further columns, kept for the reader
    notes: list[str] = field(default_factory=list)  # what was put right
    seconds: float = 0.0  # its length, as far as it is known


@dataclass(frozen=True, order=True)
class Missing:
    """A clip, or a part of one, that the corpus lacks: a row of missing.csv."""

    clip_id: str
    what: str
    reason: str


@dataclass
class Found:
    """All that an adapter made of a published corpus."""

    labels: list[str]
    clips: list[Clip] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # on the corpus as a whole

    def miss(self, clip_id: str, what: str, reason: str) -> None:
        self.missing.append(Missing(clip_id, what, reason))


def write(found: Found, folder: Path, replace: bool = False) -> None:
    """Write clips.csv and missing.csv; CorpusError, and nothing written, where clips.csv is another one or would be wrong."""
    if not found.clips:
        raise CorpusError(f"no clip is left to write: {_some(sorted({row.reason for row in found.missing})) or 'no row'}")
    folder.mkdir(parents=True, exist_ok=True)
    path, draft = folder / "clips.csv", folder / "clips.draft.csv"
    more = sorted({name for clip in found.clips for name in clip.more})
    rows = (
        [*_cells(clip, found.labels), *(clip.more.get(name, "") for name in more), "; ".join(clip.notes)]
        for clip in sorted(found.clips, key=lambda clip: clip.clip_id)
    )
    write_table(draft, [*COLUMNS, *found.labels, *more, "note"], rows)
    try:
        corpus.check(draft, folder, found.labels)
        if path.exists() and path.read_bytes() != draft.read_bytes() and not replace:
            raise CorpusError(f"{path} is there already and differs: give --replace to write it anew, or another folder")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    write_missing(folder, found.missing)


def write_missing(folder: Path, missing: list[Missing]) -> None:
    rows = ([row.clip_id, row.what, row.reason] for row in sorted(missing))
    write_table(folder / "missing.csv", ["clip_id", "what", "reason"], rows)


def _cells(clip: Clip, labels: list[str]) -> list[object]:
    times = ["" if value is None else round(value, 6) for value in (clip.start, clip.end)]
    values = [clip.labels.get(name, "") for name in labels]
    return [clip.clip_id, clip.media, *times, clip.text, clip.split, clip.speaker, *values]


def write_table(path: Path, columns: list[str], rows: Iterable[list]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(columns)
        table.writerows(rows)


def summary(found: Found, where: Path) -> str:
    """The table at an adapter's end."""
    clips = found.clips
    labelled = [clip for clip in clips if clip.labels]
    lines = [f"{where}: {len(clips)} clips, {sum(clip.seconds for clip in clips) / 3600:.2f} hours"]
    lines += _grid(found)
    counts = Counter(sum(value > 0 for value in clip.labels.values()) for clip in labelled)
    lines.append("labels per clip: " + (", ".join(f"{n}: {counts[n]}" for n in sorted(counts)) or "no clip is labelled"))
    if any(clip.media or clip.text for clip in clips):
        with_medium, with_text = sum(bool(clip.media) for clip in clips), sum(bool(clip.text) for clip in clips)
        lines.append(f"with a medium {with_medium}, with a text {with_text}")
    lines += [f"missing: {line}" for line in _missing(found.missing)] or ["missing: nothing"]
    notes = Counter(note.partition(":")[0] for clip in clips for note in clip.notes)
    lines += [f"put right: {note} ({count} clips)" for note, count in sorted(notes.items())]
    shared = leakage(clips)
    lines.append(
        "in two splits: "
        + (_some([f"{name} ({', '.join(of)})" for name, of in shared.items()]) or "no speaker or source video")
    )
    return "\n".join([*lines, *found.remarks])


def leakage(clips: list[Clip]) -> dict[str, list[str]]:
    """Speakers, or source videos, in more than one split."""
    return corpus.leakage([corpus.Clip(clip.clip_id, split=clip.split, speaker=clip.speaker) for clip in clips], "speaker")


def _grid(found: Found) -> list[str]:
    """Clips, hours, and positives of each label, by split."""
    names = [*SPLITS, ""]
    own = {name: [clip for clip in found.clips if clip.split == name] for name in names}
    width = max([len(name) for name in found.labels] + [len("unlabelled")])
    rows: list[tuple[str, list[object]]] = [("", [name or "no split" for name in names])]
    rows.append(("clips", [len(own[name]) for name in names]))
    rows.append(("hours", [f"{sum(clip.seconds for clip in own[name]) / 3600:.2f}" for name in names]))
    rows.append(("unlabelled", [sum(not clip.labels for clip in own[name]) for name in names]))
    rows += [(label, [sum(clip.labels.get(label, 0) > 0 for clip in own[name]) for name in names]) for label in found.labels]
    return [f"  {title:<{width}}" + "".join(f"{cell!s:>10}" for cell in cells) for title, cells in rows]


def _missing(rows: list[Missing]) -> list[str]:
    """A line for each thing that is missing for one reason, with how many clips and the first of them."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in sorted(rows):
        groups.setdefault((row.what, row.reason.partition(":")[0]), []).append(row.clip_id)
    return [f"{what} of {len(ids)}, {reason} ({_some(ids)})" for (what, reason), ids in sorted(groups.items())]


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" … and {len(names) - SHOWN} more in all {len(names)}" if len(names) > SHOWN else "")
