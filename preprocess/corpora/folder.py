"""Your films: a folder of media files, with or without a table, becomes a first clips.csv for you to edit.

Without a table, each file is a row, and its clip id comes from its path. A table has a column with the name or path of the
file (media, file, filename, path or video, or the column that --column names). Columns that are called as in clips.csv, and a
column for each label, are read; all other columns are copied. `--segment` cuts films of more than 15 seconds at the pauses,
into utterances of 1 to 15 seconds, unless the table has their text or times. Labels of a whole film do not hold for each of
its utterances: theirs stay blank.

Rules. A blank text is transcribed, blank labels are predicted. A file that cannot be read, or that the table names and the
folder lacks, is listed in missing.csv. Silence in a film that is cut is left out, and the summary says how much. An utterance
without a speaker gets its film as speaker, so that a film in two splits is reported.
"""

import argparse
import hashlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import params
from contract import COLUMNS
from preprocess.corpora import tables
from preprocess.corpora.conversion import ClipRow, Conversion
from preprocess.corpora.films import Films, place
from preprocess.corpora.tables import Row
from preprocess.corpus import CorpusError
from preprocess.media import probe
from preprocess.media.probe import MediaError
from preprocess.speech import pauses as speech

NAMES = ("media", "file", "filename", "path", "video")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--media", type=Path, metavar="FOLDER", help="the folder with the films; the corpus folder itself if left out"
    )
    parser.add_argument(
        "--table", type=Path, metavar="CSV", help="a table with a row for each film, or for each part of a film"
    )
    parser.add_argument(
        "--column", metavar="NAME", help=f"the table's column with the film's name; if left out, {', '.join(NAMES)}"
    )
    parser.add_argument("--labels", metavar="A,B", help="label columns; corpus.labels of params.yaml if left out")
    parser.add_argument("--segment", action="store_true", help="cut films of more than 15 s into utterances")


def ids(paths: list[Path], folder: Path) -> dict[Path, str]:
    """A clip id for each file, from its path; with a digest of the path where two ids would be the same, or the id blank."""
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    plain = {path: tables.slug(str(Path(name).with_suffix(""))) for path, name in names.items()}
    count = Counter(plain.values())
    digests = {path: hashlib.sha256(name.encode()).hexdigest()[:8] for path, name in names.items()}
    return {
        path: name if name.strip("_.-") and count[name] == 1 else f"{name.strip('_') or 'clip'}-{digests[path]}"
        for path, name in plain.items()
    }


def streams_in(path: Path) -> probe.Streams:
    streams = probe.streams_of(path)
    if not streams.width and not streams.sample_rate:
        raise MediaError("neither picture nor sound in it")
    return streams


def rows_of(table: Path, column: str | None, encoding: str) -> tuple[list[Row], str]:
    """The rows of the user's table, and the name of its column with the files."""
    rows: list[Row] = []
    tables.each(tables.read(table, (column,) if column else (), encoding), rows.append)
    if not rows:
        raise CorpusError(f"{table} has no row below its header")
    names = list(rows[0].cells)
    file_column = column or next((name for name in NAMES if name in names), "")
    if not file_column:
        raise CorpusError(
            f"{table} has no column {', '.join(NAMES)}: it has {', '.join(names)}; name the one with the files: --column"
        )
    return rows, file_column


def clip_from(row: Row, labels: list[str], column: str) -> ClipRow:
    """A row of the table as a clip, still without its film; ValueError names a cell that cannot be read."""
    values = {label: row.number_of(label) for label in labels if label in row.cells}
    intensities = {label: value for label, value in values.items() if value is not None}
    if intensities and len(intensities) < len(labels):
        raise ValueError(
            row.wrong(next(label for label in labels if label not in intensities), "a number, as other labels have one")
        )
    clip = ClipRow(row["clip_id"], "", row.number_of("start"), row.number_of("end"), tables.clean(row["text"]))
    clip.split, clip.speaker, clip.labels = tables.split_of(row, "split"), row["speaker"], intensities
    columns_read = {*COLUMNS, *labels, column, "note"}
    clip.more = {name: cell for name, cell in row.cells.items() if name not in columns_read}
    return clip


