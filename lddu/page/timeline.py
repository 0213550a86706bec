"""One clip on one time line: the face, the sound and the words over a shared axis in seconds, as HTML."""

import math
import unicodedata
from dataclasses import dataclass

import numpy as np

from lddu.page.footage import Envelope, Footage, Strip
from lddu.page.html import data_uri, number, several, text
from preprocess.speech.words import OPEN, STRICT, Transcript, Word

# The narrowest a time line is drawn, in pixels; where the screen is narrower it scrolls.
NARROWEST, WIDEST, A_SECOND = 330, 4800, 120
SPACIOUS = 600  # pixels that it has at least on a desktop; report.html says from which width on
PICTURE = 42  # pixels of a picture of the strip at that width
FEWEST, MOST = 6, 24  # pictures of a strip
LETTER, WIDE_LETTER, AROUND = 7.6, 15.0, 7.0  # pixels of a word's letters, and around them
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)  # seconds between marks of the axis
MARKS = 9  # of the axis, at most
FIRM = {STRICT: "strict", OPEN: "open"}  # any other confidence: interpolated
HEIGHT = 100  # of the drawing of the sound, in its own units


@dataclass(frozen=True)
class Axis:
    """How seconds become places."""

    seconds: float

    @property
    def narrowest(self) -> float:
        """Pixels."""
        return min(max(self.seconds * A_SECOND, NARROWEST), WIDEST)

    @property
    def pictures(self) -> int:
        return int(min(max(self.narrowest / PICTURE, FEWEST), MOST))

    def share(self, seconds: float) -> float:
        """Percent of the width."""
        return 100 * min(max(seconds, 0.0), self.seconds) / self.seconds

    def place(self, start: float, end: float) -> str:
        """CSS of what lies between two times."""
        left = self.share(start)
        return f"left:{left:.2f}%;width:{max(self.share(end) - left, 0.3):.2f}%"

    @property
    def marks(self) -> list[float]:
        step = next((step for step in STEPS if self.seconds / step <= MARKS), self.seconds / MARKS)
        return [i * step for i in range(int(self.seconds / step + 1e-9) + 1)]


def draw(footage: Footage, seconds: float) -> str:
    """The time line of a clip that lasts `seconds`; words alone, one after the other, where nothing has a time."""
    tracks = [_face(footage, seconds), _sound(footage, seconds), _words(footage, seconds)]
    if not seconds:
        return f'<div class="line">{"".join(tracks)}</div>'
    axis = Axis(seconds)
    lines = "".join(f'<i style="left:{axis.share(mark):.2f}%"></i>' for mark in axis.marks)
    labels = "".join(f'<span style="left:{axis.share(mark):.2f}%">{mark:g}</span>' for mark in axis.marks)
    return (
        '<div class="line wide" tabindex="0" role="group" aria-label="time line">'
        f'<div class="tracks" style="min-width:{axis.narrowest:.0f}px"><div class="grid" aria-hidden="true">{lines}</div>'
        f'{"".join(tracks)}<div class="axis" aria-hidden="true">{labels}<b>seconds</b></div></div></div>'
    )


def _track(modality: str, note: str, body: str) -> str:
    head = f'<p class="note"><span class="m {modality}">{modality}</span> {note}</p>'
    return f'<div class="track {modality}">{head}{body}</div>'


def _absent(modality: str, footage: Footage) -> str:
    return _track(modality, f"absent – {text(footage.absent[modality])}", "")


def _face(footage: Footage, seconds: float) -> str:
    found = footage.strip
    if found is None:
        return _absent("vision", footage)
    pictures = "".join(_picture(moment.time, moment.seen, moment.jpeg) for moment in found.moments)
    body = f'<div class="strip" style="{Axis(seconds).place(found.start, found.end)};--n:{len(found.moments)}">{pictures}</div>'
    return _track("vision", _seen(found, footage), f'<div class="lane">{body}</div>')


def _seen(found: Strip, footage: Footage) -> str:
    if "vision" in footage.absent:
        return f"absent – {text(footage.absent['vision'])}; the frames in which it was looked for"
    return f"face seen in {found.seen} of {several(found.frames, 'frame')}"


