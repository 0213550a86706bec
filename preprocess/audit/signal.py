"""Faults of a sound itself, from its samples: clipped peaks, silence, and places where it breaks off."""

from dataclasses import dataclass

import numpy as np

from preprocess.media.sound import SAMPLE_RATE

QUIET = 0.001  # root mean square of a sound, full scale being 1, below which it counts as silent
HIGH = 0.9  # of the loud level, from which samples are near it
LOUD = 0.999  # quantile of the samples' size that is the loud level; single ones are higher where a codec swings over
OFTEN = 0.9  # quantile that tells how often sound is nearly as loud
SHORTEST_GAP = 0.12  # seconds
ZERO = 3 / 32768  # up to which a sample is digital silence: rounding, and what a codec makes of zeros
STEP = 160  # samples: 10 ms
ABRUPT = 0.3  # of the sound's level: how loud it is beside a gap that nobody speaks into
BESIDE = 8  # steps beside a gap; a codec makes its edges softer, and a room's echo lasts longer


@dataclass(frozen=True)
class Signal:
    """What the samples of a clip say."""

    seconds: float
    level: float  # root mean square, full scale being 1
    clipped: float  # share of the samples that are near the loud level
    dense: float  # how loud the 90th percentile is, as a share of the loud level: 0.5 of noise, less of speech
    gaps: list[tuple[float, float]]  # start and end, seconds, of digital silence that begins or ends abruptly


def of_wave(wave: np.ndarray) -> Signal:
    """The signal of a wave (n,) at 16 kHz."""
    size = np.abs(wave)
    level = float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if len(wave) else 0.0
    loud = float(np.quantile(size, LOUD)) if len(wave) else 0.0
    clipped = float((size >= HIGH * loud).mean()) if loud else 0.0
    dense = float(np.quantile(size, OFTEN)) / loud if loud else 0.0
    return Signal(round(len(wave) / SAMPLE_RATE, 3), round(level, 6), round(clipped, 5), round(dense, 3), _gaps(wave, level))


def _gaps(wave: np.ndarray, level: float) -> list[tuple[float, float]]:
    """Stretches of digital silence beside sound: a microphone that is on never falls silent at once."""
    rows = wave[: len(wave) // STEP * STEP].reshape(-1, STEP)
    if not len(rows):
        return []
    zero = np.abs(rows).max(1) <= ZERO
    power = np.sqrt(np.square(rows, dtype=np.float64).mean(1))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], zero, [False]]).astype(int)))
    gaps = []
    for first, last in edges.reshape(-1, 2).tolist():
        beside = max(power[max(0, first - BESIDE) : first].max(initial=0.0), power[last : last + BESIDE].max(initial=0.0))
        if (last - first) * STEP >= SHORTEST_GAP * SAMPLE_RATE and beside >= ABRUPT * level:
            gaps.append((round(first * STEP / SAMPLE_RATE, 2), round(last * STEP / SAMPLE_RATE, 2)))
    return gaps
