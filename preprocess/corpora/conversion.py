"""What an adapter made of a corpus: the rows of clips.csv, what the corpus lacks, and a summary of both."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import csv_table
from contract import COLUMNS, SPLITS
from preprocess import corpus
from preprocess.corpus import CorpusError

SHOWN = 8  # names that the summary lists of one kind


@dataclass
class ClipRow:
    """A row of clips.csv to be written."""

    clip_id: str
    media: str = ""
    start: float | None = None  # seconds into the medium
    end: float | None = None
    text: str = ""
    split: str = ""
    speaker: str = ""
    labels: dict[str, float] = field(default_factory=dict)  # empty: unlabelled
    more: dict[str, str] = field(default_factory=dict)  # further columns, which the pipeline ignores
    notes: list[str] = field(default_factory=list)  # what was corrected
    seconds: float = 0.0  # length, as far as it is known


@dataclass(frozen=True, order=True)
class Missing:
    """A row of missing.csv: a clip that the corpus lacks, or what a clip lacks."""

    clip_id: str
    what: str
    reason: str


@dataclass
class Conversion:
    """A published corpus, or a folder of films, as an adapter converted it."""

    labels: list[str]
    clips: list[ClipRow] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # on the corpus as a whole
    present_above: float = 0.0  # a label is counted as present if its value is above this

    def miss(self, clip_id: str, what: str, reason: str) -> None:
        self.missing.append(Missing(clip_id, what, reason))


def write(result: Conversion, folder: Path, replace: bool = False) -> None:
    """Write clips.csv and missing.csv.

    CorpusError, and nothing is written, if no clip is left, if clips.csv would not be valid, or if another clips.csv is
    already there and `replace` is not set.
    """
    if not result.clips:
        raise CorpusError(f"no clip is left to write: {_some(sorted({row.reason for row in result.missing})) or 'no row'}")
    folder.mkdir(parents=True, exist_ok=True)
    path, draft = folder / "clips.csv", folder / "clips.draft.csv"
    more = sorted({name for clip in result.clips for name in clip.more})
    rows = (
        [*_cells(clip, result.labels), *(clip.more.get(name, "") for name in more), "; ".join(clip.notes)]
        for clip in sorted(result.clips, key=lambda clip: clip.clip_id)
    )
    csv_table.write(draft, [*COLUMNS, *result.labels, *more, "note"], rows)
    try:
        _check(draft, folder, result.labels)
        if path.exists() and path.read_bytes() != draft.read_bytes() and not replace:
            raise CorpusError(f"{path} is there already and differs: give --replace to write it anew, or another folder")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    write_missing(folder, result.missing)


def _check(draft: Path, folder: Path, labels: list[str]) -> None:
    try:
        corpus.check(draft, folder, labels)
    except CorpusError as error:
        raise CorpusError(str(error).replace(str(draft), "clips.csv, which was not written,", 1)) from None


def write_missing(folder: Path, missing: list[Missing]) -> None:
    rows = ([row.clip_id, row.what, row.reason] for row in sorted(missing))
    csv_table.write(folder / "missing.csv", ["clip_id", "what", "reason"], rows)


def _cells(clip: ClipRow, labels: list[str]) -> list[object]:
    times = ["" if value is None else round(value, 6) for value in (clip.start, clip.end)]
    values = [clip.labels.get(name, "") for name in labels]
    return [clip.clip_id, clip.media, *times, clip.text, clip.split, clip.speaker, *values]


def summary(result: Conversion, where: Path) -> str:
    """What the command prints at its end: counts, what is missing, what was corrected, leakage, remarks."""
    clips = result.clips
    labelled = [clip for clip in clips if clip.labels]
    lines = [f"{where}: {len(clips)} clips, {sum(clip.seconds for clip in clips) / 3600:.2f} hours"]
    lines += _counts_by_split(result)
    counts = Counter(sum(value > result.present_above for value in clip.labels.values()) for clip in labelled)
    lines.append("labels per clip: " + (", ".join(f"{n}: {counts[n]}" for n in sorted(counts)) or "no clip is labelled"))
    if any(clip.media or clip.text for clip in clips):
        with_medium, with_text = sum(bool(clip.media) for clip in clips), sum(bool(clip.text) for clip in clips)
        lines.append(f"with a medium {with_medium}, with a text {with_text}")
    lines += [f"missing: {line}" for line in _missing(result.missing)] or ["missing: nothing"]
    notes = Counter(note.partition(":")[0] for clip in clips for note in clip.notes)
    lines += [f"noted: {note} ({count} clips)" for note, count in sorted(notes.items())]
    shared = leakage(clips, "speaker") | leakage(clips, "media")
    lines.append(
        "in two splits: "
        + (_some([f"{name} ({', '.join(splits)})" for name, splits in shared.items()]) or "no speaker, source video or file")
    )
    return "\n".join([*lines, *result.remarks])


def leakage(clips: list[ClipRow], column: str) -> dict[str, list[str]]:
    """Speakers, or media, that occur in more than one split, with those splits; a source video is a speaker."""
    rows = [corpus.Clip(clip.clip_id, clip.media, split=clip.split, speaker=clip.speaker) for clip in clips]
    return corpus.leakage(rows, column)


def _counts_by_split(result: Conversion) -> list[str]:
    """Clips, hours, unlabelled clips, and clips that have each label: a line each, a column a split."""
    names = [*SPLITS, ""]
    by_split = {name: [clip for clip in result.clips if clip.split == name] for name in names}
    width = max([len(name) for name in result.labels] + [len("unlabelled")])
    rows: list[tuple[str, list[object]]] = [("", [name or "no split" for name in names])]
    rows.append(("clips", [len(by_split[name]) for name in names]))
    rows.append(("hours", [f"{sum(clip.seconds for clip in by_split[name]) / 3600:.2f}" for name in names]))
    rows.append(("unlabelled", [sum(not clip.labels for clip in by_split[name]) for name in names]))
    rows += [
        (label, [sum(clip.labels.get(label, 0) > result.present_above for clip in by_split[name]) for name in names])
        for label in result.labels
    ]
    return [f"  {title:<{width}}" + "".join(f"{cell!s:>10}" for cell in cells) for title, cells in rows]


def _missing(rows: list[Missing]) -> list[str]:
    """A line for all that is missing for one reason: of how many clips, and the first of them."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in sorted(rows):
        groups.setdefault((row.what, row.reason.partition(":")[0]), []).append(row.clip_id)
    return [f"{what} of {len(ids)}, {reason} ({_some(ids)})" for (what, reason), ids in sorted(groups.items())]


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" … and {len(names) - SHOWN} more, {len(names)} in all" if len(names) > SHOWN else "")
