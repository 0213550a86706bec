"""What is heard of a clip's text: by a Whisper that is given it, parts of it, or other texts, and what it hears by itself.

Every text is asked for its gains (`encoders/likelihood.py`). Where words at an end of the text are cut off in the sound, the
text without them is the likelier one. Where a text is doubtful, the texts of the clips beside it are tried, the sound is
transcribed, and the text is looked for in the medium before and after the clip.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import params
from preprocess.encoders import likelihood
from preprocess.encoders.attention import spoken
from preprocess.encoders.transcription import transcribe
from preprocess.encoders.whisper import listen
from preprocess.media.sound import SAMPLE_RATE, WINDOW
from preprocess.speech import words
from preprocess.speech.words import Span

LEAST_GAIN = 4.0  # mean over a text's words below which it is doubted
ENDS = (1, 2, 3)  # how many words may be cut off at an end
DOUBTED_END = 1.0  # how much likelier a text must be without words at an end, for a look around the clip
STEP = 0.2  # seconds between the places where a text is looked for
NEARLY = 2.0  # log-probability within which two places are equally likely


@dataclass(frozen=True)
class Hearing:
    """What is heard of the text of a clip that fits into one window."""

    gain: float  # mean over the words that are said
    likelihood: float  # log-probability of the text
    gains: list[float] = field(default_factory=list)  # of each word that is said
    first: list[float] = field(default_factory=list)  # how much likelier it is without its first 1, 2, 3 words
    last: list[float] = field(default_factory=list)
    near: dict[str, float] = field(default_factory=dict)  # mean gains of the texts of other clips, where this one is doubted
    heard: str = ""  # by transcription, where the text is doubted; "": nothing with confidence
    heard_gain: float = 0.0
    start: float = 0.0  # seconds by which start and end should move for the text to be likeliest; 0: it is where it should be
    end: float = 0.0
    better: float = 0.0  # how much likelier it is there
    spoken: list[float] = field(default_factory=list)  # where it was looked for: its first word's start and its last one's
    # end, seconds from the clip's start; none where the words were not found
    room: list[float] = field(
        default_factory=list
    )  # seconds of the medium before and after the clip in which it was looked for

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Ear:
    """The network that hears, and how."""

    folder: Path
    settings: params.Transcripts
    device: str

    def gain(self, states: Any, texts: list[str], language: str) -> list[float]:
        """The mean gain of each text."""
        said = [words.said(text) for text in texts]
        of_texts = likelihood.gains(self.folder, states, said, self.settings.silence, self.device, language)
        return [_mean(gains, of_text) for gains, of_text in zip(of_texts, said, strict=True)]

    def likely(self, states: Any, texts: list[list[str]], language: str) -> list[float]:
        """The log-probability of each text, given as its words."""
        of_texts = likelihood.scores(self.folder, states, texts, self.device, language)
        return [float(scores.sum()) for scores in of_texts]

    def listen(self, wave: np.ndarray) -> Any:
        return listen(self.folder, wave, self.settings.silence, self.device)

    def language(self, states: Any) -> str:
        return spoken(self.folder, states, self.device, self.settings.language)

    def transcribe(self, wave: np.ndarray) -> str:
        return " ".join(heard.text for heard in transcribe(self.folder, [wave], self.device, self.settings) if heard.text)


def fits(seconds: float, settings: params.Transcripts) -> bool:
    """Whether a sound fits into one window of the network."""
    return seconds <= WINDOW - settings.silence


def _mean(gains: list[float], said: list[str]) -> float:
    return round(float(np.mean([gain for gain, word in zip(gains, said, strict=True) if word] or [0.0])), 2)


def hear(ear: Ear, wave: np.ndarray, text: str, near: dict[str, str]) -> Hearing:
    """What is heard of a text in a wave (n,) at 16 kHz; `near` are the texts of the clips beside it, by clip id."""
    states = ear.listen(wave)
    language = ear.language(states)
    said = [word for word in words.said(text) if word]
    (gains,) = likelihood.gains(ear.folder, states, [said], ear.settings.silence, ear.device, language)
    gain = _mean(gains, said)
    shorter = [(said[count:], said[:-count]) for count in ENDS if count < len(said)]
    total, *rest = ear.likely(
        states, [said, *(capital(begin) for begin, _ in shorter), *(stop(end) for _, end in shorter)], language
    )
    more = [round(value - total, 2) for value in rest]
    hearing = Hearing(gain, round(total, 2), gains, more[: len(shorter)], more[len(shorter) :])
    if gain >= LEAST_GAIN:
        return hearing
    heard = ear.transcribe(wave)
    others = ear.gain(states, [*near.values(), heard or text], language)
    return Hearing(
        **hearing.to_dict()
        | {"near": dict(zip(near, others, strict=False)), "heard": heard, "heard_gain": others[-1] if heard else 0.0}
    )


def capital(said: list[str]) -> list[str]:
    """Words of a sentence whose beginning is lost, as Whisper would write them."""
    return [said[0][:1].upper() + said[0][1:], *said[1:]]


def stop(said: list[str]) -> list[str]:
    """Words of a sentence whose end is lost, as Whisper would write them."""
    return [*said[:-1], said[-1].rstrip(",;:") + ("" if said[-1].endswith((".", "!", "?")) else ".")]


def is_doubted(hearing: Hearing) -> bool:
    """Whether the text may be said at another time than that of the clip."""
    return hearing.gain < LEAST_GAIN or max([*hearing.first, *hearing.last], default=0.0) > DOUBTED_END


def look_around(
    ear: Ear,
    hearing: Hearing,
    wide: np.ndarray,
    span: tuple[float, float],
    text: str,
    align: Callable[[np.ndarray], Span | None],
) -> Hearing:
    """Look for a doubted text in a part of the medium around the clip, in which the clip is from `span[0]` to `span[1]` (s).

    `align` finds the start of its first word and the end of its last one in a wave (n,) that has little else.
    """
    said = [word for word in words.said(text) if word]
    room = span[0], max(0.0, len(wide) / SAMPLE_RATE - span[1])
    before, after = (int(seconds / STEP + 1e-6) for seconds in room)
    moves = [(k, k) for k in range(-before, after + 1) if k]
    moves += [(-k, 0) for k in range(1, before + 1)] + [(0, k) for k in range(1, after + 1)]
    if not moves:
        return hearing
    likely = {(0, 0): hearing.likelihood}
    for first, last in moves:
        states = ear.listen(_part(wide, span, first, last))
        (likely[first, last],) = ear.likely(states, [said], ear.language(states))
    best = max(likely.values())
    nearly = [move for move, value in likely.items() if value >= best - NEARLY]
    first, last = min(nearly, key=lambda move: (abs(move[0]) + abs(move[1]), move))
    found = {"room": [round(seconds, 3) for seconds in room], "better": round(likely[first, last] - hearing.likelihood, 2)}
    if first or last:
        found |= {"start": round(first * STEP, 2), "end": round(last * STEP, 2)}
    spoken = align(_part(wide, span, first - 1, last + 1))
    if spoken:
        begin = max(0.0, span[0] + (first - 1) * STEP) - span[0]
        found["spoken"] = [round(begin + seconds, 3) for seconds in spoken]
    return Hearing(**hearing.to_dict() | found)


def _part(wide: np.ndarray, span: Span, first: int, last: int) -> np.ndarray:
    """The clip's sound, if its start and end are moved by so many steps."""
    begin, end = (round((at + move * STEP) * SAMPLE_RATE) for at, move in zip(span, (first, last), strict=True))
    return wide[max(0, begin) : end]
