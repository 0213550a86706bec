"""Voice activity: where somebody speaks in a long film, cut into utterances of 1 to 15 seconds at the pauses.

Levels are those of the band of speech, 10 ms each. A stretch is speech if it somewhere rises a third of the way from the film's
background (10th percentile) to its speech (95th), or to 35 dB below the latter; it begins and ends half as high above the
background, so that quiet first and last sounds stay. A noisy film thus needs no other threshold than a quiet one.
"""

from itertools import pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import params
from preprocess.media.part import part_of

RATE = 8000  # hertz
HOP = 0.01  # seconds a level
SMOOTH = 5  # levels that one is averaged with
SILENT = -60.0  # dB of full scale; a film that is nowhere louder says nothing
RANGE = 6.0  # dB between background and speech, below which there are no pauses to be told
BELOW = 35.0  # dB below the speech, at most
ABOVE = 4.0  # dB above the background, at least
PAUSE = 0.3  # seconds of less than speech that part two utterances
MARGIN = 0.1  # seconds of the pause that are kept on either side
SHORTEST, LONGEST = 1.0, 15.0  # seconds of an utterance
EARLIEST = 5.0  # seconds of a long utterance that go before its cut


def levels(path: Path, duration: float, decoder: params.Decoder) -> np.ndarray:
    """Loudness (n,) of the speech band in dB of full scale, on the picture's clock. MediaError where there is no sound."""
    part = part_of(path, 0.0, duration)
    sound = part.samples(RATE).filter("highpass", f=200).filter("lowpass", f=3500)
    with NamedTemporaryFile(suffix=".raw") as file:
        part.write(sound, Path(file.name), decoder, format="s16le", ac=1, ar=RATE)
        wave = np.memmap(file.name, np.int16, "r") if Path(file.name).stat().st_size else np.zeros(0, np.int16)
        size = int(RATE * HOP)
        parts = wave[: len(wave) // size * size].reshape(-1, size)
        power = np.concatenate([np.square(part / 32768.0).mean(1) for part in np.array_split(parts, len(parts) // 10**5 + 1)])
    padded = np.pad(power, SMOOTH // 2, mode="edge") if len(power) else np.zeros(SMOOTH)
    return 10 * np.log10(np.maximum(sliding_window_view(padded, SMOOTH).mean(1), 1e-9))


def utterances(loud: np.ndarray) -> list[tuple[float, float]]:
    """Start and end (seconds) of every utterance of a film with these levels (n,), in order, none over another.

    Each lasts SHORTEST to LONGEST seconds, but for a film that is shorter itself. Short ones join their nearest neighbour, long
    ones are cut where it is quietest.
    """
    runs = _joined(_spoken(loud), len(loud))
    return [(round(a * HOP, 2), round(b * HOP, 2)) for run in runs for a, b in _cut(run, loud)]


def _spoken(loud: np.ndarray) -> list[tuple[int, int]]:
    """Runs of speech with their margins, pauses between them."""
    if not len(loud):
        return []
    background, speech = np.percentile(loud, [10, 95])
    if speech < SILENT:
        return []
    if speech - background < RANGE:
        return [(0, len(loud))]
    high = max(background + (speech - background) / 3, speech - BELOW)
    low = max((background + high) / 2, min(background + ABOVE, high))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (loud > low).astype(np.int8), [0]])))
    stretches = [(begin, end) for begin, end in edges.reshape(-1, 2).tolist() if loud[begin:end].max() > high]
    runs: list[tuple[int, int]] = []
    for begin, end in stretches:
        if runs and begin - runs[-1][1] < PAUSE / HOP:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((begin, end))
    margin = round(MARGIN / HOP)
    return [(max(begin - margin, 0), min(end + margin, len(loud))) for begin, end in runs]


def _joined(runs: list[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """Runs of which none is too short: widened where there is room, else joined with the neighbour that is nearer."""
    shortest = round(SHORTEST / HOP)
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


def _cut(run: tuple[int, int], loud: np.ndarray) -> list[tuple[int, int]]:
    """A run in parts of at most LONGEST, each cut at the quietest level at which both sides stay long enough."""
    longest, shortest, earliest = round(LONGEST / HOP), round(SHORTEST / HOP), round(EARLIEST / HOP)
    cuts = [run[0]]
    while run[1] - cuts[-1] > longest:
        low, high = cuts[-1] + earliest, min(cuts[-1] + longest, run[1] - shortest)
        cuts.append(low + int(loud[low : high + 1].argmin()))
    return list(pairwise([*cuts, run[1]]))
