"""Own films: a folder of media, and a table where there is one, become a first clips.csv to be edited.

Without a table a row is a file; its id comes from its path. A table has a column with the file's name or path (media, file,
filename, path or video, or the one that --column names); columns called as in clips.csv, and one for each label, are taken
over, all others kept. `--segment` cuts films of more than 15 seconds into utterances of 1 to 15 at the pauses, unless the
table gives their text or times; the labels of a whole film are not its utterances' and stay blank.

Rules. Texts that are blank are transcribed, labels that are blank are predicted. A file that cannot be read, or that the table
names and the folder lacks, is missing. What says nothing in a long film is left out with it, and said. The speaker of an
utterance is its film where no other is known, so that a film in two splits is seen.
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
from preprocess.corpora.films import Films, place
from preprocess.corpora.found import Clip, Found
from preprocess.corpora.tables import Row
from preprocess.corpus import CorpusError
from preprocess.media import probe
from preprocess.media.probe import MediaError
from preprocess.speech import pauses

NAMES = ("media", "file", "filename", "path", "video")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--media", type=Path, metavar="FOLDER", help="where the films lie; the corpus folder itself if left out"
    )
    parser.add_argument("--table", type=Path, metavar="CSV", help="a row a film, or a part of one")
    parser.add_argument("--column", metavar="NAME", help=f"of the table, with the film's name; else one of {', '.join(NAMES)}")
    parser.add_argument("--labels", metavar="A,B", help="label columns; corpus.labels of params.yaml if left out")
    parser.add_argument("--segment", action="store_true", help="cut films of more than 15 s into utterances")


def ids(paths: list[Path], folder: Path) -> dict[Path, str]:
    """A clip id for each file, from its path; where two would be the same, or nothing is left of it, with a digest of it."""
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
    """The rows of the user's table, and its column with the files."""
    rows: list[Row] = []
    tables.each(tables.read(table, (column,) if column else (), encoding), rows.append)
    if not rows:
        raise CorpusError(f"{table} has no row below its first")
    there = list(rows[0].cells)
    chosen = column or next((name for name in NAMES if name in there), "")
    if not chosen:
        raise CorpusError(
            f"{table} has no column {', '.join(NAMES)}: it has {', '.join(there)}; name the one with the files: --column"
        )
    return rows, chosen


def clip_from(row: Row, labels: list[str], column: str) -> Clip:
    """What a table says of a film; ValueError names a cell that cannot be read."""
    values = {label: row.number_of(label) for label in labels if label in row.cells}
    known = {label: value for label, value in values.items() if value is not None}
    if known and len(known) < len(labels):
        raise ValueError(row.wrong(next(label for label in labels if label not in known), "a number, as other labels have one"))
    clip = Clip(row["clip_id"], "", row.number_of("start"), row.number_of("end"), tables.clean(row["text"]))
    clip.split, clip.speaker, clip.labels = tables.split_of(row, "split"), row["speaker"], known
    taken = {*COLUMNS, *labels, column, "note"}
    clip.more = {name: cell for name, cell in row.cells.items() if name not in taken}
    return clip


def from_table(rows: list[Row], column: str, films: Films, labels: list[str], found: Found) -> list[tuple[Clip, Path]]:
    """A clip for every row whose file is there; files without a row are missing in the table."""
    by_name = {path.relative_to(films.folder).as_posix(): path for path in films.paths}
    by_name |= {path.name: path for path in films.paths if path.name not in by_name}
    pairs: list[tuple[Clip, Path]] = []

    def one(row: Row) -> None:
        clip = clip_from(row, labels, column)
        name = row[column].replace("\\", "/").removeprefix("./")
        film = by_name.get(name) or films.find(name)
        if film is None and clip.text and not name:
            found.clips.append(clip)
        elif film is None:
            found.miss(row[column] or f"row {row.number}", "film", f"{row.path.name} names it, the folder does not have it")
        else:
            pairs.append((clip, film))

    tables.each(iter(rows), one)
    if not pairs and not found.clips:
        raise films.nothing_found(f"what column {column} of the table says", [row[column] for row in rows[:2]])
    used = {film for _, film in pairs}
    for film in films.paths:
        if film not in used:
            found.miss(film.relative_to(films.folder).as_posix(), "row", "the table has none for it: left out")
    return pairs


def name_clips(pairs: list[tuple[Clip, Path]], films: Films) -> None:
    """Ids for clips whose table has none: the file's, numbered where a file has several."""
    of_file = ids(films.paths, films.folder)
    count = Counter(film for clip, film in pairs if not clip.clip_id)
    seen: Counter[Path] = Counter()
    for clip, film in pairs:
        if not clip.clip_id:
            seen[film] += 1
            clip.clip_id = of_file[film] if count[film] == 1 else f"{of_file[film]}_{seen[film]:03d}"


def cut(clip: Clip, film: Path, duration: float, decoder: params.Decoder) -> list[Clip]:
    """The utterances of a long film; the film whole where it is short, or has none."""
    if duration <= pauses.LONGEST or clip.start is not None or clip.end is not None or clip.text:
        return [clip]
    spans = pauses.utterances(pauses.activity_of(film, duration, decoder))
    if not spans:
        clip.notes.append("no speech found: left whole")
        return [clip]
    digits = max(3, len(str(len(spans))))
    speaker = clip.speaker or clip.clip_id
    return [
        Clip(f"{clip.clip_id}_{i:0{digits}d}", "", start, end, "", clip.split, speaker, {}, {**clip.more}, [], end - start)
        for i, (start, end) in enumerate(spans, 1)
    ]


def whole(clip: Clip, film: Path, duration: float) -> list[Clip]:
    return [clip]


def add(pairs: list[tuple[Clip, Path]], films: Films, folder: Path, found: Found, parts: Callable[..., list[Clip]]) -> None:
    """Probe, cut and place the films; one that cannot be read costs its own clips alone."""
    durations: dict[Path, float] = {}
    for clip, film in pairs:
        name = film.relative_to(films.folder).as_posix()
        try:
            duration = durations.setdefault(film, 0.0) or streams_in(film).duration
            durations[film] = duration
            own = parts(clip, film, duration)
        except MediaError as error:
            found.miss(clip.clip_id, "film", f"it cannot be read: {name}: {error}")
            continue
        medium = place(film, films.folder, folder)
        for part in own:
            part.media = medium
            part.seconds = max((part.end if part.end is not None else duration) - (part.start or 0.0), 0.0)
        found.clips += own
        if len(own) > 1:
            left = duration - sum(part.seconds for part in own)
            found.remarks.append(f"{name}: {len(own)} utterances of {duration:.1f} s, {left:.1f} s without speech left out")


def convert(args: argparse.Namespace) -> Found:
    settings = params.load() if params.PATH.is_file() or args.segment or not args.labels else None
    labels = [name.strip() for name in args.labels.split(",")] if args.labels else settings.corpus.labels if settings else []
    films = Films(args.media or args.corpus)
    found = Found(labels)
    if args.table:
        rows, column = rows_of(args.table, args.column, args.encoding)
        pairs = from_table(rows, column, films, labels, found)
    else:
        pairs = [(Clip(""), path) for path in films.paths]
    name_clips(pairs, films)
    add(pairs, films, args.corpus, found, partial(cut, decoder=settings.decoder) if settings and args.segment else whole)
    found.remarks.append("edit clips.csv: split, speaker, text where it is known, and the labels")
    return found
