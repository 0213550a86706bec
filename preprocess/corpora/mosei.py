"""CMU-MOSEI: labels from the raw form and texts from the published split, joined into one corpus.

Raw form: `id,…,segment_id,start,end,sentiment,happy,…,fear`, a row for each segment of a whole video. Texts:
`video_id,clip_id,start,end,split,text`. The two number the segments of a video differently, so they are joined by their
times; both numbers are kept. The clip id is `<video>_<clip>`.

Rules. An intensity is the mean of three annotators, from 0 to 3; a label is present above 0. A row with a blank or
impossible intensity (below 0) is unlabelled: predicted, never scored. An intensity above 3 becomes 3, a start before 0
becomes 0. Segments without a text belong to no published split; those with a film are kept, transcribed and predicted.
"""

import argparse
from dataclasses import dataclass
from functools import cached_property
from math import floor, inf
from pathlib import Path

from preprocess.corpora import tables
from preprocess.corpora.conversion import ClipRow, Conversion
from preprocess.corpora.films import Films, note_length, place
from preprocess.corpora.tables import Row
from preprocess.corpus import CorpusError

LABELS = ("happy", "sad", "anger", "surprise", "disgust", "fear")
HIGHEST = 3.0
TOLERANCE = 0.01  # seconds by which the two forms may differ in the same time
SEGMENTS = ("id", "segment_id", "start", "end", *LABELS)
TEXTS = ("video_id", "clip_id", "start", "end", "split", "text")
PUBLISHED = ("video_id", "clip_id", "mode")


@dataclass
class Segment:
    """A row of the raw form."""

    video: str
    number: str  # segment_id
    start: float
    end: float
    sentiment: str
    labels: dict[str, float]  # empty: a null row
    notes: list[str]
    joined: bool = False


@dataclass
class Segments:
    """The rows of the raw form, found by video and time."""

    rows: list[Segment]

    @cached_property
    def _by_second(self) -> dict[tuple[str, int], list[Segment]]:
        rows: dict[tuple[str, int], list[Segment]] = {}
        for row in self.rows:
            rows.setdefault((row.video, floor(row.start)), []).append(row)
        return rows

    def join(self, video: str, start: float, end: float) -> Segment | None:
        """The segment of a video with these times, to within TOLERANCE, that is not joined to a text yet."""
        seconds = {floor(start - TOLERANCE), floor(start + TOLERANCE)}
        near = [row for second in sorted(seconds) for row in self._by_second.get((video, second), []) if not row.joined]
        differences = [max(abs(row.start - start), abs(row.end - end)) for row in near]
        nearest = min(zip(differences, range(len(near)), strict=True), default=(inf, 0))
        return near[nearest[1]] if nearest[0] <= TOLERANCE else None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--segments", type=Path, required=True, metavar="CSV", help=f"raw form: {','.join(SEGMENTS)}")
    parser.add_argument(
        "--texts", type=Path, required=True, action="append", metavar="CSV", help=f"{','.join(TEXTS)}; may be given often"
    )
    parser.add_argument(
        "--split", type=Path, metavar="CSV", help=f"published split, used instead of that of the texts: {','.join(PUBLISHED)}"
    )
    parser.add_argument("--videos", type=Path, metavar="FOLDER", help="whole videos <video>.*, or cut ones <video>/<clip>.*")


def labels_of(row: Row) -> tuple[dict[str, float], list[str]]:
    """Intensities by the rules above, and what was corrected."""
    values = {label: row.number_of(label) for label in LABELS}
    valid = {label: value for label, value in values.items() if value is not None and value >= 0}
    if len(valid) < len(LABELS):
        return {}, ["null row: an intensity is blank or below 0, the clip is unlabelled"]
    above = [f"{label} {value:g}" for label, value in valid.items() if value > HIGHEST]
    notes = [f"intensity above 3 taken as 3: {', '.join(above)}"] if above else []
    return {label: min(value, HIGHEST) for label, value in valid.items()}, notes


def read_segments(path: Path, result: Conversion, encoding: str) -> Segments:
    """The raw form; a row without times is listed as missing."""
    segments: list[Segment] = []

    def read_row(row: Row) -> None:
        start, end = row.number_of("start"), row.number_of("end")
        labels, notes = labels_of(row)
        if start is None or end is None or not row["id"]:
            result.miss(
                f"{row['id']} segment {row['segment_id']}", "segment", "it has no video, start or end, so it cannot be cut"
            )
            return
        segments.append(Segment(row["id"], row["segment_id"], start, end, row["sentiment"], labels, notes))

    tables.each(tables.read(path, SEGMENTS, encoding), read_row)
    return Segments(segments)


