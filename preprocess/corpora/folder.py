"""Your films: a folder of media files, with or without a table, becomes a first clips.csv for you to edit.

Without a table, each file is a row, and its clip id comes from its path. A table has a column with the name or path of the
file (media, file, filename, path or video, or the column that --column names). Columns that are called as in clips.csv, and a
column for each label, are read; all other columns are copied. `--segment` cuts films of more than 15 seconds at the pauses,
into utterances of 1 to 15 seconds, unless the table has their text or times. Labels of a whole film do not hold for each of
its utterances: theirs stay blank.

Tiers of ELAN and Praat (--table talk.eaf) are read as utterances with text, times, speaker and labels:
preprocess/corpora/annotations.py has the rules.

Rules. A blank text is transcribed, blank labels are predicted. A file that cannot be read, or that the table names and the
folder lacks, is listed in missing.csv. Silence in a film that is cut is left out, and the summary says how much. An utterance
without a speaker gets its film as speaker, so that a film in two splits is reported.
"""

import argparse
import hashlib
import shlex
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import ValidationError

import params
from contract import COLUMNS, NOISE_COLUMNS
from preprocess import header
from preprocess.corpora import annotations, tables
from preprocess.corpora.conversion import ClipRow, Conversion
from preprocess.corpora.films import Films, place, table_name
from preprocess.corpora.tables import Row
from preprocess.corpus import CorpusError
from preprocess.media import probe
from preprocess.media.probe import MediaError
from preprocess.speech import pauses

