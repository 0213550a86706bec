"""CREMA-D: twelve sentences said by actors, with several raters' votes on the voice alone, the face alone, and both.

--votes is the official tabulatedVotes.csv: a row a clip and way of rating, whose first column is 1xxxxx for the voice alone,
2xxxxx for the face alone and 3xxxxx for both; the votes for each emotion are in A, D, F, H, N, S, the clip is in fileName, such
as 1001_DFA_ANG_XX (actor, sentence, intended emotion, level). A row that cannot be used is listed in missing.csv.

Labels are the shares of the votes on both. The entropy of the votes on one channel alone, over log2 6, says how little people
agreed on what they heard, or saw: it becomes noise_audio, and noise_vision, which evaluate alone reads. The speaker is the
actor, the text the sentence. The split goes by the actor's number: of five that follow each other, the first (1001, 1006, …)
is test, the second valid, the others train; --valid and --test name other actors. The film or sound of a clip is searched by
its name below the folder of --videos; a film is taken rather than a sound, mp4 before flv, wav before other sounds.
"""

import argparse
import math
import re
from pathlib import Path

from preprocess.corpora import tables
from preprocess.corpora.conversion import ClipRow, Conversion
from preprocess.corpora.films import Films, note_length, place
from preprocess.corpora.tables import Row
from preprocess.corpus import CorpusError

LABELS = {"A": "anger", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}
COLUMNS = (*LABELS, "fileName", "numResponses")
CHANNELS = {"1": "audio", "2": "vision", "3": "both"}
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
NAME = re.compile(r"\d{4}_[A-Z]{3}_[A-Z]{3}_[A-Z]{1,2}")
ENDINGS = (".mp4", ".flv", ".wav")  # those that are taken first
FIRST_ACTOR, GROUP = 1001, 5
PRESENT_ABOVE = 0.19  # a label is present if at least a fifth of the raters chose it
DIGITS = 6

