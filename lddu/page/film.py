"""The page of a film: it plays, and words, sound, faces and every label with its uncertainty run along one time line.

A short film lies in the page; a longer one stays where it is, and the page names it. Where browsers cannot play it, a small
copy is made. The page needs nothing else: no network, no library, no server.
"""

import base64
import mimetypes
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from lddu.formats.document import Document, Glimpse, Recording, Utterance, Word
from lddu.page import html
from lddu.page.html import thousandths
from preprocess.media import header, playback
from preprocess.media.notes import About
from preprocess.media.probe import MediaError, Streams

TEMPLATE = "film.html"
STYLES = ("style.css", "player.css", "film.css")
SCRIPTS = ("player.js", "timeline.js", "film.js")
EMBEDDED = 8_000_000  # bytes of a film that lies in the page
PICTURES = 3000  # of faces in a page, at most; an hour of them takes about 8 MB
A_WORD, A_LINE = 0.35, 0.8  # seconds in which a text without sound is read
MEANINGS = {about.value: about.meaning for about in About}
# The lane of the time line in which what a stage could not do is said.
LANES = {"frames": "faces", "faces": "faces", "encode_vision": "faces", "audio": "wave", "encode_audio": "wave"}
LANES |= {"transcripts": "words", "encode_text": "words"}
TYPES = {".m4v": "video/mp4", ".m4a": "audio/mp4", ".flac": "audio/flac", ".wav": "audio/wav"}


@dataclass(frozen=True)
class Medium:
    """What a page plays; "" where there is nothing, with the reason in `remark`."""

    source: str = ""  # a data: URL, or the file's place as seen from the page
    picture: bool = False
    remark: str = ""  # what a reader should know of it


def write(document: Document, path: Path) -> None:
    """One page with every recording of a document."""
    films = [film(recording, path, place) for place, recording in enumerate(document.recordings)]
    names = [Path(recording.source).name or recording.source for recording in document.recordings]
    title = names[0] if len(names) == 1 else html.several(len(names), "recording")
    tree = {
        "labels": document.labels,
        "thresholds": [document.thresholds.get(label) for label in document.labels],
        "modalities": document.modalities,
        "films": films,
    }
    html.write(
        path, TEMPLATE, STYLES, SCRIPTS, title=title, learned=learned(document.learned), data=html.data(tree), films=films
    )


def learned(card: dict) -> str:
    """What the network was trained on, as a sentence; "" where that is unknown."""
    if not card:
        return ""
    count, speakers = card["clips"], card.get("speakers")
    people = f" of {speakers} {'person' if speakers == 1 else 'people'}" if speakers else ""
    untested = " Its people are synthetic, and nothing that it says of real people has been tested."
    synthetic = untested if card.get("synthetic") else ""
    return f"The network learned from {html.several(count, 'clip')}{people}, the corpus {card['corpus']}.{synthetic}"


def film(recording: Recording, page: Path, place: int) -> dict:
    """A recording as film.js reads it."""
    streams = streams_of(recording)
    medium = medium_of(recording, streams, page, place)
    outline = playback.outline(recording.path, streams) if recording.path and streams else None
    shown = thinned(recording.glimpses, PICTURES)
    rows, end = read_aloud(recording.utterances) if not recording.timed else (list(recording.utterances), recording.end)
    return {
        "name": Path(recording.source).name or recording.source,
        "error": recording.error,
        "notes": [f"{MEANINGS.get(code, code)}: {detail}" for code, detail in recording.notes],
        "seconds": round(max(end, streams.duration if streams else 0.0), 3),
        "timed": recording.timed,
        "medium": vars(medium),
        "wave": wave_of(outline) if outline else None,
        "faces": [[glimpse.time, _bytes(glimpse.jpeg)] for glimpse in shown],
        "utterances": [utterance_of(utterance) for utterance in rows],
    }


def wave_of(outline: playback.Outline) -> dict:
    return {"rate": outline.rate, "low": _bytes(outline.low.tobytes()), "high": _bytes(outline.high.tobytes())}


def _bytes(content: bytes) -> str:
    return base64.b64encode(content).decode()


