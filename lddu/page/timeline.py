"""One clip on one time line: where the face, the sound and each word stand on a shared axis in seconds."""

import math
import unicodedata
from dataclasses import dataclass

import numpy as np

from lddu.page.footage import Envelope, Footage, Strip
from lddu.page.html import number, several
from preprocess.speech.words import OPEN, STRICT, Transcript, Word

# The narrowest a time line is drawn, in pixels; where the screen is narrower it scrolls.
NARROWEST, WIDEST, A_SECOND = 330, 4800, 120
SPACIOUS = 600  # pixels that it has at least on a desktop; style.css says from which width on
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


@dataclass(frozen=True)
class Box:
    """A word from its start to its end, and its lane: one choice for a narrow screen, one for a wide one."""

    word: str
    kind: str  # CSS class: how sure its times are
    start: float  # seconds
    end: float
    narrow: int
    spacious: int


@dataclass(frozen=True)
class Lanes:
    """In how many lanes the boxes of the words lie."""

    narrow: int
    spacious: int


@dataclass(frozen=True)
class Timeline:
    """What timeline.html draws of a clip."""

    axis: Axis | None  # None: nothing has a time
    notes: dict[str, str]  # by modality: what is seen, or why it is absent
    strip: Strip | None
    sound: Envelope | None
    outline: str  # of the sound, an SVG path
    boxes: list[Box]
    timeless: list[str]  # words without times, where nothing else has a time either
    height: int = HEIGHT

    @property
    def lanes(self) -> Lanes:
        return Lanes(*(1 + max(getattr(box, width) for box in self.boxes) for width in ("narrow", "spacious")))

    def place(self, start: float, end: float) -> str:
        """CSS of what lies between two times; a clip that lasts no time is all of it."""
        return self.axis.place(start, end) if self.axis else "left:0.00%;width:100.00%"


def timeline_of(footage: Footage, seconds: float) -> Timeline:
    """The time line of a clip that lasts `seconds`; 0 where nothing has a time."""
    axis = Axis(seconds) if seconds else None
    words = timed_words(footage.transcript, seconds) if footage.transcript and axis else []
    return Timeline(
        axis=axis,
        notes={"vision": _note_of_face(footage), "audio": _note_of_sound(footage), "text": _note_of_words(footage, seconds)},
        strip=footage.strip,
        sound=footage.sound,
        outline=outline(footage.sound) if footage.sound else "",
        boxes=boxes_of(words, axis) if axis else [],
        timeless=[word.word for word in footage.transcript.words] if footage.transcript and not axis else [],
    )


def _note_of_face(footage: Footage) -> str:
    absent, strip = footage.absent.get("vision"), footage.strip
    if strip is None:
        return f"absent – {absent}"
    if absent is not None:
        return f"absent – {absent}; the frames in which it was looked for"
    return f"face seen in {strip.seen} of {several(strip.frames, 'frame')}"


def _note_of_sound(footage: Footage) -> str:
    if footage.sound is None:
        return f"absent – {footage.absent['audio']}"
    if not footage.sound.peak:
        return "nothing but silence"
    decibels = round(20 * math.log10(footage.sound.peak))
    return f"drawn to its own peak of {number(decibels, 0)} dBFS"


def _note_of_words(footage: Footage, seconds: float) -> str:
    if footage.transcript is None:
        return f"absent – {footage.absent['text']}"
    origin = "heard by Whisper" if footage.transcript.transcribed else "given with the clip"
    if has_times(footage.transcript):
        return f"{origin}, each word at its time"
    if not seconds:
        return f"{origin}; without sound or picture, so without times"
    return f"{origin}; their times are unknown: spread evenly"


def outline(envelope: Envelope) -> str:
    """The closed path along the highest samples and back along the lowest."""
    middle = HEIGHT / 2
    high = [f"{i},{middle * (1 - value):.1f}" for i, value in enumerate(envelope.high)]
    low = [f"{i},{middle * (1 - value) + 0.6:.1f}" for i, value in enumerate(envelope.low)]
    return f"M{' '.join(high + low[::-1])}Z"


def has_times(transcript: Transcript) -> bool:
    return bool(transcript.words) and transcript.words[0].start is not None


def timed_words(transcript: Transcript, seconds: float) -> list[Word]:
    """The words that have a time; spread evenly over the clip where none is known."""
    words = transcript.words if has_times(transcript) else spread(transcript, seconds)
    return [word for word in words if word.start is not None and word.end is not None]


def spread(transcript: Transcript, seconds: float) -> list[Word]:
    """The words of a transcript without times, evenly over the clip."""
    edges = np.linspace(0, seconds, len(transcript.words) + 1)
    return [
        Word(word.word, float(start), float(end), word.confidence)
        for word, start, end in zip(transcript.words, edges[:-1], edges[1:], strict=True)
    ]


def boxes_of(words: list[Word], axis: Axis) -> list[Box]:
    """Every word in a box, in as many lanes as keep the letters of neighbours apart."""
    times = [(word.start or 0.0, word.end or 0.0) for word in words]
    boxes = [(axis.share(start), axis.share(end), letters(word.word)) for word, (start, end) in zip(words, times, strict=True)]
    narrow, spacious = pack(boxes, axis.narrowest), pack(boxes, max(axis.narrowest, SPACIOUS))
    return [
        Box(word.word, FIRM.get(word.confidence, "guess"), start, end, *lanes)
        for word, (start, end), *lanes in zip(words, times, narrow, spacious, strict=True)
    ]


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
