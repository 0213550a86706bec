"""Marks by which two copies of one recording are found: pairs of peaks of a spectrogram, as music recognition uses them.

A mark is two peaks that follow each other: their frequencies and the time between them. It survives another codec, another
level, and a cut at other times. Two clips with many marks in common, all of them as much later in one as in the other, are the
same recording; two clips in which the same words are said are not.
"""

from collections import Counter, defaultdict

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.signal import stft

from preprocess.media.sound import SAMPLE_RATE

WINDOW, HOP = 1024, 256  # samples of a column of the spectrogram, and between two
BANDS = (4, 256)  # rows of the spectrogram that are read: 60 to 4000 Hz, which every codec keeps
NEAR = (21, 9)  # rows and columns in which a peak is the highest
FLOOR = 40.0  # decibels below the highest peak of a clip, down to which peaks count
FOLLOWING, REACH = 5, 48  # how many later peaks are paired with each, within how many columns
FREQUENT = 50  # clips that have one mark, from which on it tells nothing
TOLERANCE = 2  # columns by which offsets of one recording may differ
COMMON, SHARE = 20, 0.15  # marks that two copies have in common at least, and their share of the shorter one's


def of_wave(wave: np.ndarray) -> list[tuple[int, int]]:
    """The marks of a wave (n,) at 16 kHz, each with its time in columns of 16 ms."""
    if len(wave) < WINDOW:
        return []
    _, _, spectrum = stft(wave, SAMPLE_RATE, nperseg=WINDOW, noverlap=WINDOW - HOP, boundary=None, padded=False)
    level = 20 * np.log10(np.abs(spectrum[slice(*BANDS)]) + 1e-9)
    is_peak = (level == maximum_filter(level, NEAR)) & (level > level.max() - FLOOR)
    columns, rows = np.nonzero(is_peak.T)
    marks = []
    for i in range(len(columns)):
        for k in range(i + 1, min(i + 1 + FOLLOWING, len(columns))):
            apart = int(columns[k] - columns[i])
            if 0 < apart <= REACH:
                marks.append(((int(rows[i]) << 16) | (int(rows[k]) << 8) | apart, int(columns[i])))
    return marks


def copies(marks: dict[str, list[tuple[int, int]]]) -> list[tuple[str, str, float]]:
    """Pairs of clips that are copies of one recording, and by how many seconds the second lags behind the first."""
    places: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for clip_id, of_clip in sorted(marks.items()):
        for mark, column in of_clip:
            places[mark].append((clip_id, column))
    offsets: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
    for same in places.values():
        if len(same) > FREQUENT:
            continue
        for i, (first, at) in enumerate(same):
            for second, later in same[i + 1 :]:
                if first != second:
                    offsets[first, second][later - at] += 1
    found = []
    for (first, second), counts in sorted(offsets.items()):
        best = max(counts, key=lambda offset: (_around(counts, offset), -abs(offset)))
        common = _around(counts, best)
        if common >= COMMON and common >= SHARE * min(len(marks[first]), len(marks[second])):
            found.append((first, second, round(best * HOP / SAMPLE_RATE, 2)))
    return found


def _around(counts: Counter[int], offset: int) -> int:
    return sum(counts[offset + k] for k in range(-TOLERANCE, TOLERANCE + 1))