def utterance_of(utterance: Utterance) -> dict:
    """An utterance as the scripts read it; shares and probabilities in thousandths, to keep a long film's page small."""
    decisions = list(utterance.labels.values())
    return {
        "start": round(utterance.start, 3),
        "end": round(utterance.end, 3),
        "text": utterance.text,
        "heard": bool(utterance.transcribed),
        "speaker": utterance.speaker,
        "clip": utterance.clip_id,
        "words": [[word.text, word.start, word.end, word.confidence] for word in utterance.words],
        "p": [thousandths(decision.probability) for decision in decisions],
        "yes": [int(decision.predicted) for decision in decisions],
        "sure": [None if decision.sure is None else int(decision.sure) for decision in decisions],
        "doubt": [thousandths(decision.doubt) for decision in decisions],
        "true": [None if decision.true is None else int(decision.true) for decision in decisions],
        "sigma": {m: [thousandths(decision.sigma.get(m)) for decision in decisions] for m in utterance.modalities},
        "alone": {m: [thousandths(decision.alone.get(m)) for decision in decisions] for m in utterance.modalities},
        "says": [f"{m}: {said}" for m, channel in utterance.channels.items() if (said := channel.sentence(m))],
        "channels": {m: [thousandths(of.noise), thousandths(of.ambiguity)] for m, of in utterance.channels.items()},
        "modalities": utterance.modalities,
        "unlike": utterance.unlike,
        "missing": [[LANES.get(row.stage, ""), f"{row.code.replace('_', ' ')}: {row.detail}"] for row in utterance.missing],
    }


def read_aloud(utterances: Sequence[Utterance]) -> tuple[list[Utterance], float]:
    """Texts without sound, each with the time in which it can be read after those before it; and where the last one ends."""
    rows, now = [], 0.0
    for utterance in utterances:
        words = utterance.words or tuple(Word(word, None, None, 0.0) for word in (utterance.text or "").split())
        times = [now + A_WORD * i for i in range(len(words) + 1)]
        timed = tuple(Word(w.text, times[i], times[i + 1], w.confidence, w.spoken) for i, w in enumerate(words))
        end = times[-1] + A_LINE
        rows.append(Utterance(**{**vars(utterance), "start": now, "end": end, "words": timed}))
        now = end
    return rows, now


def thinned(glimpses: Sequence[Glimpse], most: int) -> Sequence[Glimpse]:
    """At most so many, evenly."""
    step = -(-len(glimpses) // most) if glimpses else 1
    return glimpses[::step]


def streams_of(recording: Recording) -> Streams | None:
    """What the recording's file holds; None where there is no such file, or none that can be read."""
    if recording.path is None or not recording.path.is_file():
        return None
    try:
        return header.streams_of(recording.path)
    except MediaError:
        return None


def medium_of(recording: Recording, streams: Streams | None, page: Path, place: int) -> Medium:
    """What the page plays of a recording. A copy that is too large for the page is written beside it."""
    source = recording.path
    if source is None:
        return Medium()
    if streams is None:
        return Medium(remark=f"{source.name} cannot be played: there is no such film or sound")
    picture = streams.width > 0
    try:
        reason = playback.unplayable(source, streams.reading)
        if not reason:
            return Medium(_placed(source, page), picture)
        with TemporaryDirectory(prefix="lddu-") as folder:
            copied = Path(folder) / "copy.mp4"
            playback.copy(source, 0.0, streams.duration, streams.reading, copied)
            remark = f"{source.name} is played from a copy, H.264 and AAC, since {reason}"
            if copied.stat().st_size > EMBEDDED:
                beside = page.with_name(f"{source.stem}{f'.{place}' if place else ''}.copy.mp4")
                shutil.move(copied, beside)
                copied, remark = beside, f"{remark}; it is in {beside.name}, beside the page"
            print(remark, file=sys.stderr)
            return Medium(_placed(copied, page), picture, remark)
    except MediaError as error:
        return Medium(remark=f"{source.name} cannot be played: {error}")


def _placed(source: Path, page: Path) -> str:
    """The file in a data: URL where it is small, else its place as seen from the page's folder."""
    if source.stat().st_size <= EMBEDDED:
        ending = source.suffix.lower()
        kind = TYPES.get(ending) or mimetypes.guess_type(f"a{ending}")[0] or "video/mp4"
        return f"data:{kind};base64,{_bytes(source.read_bytes())}"
    return quote(Path(os.path.relpath(source.resolve(), page.resolve().parent)).as_posix())