def read_texts(paths: list[Path], segments: Segments, result: Conversion, encoding: str) -> None:
    """A clip for every text, with the labels of the segment that has its times."""

    def read_row(row: Row) -> None:
        start, end = row.number_of("start"), row.number_of("end")
        segment = segments.join(row["video_id"], start, end) if start is not None and end is not None else None
        clip_id = f"{row['video_id']}_{row['clip_id']}"
        clip = ClipRow(clip_id, "", start, end, tables.plain(row["text"]), tables.split_of(row, "split"), row["video_id"])
        clip.more = {"video_id": row["video_id"], "clip": row["clip_id"], "segment": "", "sentiment": ""}
        if segment:
            join(clip, segment)
        else:
            result.miss(clip_id, "labels", f"no segment of its video has its times within {TOLERANCE} s")
        result.clips.append(clip)

    for path in paths:
        tables.each(tables.read(path, TEXTS, encoding), read_row)


def join(clip: ClipRow, segment: Segment) -> None:
    segment.joined = True
    clip.labels, clip.notes = segment.labels, [*segment.notes]
    clip.start, clip.end = segment.start, segment.end
    clip.more |= {"segment": segment.number, "sentiment": segment.sentiment}


def add_textless(segments: Segments, result: Conversion) -> None:
    for segment in (row for row in segments.rows if not row.joined):
        clip = ClipRow(f"{segment.video}_s{segment.number}", speaker=segment.video)
        clip.more = {"video_id": segment.video, "clip": "", "segment": "", "sentiment": ""}
        join(clip, segment)
        result.clips.append(clip)
        result.miss(clip.clip_id, "text", "no text has its times, so it belongs to no published split")


def apply_split(path: Path, result: Conversion, encoding: str) -> None:
    """Take the splits of another table, by video and clip id; a clip that it lacks has none, one without a text is missing."""
    published: dict[str, str] = {}

    def read_row(row: Row) -> None:
        clip_id, split = f"{row['video_id']}_{row['clip_id']}", tables.split_of(row, "mode")
        if published.setdefault(clip_id, split) != split:
            raise ValueError(row.wrong("mode", f"{published[clip_id] or 'blank'}, as for this clip above"))

    tables.each(tables.read(path, PUBLISHED, encoding), read_row)
    if not any(clip.clip_id in published for clip in result.clips):
        clip_ids = f"{next(iter(published), 'none')} instead of {result.clips[0].clip_id}" if result.clips else "none"
        raise CorpusError(f"{path} has the split of none of the texts: its clips are called {clip_ids}")
    for clip in result.clips:
        split = published.pop(clip.clip_id, "")
        if split != clip.split:
            clip.notes.append(f"split of {path.name} taken: {split or 'none'} instead of {clip.split or 'none'}")
            clip.split = split
    for clip_id in published:
        result.miss(clip_id, "clip", f"it is in {path.name}, but no text with times has its id")


def correct_times(clip: ClipRow) -> None:
    if clip.start is None or clip.end is None:
        return
    if clip.start < 0:
        clip.notes.append(f"start before 0 taken as 0: {clip.start:g} s")
        clip.start = 0.0
    if clip.end <= clip.start:
        clip.notes.append(f"end not after start: {clip.end:g} s")
    clip.seconds = max(clip.end - clip.start, 0.0)


def add_films(result: Conversion, films: Films, folder: Path, missing: str) -> None:
    """Give each clip its film; a clip without a film keeps its text, or is left out."""
    names = {clip.clip_id: (clip.more["video_id"], clip.more["clip"] or "?") for clip in result.clips}
    placed: dict[Path, str] = {}

    def add_film(clip: ClipRow) -> None:
        video, number = names[clip.clip_id]
        cut = films.find(f"{video}/{number}", f"{video}_{number}")
        film = films.find(video) or cut
        if film is None:
            reason = f"no {video}.* nor {video}/{number}.*" if missing == "drop" else "text alone is kept"
            result.miss(clip.clip_id, "film", reason)
            return
        if film not in placed:
            placed[film] = place(film, films.folder, folder)
        clip.media = placed[film]
        if film == cut:
            clip.start = clip.end = None
            note_length(clip, film)

    tables.each(result.clips, add_film, "which film is meant is not clear")
    if not placed:
        first = result.clips[0]
        raise films.nothing_found("<video>.* or <video>/<clip>.*", ["/".join(names[first.clip_id]), names[first.clip_id][0]])


def convert(args: argparse.Namespace) -> Conversion:
    result = Conversion(list(LABELS))
    segments = read_segments(args.segments, result, args.encoding)
    read_texts(args.texts, segments, result, args.encoding)
    joined = sum(bool(clip.more["segment"]) for clip in result.clips)
    result.remarks.append(f"joined by times: {joined} of {len(result.clips)} texts found their segment")
    if not joined and result.clips:
        raise CorpusError(f"no text of {args.texts[0]} has the video and times of a segment of {args.segments}")
    add_textless(segments, result)
    if args.split:
        apply_split(args.split, result, args.encoding)
    for clip in result.clips:
        correct_times(clip)
    if args.videos:
        add_films(result, Films(args.videos, args.corpus), args.corpus, args.missing)
    return result