NAMES = ("media", "file", "filename", "path", "video")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--media", type=Path, metavar="FOLDER", help="the folder with the films; the corpus folder itself if left out"
    )
    parser.add_argument(
        "--table",
        type=Path,
        metavar="FILE",
        help="a CSV table with a row for each film, or for each part of a film; or tiers of ELAN (.eaf) or Praat (.TextGrid); "
        "or a folder of such files",
    )
    parser.add_argument(
        "--tier", default="", metavar="NAME", help="the tier with the utterances; if left out, text and the like"
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
    with probe.limited_memory():
        streams = probe.streams_of(path)
    if not streams.width and not streams.sample_rate:
        raise MediaError("neither picture nor sound in it")
    return streams


def rows_of(table: Path, column: str | None, labels: list[str], encoding: str) -> tuple[list[Row], str]:
    """The rows of the user's table, and the name of its column with the files."""
    rows: list[Row] = []
    known = [name for name in (*COLUMNS, *NOISE_COLUMNS, *labels) if name != "media"]
    tables.each(tables.read(table, (column,) if column else (), encoding, known), rows.append)
    if not rows:
        raise CorpusError(f"{table} has no row below its header")
    names = list(rows[0].cells)
    file_column = column or next((name for name in NAMES if name in names), "")
    if not file_column:
        near = next((name for name in names if header.plain(name) in header.SYNONYMS["media"] + NAMES), "NAME")
        raise CorpusError(
            f"{table} has no column {', '.join(NAMES)}: it has {', '.join(names)}; "
            f"name the one with the files: --column {shlex.quote(near)}"
        )
    absent = [label for label in labels if label not in names]
    if absent and len(absent) < len(labels):
        raise CorpusError(f"{table} has no column {', '.join(absent)}: it needs one for each of {', '.join(labels)}, or none")
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
    clip.notes = [row["note"]] if row["note"] else []
    clip.more = {name: cell for name, cell in row.cells.items() if name not in {*COLUMNS, *labels, column, "note", ""}}
    return clip


def from_table(rows: list[Row], column: str, films: Films, labels: list[str], result: Conversion) -> list[tuple[ClipRow, Path]]:
    """A clip and its film for every row whose film exists; a row without its film, and a film without a row, is missing."""
    pairs: list[tuple[ClipRow, Path]] = []
    paths_written = {table_name(row[column]).removeprefix("./") for row in rows}

    def read_row(row: Row) -> None:
        clip = clip_from(row, labels, column)
        film = film_of(row, column, films, paths_written)
        if film is not None:
            pairs.append((clip, film))
        elif clip.text and not row[column]:
            result.clips.append(clip)
        else:
            result.miss(row[column] or f"row {row.number}", "film", f"{row.path.name} names it, the folder does not have it")

    tables.each(rows, read_row)
    if not pairs and not result.clips:
        raise films.nothing_found(f"what column {column} of the table says", [row[column] for row in rows[:2]])
    used = {film for _, film in pairs}
    for film in films.paths:
        if film not in used:
            result.miss(film.relative_to(films.folder).as_posix(), "row", "the table has none for it: left out")
    copied = sorted({name for clip, _ in pairs for name in clip.more})
    if copied:
        result.remarks.append(f"columns of the table that are copied, and not read: {', '.join(copied)}")
    return pairs


def film_of(row: Row, column: str, films: Films, paths_written: set[str]) -> Path | None:
    """The film that a row names; ValueError names the candidates where that is the name of several."""
    try:
        return films.of_table(row[column], paths_written) if row[column] else None
    except ValueError as error:
        raise ValueError(row.wrong(column, f"a path that says which file is meant: {error}")) from None


def name_clips(pairs: list[tuple[ClipRow, Path]], films: Films) -> None:
    """Give an id to each clip that has none: that of its file, numbered where a file has several clips."""
    file_ids = ids(films.paths, films.folder)
    clips_of = Counter(film for clip, film in pairs if not clip.clip_id)
    numbers: Counter[Path] = Counter()
    for clip, film in pairs:
        if not clip.clip_id:
            numbers[film] += 1
            clip.clip_id = file_ids[film] if clips_of[film] == 1 else f"{file_ids[film]}_{numbers[film]:03d}"


def cut(clip: ClipRow, film: Path, streams: probe.Streams, decoder: params.Decoder) -> list[ClipRow]:
    """The utterances of a long film; a short film, or one without speech, stays one clip."""
    duration = streams.duration
    if duration <= pauses.LONGEST or clip.start is not None or clip.end is not None or clip.text:
        return [clip]
    spans = pauses.utterances(pauses.activity_of(film, duration, decoder, streams.reading))
    if not spans:
        clip.notes.append("no speech found: left whole")
        return [clip]
    digits = max(3, len(str(len(spans))))
    speaker = clip.speaker or clip.clip_id
    return [
        ClipRow(f"{clip.clip_id}_{i:0{digits}d}", "", start, end, "", clip.split, speaker, {}, {**clip.more}, [], end - start)
        for i, (start, end) in enumerate(spans, 1)
    ]


def whole(clip: ClipRow, film: Path, streams: probe.Streams) -> list[ClipRow]:
    return [clip]


def add(
    pairs: list[tuple[ClipRow, Path]], films: Films, folder: Path, result: Conversion, parts: Callable[..., list[ClipRow]]
) -> None:
    """Read the length of each film, cut it by `parts`, and link it; a film that cannot be read costs its own clips alone."""
    streams: dict[Path, probe.Streams] = {}
    for clip, film in pairs:
        name = film.relative_to(films.folder).as_posix()
        try:
            streams[film] = streams.get(film) or streams_in(film)
            duration = streams[film].duration
            utterances = parts(clip, film, streams[film])
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


def label_names(written: str) -> list[str]:
    """The labels of --labels; CorpusError where params.yaml could not have them in corpus.labels."""
    labels = [name.strip() for name in written.split(",")]
    try:
        params.Corpus(root=".", labels=labels, present_above=0, max_refused=0, folds=0, fold=0)
    except ValidationError:
        raise CorpusError(
            f"--labels {written!r}: each label is written once, of letters, digits, spaces, '_' and '-', and no other column "
            f"of clips.csv ({', '.join((*COLUMNS, *NOISE_COLUMNS))})"
        ) from None
    return labels


def table_of(args: argparse.Namespace, labels: list[str]) -> tuple[list[Row], str]:
    """The rows of --table, and the name of their column with the films."""
    if not annotations.is_annotation(args.table):
        return rows_of(args.table, args.column, labels, args.encoding)
    rows = annotations.rows(args.table, labels, args.tier, args.encoding)
    if not rows:
        raise CorpusError(f"{args.table}: no utterance is annotated in it")
    return rows, "media"


def convert(args: argparse.Namespace) -> Conversion:
    settings = params.load() if params.PATH.is_file() or args.segment or not args.labels else None
    labels = label_names(args.labels) if args.labels else settings.corpus.labels if settings else []
    films = Films(args.media or args.corpus, args.corpus)
    result = Conversion(labels)
    if args.table:
        rows, column = table_of(args, labels)
        pairs = from_table(rows, column, films, labels, result)
    else:
        pairs = [(ClipRow(""), path) for path in films.paths]
    name_clips(pairs, films)
    add(pairs, films, args.corpus, result, partial(cut, decoder=settings.decoder) if settings and args.segment else whole)
    result.remarks.append("edit clips.csv: split, speaker, text where it is known, and the labels")
    return result
