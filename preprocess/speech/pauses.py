"""Where somebody speaks in a long film, cut into utterances of 1 to 15 seconds at the pauses.

Speech is what the voice activity detector hears (activity.py): music, noise and silence are none, however loud. An utterance
begins with a frame that is surely speech and ends before a pause; it keeps a little of the pause on either side.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import soundfile

import params
from preprocess.media.part import part_of
from preprocess.media.sound import SAMPLE_RATE
from preprocess.speech.activity import BLOCK, FRAME, HOP, LEAST, SPEECH, probabilities

SILENCE = 0.35  # probability of speech below which a pause begins
PAUSE = 0.3  # seconds below it that separate two utterances
MARGIN = 0.1  # seconds of the pause that are kept on either side
SHORTEST, LONGEST = 1.0, 15.0  # seconds of an utterance
EARLIEST = 5.0  # seconds of a long utterance before its first possible cut

Frames = tuple[int, int]  # the first frame of a stretch of sound, and the one after its last


@dataclass(frozen=True)
class Activity:
    """How likely it is that somebody speaks in each frame of 32 ms of a film, on the picture's clock, and how loud it is."""

    speech: np.ndarray  # (T,) probability
    power: np.ndarray  # (T,) mean square of the samples
    seconds: float  # how long the sound is


def activity_of(path: Path, duration: float, decoder: params.Decoder) -> Activity:
    """The voice activity of a film that lasts so many seconds. MediaError where its sound cannot be decoded."""
    part = part_of(path, 0.0, duration)
    with NamedTemporaryFile(suffix=".wav") as file:
        samples = part.samples(SAMPLE_RATE)
        part.write(samples, Path(file.name), decoder, format="wav", acodec="pcm_s16le", ac=1, ar=SAMPLE_RATE)
        powers = [np.zeros(0), *map(_power, _blocks(file.name))]
        return Activity(probabilities(_blocks(file.name)), np.concatenate(powers), soundfile.info(file.name).duration)


def _blocks(name: str) -> Iterator[np.ndarray]:
    with soundfile.SoundFile(name) as file:
        yield from file.blocks(BLOCK * FRAME, dtype="float32")


def _power(wave: np.ndarray) -> np.ndarray:
    return np.square(np.pad(wave, (0, -len(wave) % FRAME)).reshape(-1, FRAME)).mean(1, dtype=np.float64)


def utterances(activity: Activity) -> list[tuple[float, float]]:
    """Start and end (seconds) of every utterance, in order, none over another.

    Each lasts SHORTEST to LONGEST seconds, unless the film is shorter. Short ones are joined with their nearest neighbour;
    long ones are cut where it is least likely that somebody speaks, and quietest.
    """
    runs = _joined(_spoken(activity.speech), len(activity.speech))
    return [(round(a * HOP, 3), min(round(b * HOP, 3), activity.seconds)) for run in runs for a, b in _cut(run, activity)]


def _spoken(speech: np.ndarray) -> list[Frames]:
    """Runs of speech with their margins, pauses between them."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (speech >= SILENCE).astype(np.int8), [0]])))
    runs: list[Frames] = []
    for begin, end in edges.reshape(-1, 2).tolist():
        if runs and begin - runs[-1][1] < PAUSE / HOP:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((begin, end))
    spoken = [(begin, end) for begin, end in runs if (speech[begin:end] >= SPEECH).sum() * HOP >= LEAST]
    margin = round(MARGIN / HOP)
    return [(max(begin - margin, 0), min(end + margin, len(speech))) for begin, end in spoken]


def _joined(runs: list[Frames], length: int) -> list[Frames]:
    """Runs of which none is too short: widened where there is room, else joined with the neighbour that is nearer."""
    shortest = ceil(SHORTEST / HOP)
    runs = list(runs)
    i = 0
    while i < len(runs):
        begin, end = runs[i]
        lack = shortest - (end - begin)
        low = runs[i - 1][1] if i else 0
        high = runs[i + 1][0] if i + 1 < len(runs) else length
        if lack <= 0:
            i += 1
        elif high - low >= shortest:
            begin = min(max(begin - lack // 2, low), high - shortest)
            runs[i] = (begin, begin + shortest)
            i += 1
        elif len(runs) == 1:
            runs[i] = (low, high)
            i += 1
        else:
            other = i - 1 if i and (i + 1 == len(runs) or begin - low <= high - end) else i
            runs[other : other + 2] = [(runs[other][0], runs[other + 1][1])]
            i = other
    return runs


def _cut(run: Frames, activity: Activity) -> list[Frames]:
    """A run in pieces of at most LONGEST, each cut where both sides stay long enough, and speech is least likely.

    Where it is equally likely, to a tenth, the quietest frame is taken.
    """
    longest, shortest, earliest = int(LONGEST / HOP), ceil(SHORTEST / HOP), round(EARLIEST / HOP)
    cuts = [run[0]]
    while run[1] - cuts[-1] > longest:
        low, high = cuts[-1] + earliest, min(cuts[-1] + longest, run[1] - shortest)
        candidates = slice(low, high + 1)
        order = np.lexsort([activity.power[candidates], np.round(activity.speech[candidates], 1)])
        cuts.append(low + int(order[0]))
    return list(pairwise([*cuts, run[1]]))