def from_table(rows: list[Row], column: str, films: Films, labels: list[str], result: Conversion) -> list[tuple[ClipRow, Path]]:
    """A clip and its film for every row whose film exists; a row without its film, and a film without a row, is missing."""
    by_name = {path.relative_to(films.folder).as_posix(): path for path in films.paths}
    by_name |= {path.name: path for path in films.paths if path.name not in by_name}
    pairs: list[tuple[ClipRow, Path]] = []

    def read_row(row: Row) -> None:
        clip = clip_from(row, labels, column)
        name = row[column].replace("\\", "/").removeprefix("./")
        film = by_name.get(name) or films.find(name)
        if film is None and clip.text and not name:
            result.clips.append(clip)
        elif film is None:
            result.miss(row[column] or f"row {row.number}", "film", f"{row.path.name} names it, the folder does not have it")
        else:
            pairs.append((clip, film))

    tables.each(iter(rows), read_row)
    if not pairs and not result.clips:
        raise films.nothing_found(f"what column {column} of the table says", [row[column] for row in rows[:2]])
    used = {film for _, film in pairs}
    for film in films.paths:
        if film not in used:
            result.miss(film.relative_to(films.folder).as_posix(), "row", "the table has none for it: left out")
    return pairs


def name_clips(pairs: list[tuple[ClipRow, Path]], films: Films) -> None:
    """Give an id to each clip that has none: that of its file, numbered where a file has several clips."""
    file_ids = ids(films.paths, films.folder)
    clips_of = Counter(film for clip, film in pairs if not clip.clip_id)
    numbers: Counter[Path] = Counter()
    for clip, film in pairs:
        if not clip.clip_id:
            numbers[film] += 1
            clip.clip_id = file_ids[film] if clips_of[film] == 1 else f"{file_ids[film]}_{numbers[film]:03d}"


def cut(clip: ClipRow, film: Path, duration: float, decoder: params.Decoder) -> list[ClipRow]:
    """The utterances of a long film; a short film, or one without speech, stays one clip."""
    if duration <= speech.LONGEST or clip.start is not None or clip.end is not None or clip.text:
        return [clip]
    spans = speech.utterances(speech.levels(film, duration, decoder))
    if not spans:
        clip.notes.append("no speech found: left whole")
        return [clip]
    digits = max(3, len(str(len(spans))))
    speaker = clip.speaker or clip.clip_id
    return [
        ClipRow(f"{clip.clip_id}_{i:0{digits}d}", "", start, end, "", clip.split, speaker, {}, {**clip.more}, [], end - start)
        for i, (start, end) in enumerate(spans, 1)
    ]


def whole(clip: ClipRow, film: Path, duration: float) -> list[ClipRow]:
    return [clip]


def add(
    pairs: list[tuple[ClipRow, Path]], films: Films, folder: Path, result: Conversion, parts: Callable[..., list[ClipRow]]
) -> None:
    """Read the length of each film, cut it by `parts`, and link it; a film that cannot be read costs its own clips alone."""
    durations: dict[Path, float] = {}
    for clip, film in pairs:
        name = film.relative_to(films.folder).as_posix()
        try:
            duration = durations.setdefault(film, 0.0) or streams_in(film).duration
            durations[film] = duration
            utterances = parts(clip, film, duration)
        except MediaError as error:
            result.miss(clip.clip_id, "film", f"it cannot be read: {name}: {error}")
            continue
        medium = place(film, films.folder, folder)
        for utterance in utterances:
            utterance.media = medium
            end = duration if utterance.end is None else utterance.end
            utterance.seconds = max(end - (utterance.start or 0.0), 0.0)
        result.clips += utterances
        if len(utterances) > 1:
            silence = duration - sum(utterance.seconds for utterance in utterances)
            result.remarks.append(
                f"{name}: {len(utterances)} utterances of {duration:.1f} s, {silence:.1f} s without speech left out"
            )


def convert(args: argparse.Namespace) -> Conversion:
    settings = params.load() if params.PATH.is_file() or args.segment or not args.labels else None
    labels = [name.strip() for name in args.labels.split(",")] if args.labels else settings.corpus.labels if settings else []
    films = Films(args.media or args.corpus)
    result = Conversion(labels)
    if args.table:
        rows, column = rows_of(args.table, args.column, args.encoding)
        pairs = from_table(rows, column, films, labels, result)
    else:
        pairs = [(ClipRow(""), path) for path in films.paths]
    name_clips(pairs, films)
    add(pairs, films, args.corpus, result, partial(cut, decoder=settings.decoder) if settings and args.segment else whole)
    result.remarks.append("edit clips.csv: split, speaker, text where it is known, and the labels")
    return result