def _picture(time: float, seen: bool, jpeg: bytes) -> str:
    if not jpeg:
        return f'<span class="faceless" role="img" aria-label="no face seen at {time:.2f} s"></span>'
    about = "the face" if seen else "a frame without a face"
    kind = "" if seen else ' class="unseen"'
    return f'<img{kind} src="{data_uri(jpeg, "jpeg")}" alt="{about} at {time:.2f} s" title="{time:.2f} s">'


def _sound(footage: Footage, seconds: float) -> str:
    found = footage.sound
    if found is None:
        return _absent("audio", footage)
    decibels = round(20 * math.log10(found.peak)) if found.peak else 0
    peak = f"drawn to its own peak of {number(decibels, 0)} dBFS" if found.peak else "nothing but silence"
    place = Axis(seconds).place(0, found.seconds)
    image = (
        f'<svg style="{place}" viewBox="0 0 {len(found.low)} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="waveform, {peak}"><path d="{outline(found)}"/></svg>'
    )
    return _track("audio", peak, f'<div class="lane">{image}</div>')


def outline(found: Envelope) -> str:
    """The closed path along the highest samples and back along the lowest."""
    middle = HEIGHT / 2
    high = [f"{i},{middle * (1 - value):.1f}" for i, value in enumerate(found.high)]
    low = [f"{i},{middle * (1 - value) + 0.6:.1f}" for i, value in enumerate(found.low)]
    return f"M{' '.join(high + low[::-1])}Z"


def _words(footage: Footage, seconds: float) -> str:
    found = footage.transcript
    if found is None:
        return _absent("text", footage)
    origin = "heard by Whisper" if found.transcribed else "given with the clip"
    if found.words and found.words[0].start is not None:
        return _track("text", f"{origin}, each word at its time", _boxes(found.words, Axis(seconds)))
    if not seconds:
        body = "".join(f'<span class="word timeless"><bdi>{text(word.word)}</bdi></span>' for word in found.words)
        return _track("text", f"{origin}; without sound or picture, so without times", f'<p class="flow">{body}</p>')
    return _track("text", f"{origin}; their times are unknown: spread evenly", _boxes(spread(found, seconds), Axis(seconds)))


def spread(found: Transcript, seconds: float) -> list[Word]:
    """The words of a transcript without times, evenly over the clip."""
    edges = np.linspace(0, seconds, len(found.words) + 1)
    return [
        Word(word.word, float(start), float(end), word.confidence)
        for word, start, end in zip(found.words, edges[:-1], edges[1:], strict=True)
    ]


def _boxes(found: list[Word], axis: Axis) -> str:
    """Every word in a box from its start to its end, in as many lanes as keep their letters apart: two choices by width."""
    timed = [(word, word.start, word.end) for word in found if word.start is not None and word.end is not None]
    boxes = [(axis.share(start), axis.share(end), letters(word.word)) for word, start, end in timed]
    narrow, spacious = pack(boxes, axis.narrowest), pack(boxes, max(axis.narrowest, SPACIOUS))
    body = "".join(
        f'<span class="word {FIRM.get(word.confidence, "guess")}" style="{axis.place(start, end)};--narrow:{a};--spacious:{b}" '
        f'title="{start:.2f} to {end:.2f} s"><bdi>{text(word.word)}</bdi></span> '
        for (word, start, end), a, b in zip(timed, narrow, spacious, strict=True)
    )
    lanes = f"--narrows:{max(narrow, default=0) + 1};--spaciouses:{max(spacious, default=0) + 1}"
    return f'<div class="words" style="{lanes}">{body}</div>'


def letters(word: str) -> float:
    """About how wide a word is, pixels."""
    return AROUND + sum(WIDE_LETTER if unicodedata.east_asian_width(letter) in "WF" else LETTER for letter in word)


def pack(boxes: list[tuple[float, float, float]], width: float) -> list[int]:
    """The lane of each (start, end, pixels of its letters), start and end in percent of `width` pixels.

    Each goes into the first lane in which it touches no earlier one.
    """
    free: list[float] = []  # where each lane is free from, pixels
    lanes = []
    for start, end, wide in boxes:
        left, right = (place * width / 100 for place in (start, end))
        lane = next((i for i, edge in enumerate(free) if edge <= left), len(free))
        free[lane : lane + 1] = [max(right, left + wide)]
        lanes.append(lane)
    return lanes
