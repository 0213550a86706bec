"""M3ED: utterances from dialogues of Chinese television series, each with one or several of seven emotions.

`annotation.json` is {series: {dialogue: {"SpeakerInfo": …, "Dialog": {utterance: {"StartTime": "HH:MM:SS:FF", "EndTime",
"Text", "Speaker", "EmoAnnotation": {"final_mul_emo": "Happy,Surprise", "final_main_emo": "Happy"}}}}}}, with 25 frames a
second. The splits are lists of series: movie_list_train.txt, _val.txt and _test.txt. A clip is an utterance, and scores are
of utterances; one published reader makes a whole dialogue one sample with the union of its labels, which is another task.

Rules. The labels are those of final_mul_emo, or of final_main_emo if that is blank, each with intensity 1; neutral is a label
like the others. An utterance without either is unlabelled. A speaker is a person of a series; a person without a name is a
speaker of one dialogue. A frame number above 24 (84 of the 2,032 published times have one) counts as seconds and frames, and
is noted.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from preprocess.corpora import tables
from preprocess.corpora.conversion import ClipRow, Conversion
from preprocess.corpora.films import Films, note_length, place
from preprocess.corpus import CorpusError

LABELS = ("happy", "neutral", "sad", "disgust", "anger", "fear", "surprise")
FRAME_RATE = 25  # of the FF in times
TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2}):(\d{1,3})")
LISTS = {"train": "movie_list_train.txt", "valid": "movie_list_val.txt", "test": "movie_list_test.txt"}
SHAPE = '{series: {dialogue: {"SpeakerInfo": {…}, "Dialog": {utterance: {"StartTime", "EndTime", "Text", …}}}}}'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--annotation", type=Path, required=True, metavar="JSON", help="annotation.json")
    parser.add_argument("--splits", type=Path, required=True, metavar="FOLDER", help=", ".join(LISTS.values()))
    parser.add_argument(
        "--episodes", type=Path, metavar="JSON", help="relation_annotation_release.json: the episode of each dialogue"
    )
    parser.add_argument(
        "--videos",
        type=Path,
        metavar="FOLDER",
        help="utterances <utterance>.*, or with --episodes whole episodes <series>/<number>.*",
    )


def seconds(time: str) -> float:
    """HH:MM:SS:FF in seconds, also where FF is above 24; ValueError for anything else."""
    match = TIME.fullmatch(time.strip())
    if match is None:
        raise ValueError(f"{time!r}: expected HH:MM:SS:FF, hours, minutes, seconds and frames")
    hours, minutes, whole, frames = (int(part) for part in match.groups())
    return hours * 3600 + minutes * 60 + whole + frames / FRAME_RATE


def labels_of(emotions: dict[str, str]) -> dict[str, float]:
    """1 for each emotion that is named, 0 for the others; empty if none is named. ValueError for an unknown one."""
    names = emotions.get("final_mul_emo") or emotions.get("final_main_emo") or ""
    named = {name.strip().lower() for name in str(names).split(",") if name.strip()}
    if named - set(LABELS):
        raise ValueError(f"emotion {', '.join(sorted(named - set(LABELS)))}: expected of {', '.join(LABELS)}")
    return {label: float(label in named) for label in LABELS} if named else {}


class RepeatedKeyError(ValueError):
    """A name stands twice in one JSON object, of which json would keep the last value alone."""


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        names = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        raise RepeatedKeyError(f"{', '.join(map(repr, names))} stands more than once in one object: expected once")
    return tree


def read_json(path: Path, shape: str) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_each_key_once)
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}; expected {shape}") from None
    except RepeatedKeyError as error:
        raise CorpusError(f"{path}: {error}") from None
    except ValueError as error:
        raise CorpusError(f"{path} is no JSON in UTF-8 ({error}); expected {shape}") from None
    if not isinstance(tree, dict) or not all(isinstance(value, dict) for value in tree.values()):
        raise CorpusError(f"{path} has another shape; expected {shape}")
    return tree


def read_splits(folder: Path) -> dict[str, str]:
    """The split of each series; CorpusError if a list is missing, or if a series is in two lists."""
    split_of: dict[str, str] = {}
    for split, name in LISTS.items():
        try:
            series = (folder / name).read_text(encoding="utf-8-sig").split()
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"{folder / name}: {getattr(error, 'strerror', error)}; expected a series a line") from None
        shared = sorted(set(series) & set(split_of))
        if shared:
            raise CorpusError(f"{folder / name}: {', '.join(shared)} is in the list of {split_of[shared[0]]} too")
        split_of |= dict.fromkeys(series, split)
    return split_of


def clip_of(utterance: str, fields: dict[str, Any], dialogue: str, series: str, people: dict[str, Any]) -> ClipRow:
    """An utterance as a clip, still without its film; ValueError says which field cannot be read."""
    for key in ("StartTime", "EndTime", "Text"):
        if not isinstance(fields.get(key), str):
            raise ValueError(f"{key} is {fields.get(key)!r}: expected a text")
    start, end = seconds(fields["StartTime"]), seconds(fields["EndTime"])
    letter = str(fields.get("Speaker", ""))
    person = people.get(letter)
    name = person.get("Name") if isinstance(person, dict) else None
    clip = ClipRow(utterance, "", start, end, tables.clean(fields["Text"]))
    clip.speaker = f"{series} {name}" if name else f"{dialogue} {letter}".strip()
    clip.labels = labels_of(fields.get("EmoAnnotation") or {})
    clip.more = {"series": series, "dialogue": dialogue, "episode": ""}
    clip.seconds = max(end - start, 0.0)
    if any(int(fields[key].rpartition(":")[2]) >= FRAME_RATE for key in ("StartTime", "EndTime")):
        clip.notes.append(
            f"more than {FRAME_RATE} frames in a second, counted on: {fields['StartTime']} to {fields['EndTime']}"
        )
    if end <= start:
        clip.notes.append(f"end not after start: {fields['StartTime']} to {fields['EndTime']}")
    if not clip.labels:
        clip.notes.append("no emotion named: the clip is unlabelled")
    return clip


def read_annotation(tree: dict[str, Any]) -> list[ClipRow]:
    """Every utterance; CorpusError lists all that cannot be read."""
    clips, problems = [], []
    for series, dialogues in tree.items():
        for dialogue, content in dialogues.items():
            if not isinstance(content, dict) or not isinstance(content.get("Dialog"), dict):
                problems.append(f"{series}, {dialogue}: no Dialog in it")
                continue
            for utterance, fields in content["Dialog"].items():
                try:
                    clips.append(clip_of(utterance, fields, dialogue, series, content.get("SpeakerInfo") or {}))
                except (TypeError, AttributeError):
                    problems.append(f"{utterance}: it is {str(fields)[:40]}")
                except ValueError as error:
                    problems.append(f"{utterance}: {error}")
    if problems:
        raise CorpusError(f"the annotation has mistakes; expected {SHAPE}:\n  " + "\n  ".join(problems))
    return clips


def add_episodes(path: Path, result: Conversion) -> None:
    """The episode number of each dialogue; a dialogue that only one of the two files has is listed as missing."""
    tree = read_json(path, '{series: {dialogue: {"episode", "start_time", "end_time"}}}')
    without_episode: dict[str, str] = {}
    for clip in result.clips:
        place_of = tree.get(clip.more["series"], {}).get(clip.more["dialogue"])
        if isinstance(place_of, dict) and "episode" in place_of:
            clip.more["episode"] = str(place_of["episode"])
        else:
            without_episode[clip.more["dialogue"]] = clip.clip_id
    for dialogue in without_episode:
        result.miss(dialogue, "episode", f"{path.name} does not have the dialogue")
    dialogues = {clip.more["dialogue"] for clip in result.clips}
    for dialogue in (name for series in tree.values() for name in series if name not in dialogues):
        result.miss(dialogue, "dialogue", f"the annotation does not have it, {path.name} does")


def add_films(result: Conversion, films: Films, folder: Path, missing: str) -> None:
    """Give each clip a film: its own if there is one, else that of its episode, cut at the utterance's times."""

    def add_film(clip: ClipRow) -> None:
        series, episode = clip.more["series"], clip.more["episode"]
        utterance_film = films.find(clip.clip_id)
        numbers = [f"{series}/{number}" for number in (episode, episode.zfill(2))] if episode else []
        film = utterance_film or films.find(*numbers)
        if film is None:
            result.miss(clip.clip_id, "film", "left out" if missing == "drop" else "text alone is kept")
            return
        clip.media = place(film, films.folder, folder)
        if film == utterance_film:
            clip.start = clip.end = None
            note_length(clip, film)

    tables.each(result.clips, add_film, "which film is meant is not clear")
    if not any(clip.media for clip in result.clips):
        raise films.nothing_found("<utterance>.* or <series>/<episode>.*", [result.clips[0].clip_id])


def convert(args: argparse.Namespace) -> Conversion:
    split_of = read_splits(args.splits)
    result = Conversion(list(LABELS), read_annotation(read_json(args.annotation, SHAPE)))
    for clip in result.clips:
        clip.split = split_of.get(clip.more["series"], "")
    for series in sorted({clip.more["series"] for clip in result.clips} - set(split_of)):
        result.miss(series, "split", "the series is in none of the lists")
    for series in sorted(set(split_of) - {clip.more["series"] for clip in result.clips}):
        result.miss(series, "series", "the annotation does not have it, the lists of series do")
    if args.episodes:
        add_episodes(args.episodes, result)
    if args.videos:
        add_films(result, Films(args.videos, args.corpus), args.corpus, args.missing)
    result.remarks.append("a clip is an utterance: compare its scores with those of utterances, not of whole dialogues")
    return result
