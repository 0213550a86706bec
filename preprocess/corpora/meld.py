"""MELD: utterances of a television series, each with one of seven emotions; neutral becomes "no label present".

One table a split: `Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime`.
Each split numbers its dialogues from 0, so the clip id is `<split>_dia<dialogue>_utt<utterance>`, and the film,
dia<dialogue>_utt<utterance>.mp4, is searched below the folder of --videos, in a folder with the split in its name (train, dev
or valid, test); with one table alone, the films may lie in no such folder. The films are already cut; StartTime and EndTime
count from the beginning of the episode, so they are only copied, and a note says which are impossible. A film that lasts much
longer than its utterance, or much shorter, is noted. Six labels, each with intensity 1.
"""

import argparse
import re
from collections.abc import Collection
from functools import partial
from itertools import combinations
from pathlib import Path

from preprocess.corpora import tables
from preprocess.corpora.conversion import ClipRow, Conversion
from preprocess.corpora.films import Films, note_length, place
from preprocess.corpora.tables import Row
from preprocess.corpus import CorpusError

NEUTRAL = "neutral"
LABELS = ("joy", "sadness", "anger", "surprise", "disgust", "fear")
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID", "StartTime", "EndTime")
FOLDERS = {"train": "train_splits", "valid": "dev_splits_complete", "test": "output_repeated_splits_test"}
# In the name of a folder, between other characters than letters: "latest" is not "test".
SPLIT_WORDS = {"train": "train", "dev": "valid", "valid": "valid", "val": "valid", "test": "test"}
TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})[,.](\d{1,3})")
LONGEST = 60.0  # seconds; an utterance that lasts longer is a mistake in the table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    for split, name in (("train", "train_sent_emo.csv"), ("valid", "dev_sent_emo.csv"), ("test", "test_sent_emo.csv")):
        parser.add_argument(f"--{split}", type=Path, metavar="CSV", help=name)
    parser.add_argument(
        "--videos",
        type=Path,
        metavar="FOLDER",
        help="a folder with the splits' folders, whose names contain train, dev or test",
    )


def seconds(row: Row, column: str) -> float:
    """HH:MM:SS,mmm in seconds; ValueError for anything else."""
    match = TIME.fullmatch(row[column])
    if match is None:
        raise ValueError(row.wrong(column, "HH:MM:SS,mmm"))
    hours, minutes, whole = (int(part) for part in match.groups()[:3])
    return hours * 3600 + minutes * 60 + whole + float(f"0.{match[4]}")


def clip_of(row: Row, split: str) -> ClipRow:
    """A row as a clip, still without its film; ValueError says which cell cannot be read."""
    emotion = row["Emotion"].lower()
    if emotion not in (*LABELS, NEUTRAL):
        raise ValueError(row.wrong("Emotion", f"one of {', '.join((*LABELS, NEUTRAL))}"))
    if not (row["Dialogue_ID"].isdecimal() and row["Utterance_ID"].isdecimal()):
        raise ValueError(row.wrong("Dialogue_ID", "a number, as in Utterance_ID"))
    clip = ClipRow(f"{split}_dia{int(row['Dialogue_ID'])}_utt{int(row['Utterance_ID'])}", text=tables.plain(row["Utterance"]))
    clip.split, clip.speaker = split, tables.plain(row["Speaker"])
    clip.labels = {label: float(label == emotion) for label in LABELS}
    start, end = seconds(row, "StartTime"), seconds(row, "EndTime")
    clip.seconds = max(end - start, 0.0)
    clip.more = {"series_start": f"{start:.3f}", "series_end": f"{end:.3f}", "sentiment": row["Sentiment"]}
    if end <= start:
        clip.notes.append(f"times of the series impossible, unused: ends {start - end:.3f} s before it starts")
    elif end - start > LONGEST:
        clip.notes.append(f"times of the series impossible, unused: lasts {end - start:.3f} s")
        clip.seconds = 0.0
    if clip.text != row["Utterance"]:
        clip.notes.append("wrong or typographic characters in the text replaced by plain ones")
    return clip


def add(result: Conversion, split: str, row: Row) -> None:
    result.clips.append(clip_of(row, split))


def split_of_folder(path: Path, films: Films) -> str:
    """The split that a film's folders say, the innermost first, below the folder that the user named; "" if none says one."""
    for name in reversed(path.relative_to(films.folder).parts[:-1]):
        splits = {SPLIT_WORDS[word] for word in re.split(r"[^a-z]+", name.lower()) if word in SPLIT_WORDS}
        if len(splits) == 1:
            return splits.pop()
    return ""


def films_by_split(films: Films, splits: Collection[str]) -> dict[tuple[str, str], list[Path]]:
    """The films of each split and name; where there is only one table, films in no split's folder are of its split."""
    only = next(iter(splits)) if len(splits) == 1 else ""
    by_split: dict[tuple[str, str], list[Path]] = {}
    for path in films.paths:
        by_split.setdefault((split_of_folder(path, films) or only, path.stem), []).append(path)
    return by_split


def add_films(result: Conversion, films: Films, folder: Path, missing: str) -> None:
    by_split = films_by_split(films, {clip.split for clip in result.clips})

    def add_film(clip: ClipRow) -> None:
        paths = by_split.get((clip.split, clip.clip_id.partition("_")[2]))
        if paths:
            film = films.only(clip.clip_id, paths)
            clip.media = place(film, films.folder, folder)
            note_length(clip, film, LONGEST)
        else:
            result.miss(clip.clip_id, "film", "left out" if missing == "drop" else "text alone is kept")

    tables.each(result.clips, add_film, "which film is meant is not clear")
    if not any(clip.media for clip in result.clips):
        first = result.clips[0]
        raise films.nothing_found(
            "dia<dialogue>_utt<utterance>.* in a folder with train, dev or test in its name",
            [f"{FOLDERS[first.split]}/{first.clip_id.partition('_')[2]}"],
        )


def convert(args: argparse.Namespace) -> Conversion:
    paths = {split: path for split in FOLDERS if (path := getattr(args, split))}
    if not paths:
        raise CorpusError("give at least one of --train, --valid and --test")
    for one, other in combinations(paths.values(), 2):
        if one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes():
            raise CorpusError(f"{one} and {other} are the same table: each split has its own")
    result = Conversion(list(LABELS))
    for split, path in paths.items():
        tables.each(tables.read(path, COLUMNS, args.encoding), partial(add, result, split))
    if args.videos:
        add_films(result, Films(args.videos, args.corpus), args.corpus, args.missing)
    result.remarks.append("the same actors speak in all splits: the scores do not show how the model does on new speakers")
    return result