# Votes by label, of each channel.
Votes = dict[str, dict[str, int]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--votes", type=Path, required=True, metavar="CSV", help="tabulatedVotes.csv")
    parser.add_argument("--videos", type=Path, metavar="FOLDER", help="a folder with the films, or sounds, or folders of them")
    for split in ("valid", "test"):
        parser.add_argument(f"--{split}", metavar="ACTORS", help=f"the actors of {split}, such as 1002,1007; all others: train")


def votes_of(row: Row) -> tuple[str, str, dict[str, int]]:
    """The clip's name, the channel, and the votes for each label; ValueError says which cell cannot be used."""
    channel = CHANNELS.get(next(iter(row.cells.values()))[:1])
    if channel is None:
        raise ValueError(row.wrong(next(iter(row.cells)), "1xxxxx for the voice, 2xxxxx for the face, 3xxxxx for both"))
    if not NAME.fullmatch(row["fileName"]):
        raise ValueError(row.wrong("fileName", "a name such as 1001_DFA_ANG_XX"))
    votes = {}
    for column, label in LABELS.items():
        if not row[column].isdecimal():
            raise ValueError(row.wrong(column, "a number of votes"))
        votes[label] = int(row[column])
    if not sum(votes.values()) or str(sum(votes.values())) != row["numResponses"]:
        raise ValueError(row.wrong("numResponses", f"the sum of the votes, {sum(votes.values())}, which is above 0"))
    return row["fileName"], channel, votes


def entropy(votes: dict[str, int]) -> float:
    """Of the shares, over that of votes which are equally divided: 0 where all agree, 1 where nobody can tell."""
    shares = [count / sum(votes.values()) for count in votes.values() if count]
    return abs(sum(share * math.log2(share) for share in shares)) / math.log2(len(votes))


def read_votes(path: Path, encoding: str, result: Conversion) -> dict[str, Votes]:
    """The votes of every clip; a row that cannot be used, or repeats another, is reported."""
    clips: dict[str, Votes] = {}
    for row in tables.read(path, COLUMNS, encoding):
        try:
            name, channel, votes = votes_of(row)
            if channel in clips.setdefault(name, {}):
                raise ValueError(row.wrong("fileName", f"one row of a clip with the votes on {channel}"))
            clips[name][channel] = votes
        except ValueError as error:
            if isinstance(error, CorpusError):
                raise
            result.miss(row["fileName"], "votes", f"row unused: {error}")
    return clips


def clip_of(name: str, votes: Votes, split: str) -> ClipRow:
    """A clip, still without its medium."""
    actor, sentence, intended, level = name.split("_")
    clip = ClipRow(name, text=SENTENCES.get(sentence, ""), split=split, speaker=actor)
    if not clip.text:
        clip.notes.append(f"unknown sentence: {sentence}, which is transcribed")
    of_both = votes.get("both", {})
    clip.labels = {label: round(count / sum(of_both.values()), DIGITS) for label, count in of_both.items()}
    clip.more = {f"noise_{m}": f"{entropy(votes[m]):.{DIGITS}f}" if m in votes else "" for m in ("audio", "vision")}
    clip.more |= {"intended": LABELS.get(intended[0], intended), "level": level}
    return clip


def split_of(actor: int, named: dict[str, set[int]]) -> str:
    """By the lists of actors if there are any, or else by the actor's place in its group of five."""
    if any(named.values()):
        return next((split for split, actors in named.items() if actor in actors), "train")
    return {0: "test", 1: "valid"}.get((actor - FIRST_ACTOR) % GROUP, "train")


def actors_of(written: str | None, option: str, known: set[int]) -> set[int]:
    """The actors of a list; CorpusError for one that has no clip."""
    names = [name.strip() for name in (written or "").split(",") if name.strip()]
    unknown = [name for name in names if not (name.isdecimal() and int(name) in known)]
    if unknown:
        raise CorpusError(f"--{option}: no clip of {', '.join(unknown)}; there are the actors {min(known)} to {max(known)}")
    return {int(name) for name in names}


def film_of(name: str, films: Films) -> Path | None:
    """The clip's film or sound; ValueError names the candidates if two have the ending that is taken first."""
    paths = films.named(name)
    first = min((path.suffix.lower() for path in paths), key=lambda x: (*ENDINGS, x).index(x), default="")
    return films.only(name, [path for path in paths if path.suffix.lower() == first]) if paths else None


def add_films(result: Conversion, films: Films, folder: Path, missing: str) -> None:
    def add_film(clip: ClipRow) -> None:
        film = film_of(clip.clip_id, films)
        if film:
            clip.media = place(film, films.folder, folder)
            note_length(clip, film)
        else:
            result.miss(clip.clip_id, "film", "left out" if missing == "drop" else "text alone is kept")

    tables.each(result.clips, add_film, "which film is meant is not clear")
    if not any(clip.media for clip in result.clips):
        raise films.nothing_found("<actor>_<sentence>_<emotion>_<level>.*", [result.clips[0].clip_id])


def convert(args: argparse.Namespace) -> Conversion:
    result = Conversion(list(LABELS.values()), present_above=PRESENT_ABOVE)
    votes = read_votes(args.votes, args.encoding, result)
    known = {int(name[:4]) for name in votes}
    if not known:
        raise CorpusError(f"{args.votes} has no row that can be used; the first: {result.missing[:1] or 'there is none'}")
    named = {split: actors_of(getattr(args, split), split, known) for split in ("valid", "test")}
    if both := named["valid"] & named["test"]:
        raise CorpusError(f"--valid and --test both name {', '.join(map(str, sorted(both)))}: an actor has one split")
    for name, of_clip in sorted(votes.items()):
        result.clips.append(clip_of(name, of_clip, split_of(int(name[:4]), named)))
        for channel, what in (("both", "labels"), ("audio", "noise_audio"), ("vision", "noise_vision")):
            if channel not in of_clip:
                result.miss(name, what, f"no votes on {channel} in the table")
    if args.videos:
        add_films(result, Films(args.videos, args.corpus), args.corpus, args.missing)
    result.remarks.append(
        f"labels are shares of the raters: corpus.present_above: {PRESENT_ABOVE} reads a label as present if at least a fifth "
        "chose it, and so do the counts above; train.targets: share learns the shares themselves"
    )
    return result
