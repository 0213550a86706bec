"""`.vtt` and `.srt`: what is said, and below it the labels that are there, with their probabilities."""

import html
from collections.abc import Callable, Iterator
from pathlib import Path

from webvtt import Caption, WebVTT

from lddu.formats.document import Document, Recording, Utterance
from lddu.formats.endings import FormatError
from lddu.formats.text import line

MARKS = {"yes": "", "unsure": "?"}  # labels that are not there are not shown


def lines_of(utterance: Utterance) -> list[str]:
    """What a subtitle says; nothing where nothing is said and no label is there."""
    said = line(utterance.text or "")
    who = f"{line(utterance.speaker)}: " if utterance.speaker and said else ""
    shown = [f"{label}{MARKS[of.answer]} {of.probability:.2f}" for label, of in utterance.labels.items() if of.answer in MARKS]
    return [text for text in (who + said, f"[{', '.join(shown)}]" if shown else "") if text]


def captions(recording: Recording, escape: Callable[[str], str]) -> Iterator[Caption]:
    """FormatError where the recording has no time line."""
    if not recording.timed:
        raise FormatError(f"{recording.source} has no time line, as text alone has none: no subtitle can be shown")
    for utterance in recording.utterances:
        if lines := lines_of(utterance):
            end = max(utterance.end, utterance.start + 0.001)
            yield Caption(timestamp(utterance.start), timestamp(end), [escape(text) for text in lines])


def timestamp(seconds: float) -> str:
    minutes, milliseconds = divmod(round(max(seconds, 0.0) * 1000), 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}"


def unmarked(text: str) -> str:
    """For players of .srt, which obey tags and know no escapes."""
    return text.replace("<", "‹").replace(">", "›")


def write(document: Document, path: Path) -> None:
    (recording,) = document.recordings
    kind = path.suffix.lower().removeprefix(".")
    escape = unmarked if kind == "srt" else lambda text: html.escape(text, quote=False)
    with path.open("w", encoding="utf-8", newline="") as file:
        WebVTT(captions=list(captions(recording, escape))).write(file, kind)
