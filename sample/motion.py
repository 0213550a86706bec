"""How a face moves in a clip: lips with the sound, expression with the emotion, blinks, and small movements of the head."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from sample.face import Pose
from sample.movement import MOVES, REST
from sample.voice import RATE, Speech

PACE = 200  # points a second on the time line of lips
BLINK = 0.13  # seconds from open to closed

# What an emotion of full strength does to a face: amounts of movement.MOVES, and of the lips' and lids' cuts.
EXPRESSIONS: dict[str, dict[str, float]] = {
    "happy": {"smile": 1.3, "squint": 0.5},
    "sad": {"smile": -0.6, "brow_inner": 0.9, "lids": 0.25, "pitch": 0.06},
    "anger": {"brow_down": 1.6, "press": 0.8, "squint": 0.3, "smile": -0.3},
    "surprise": {"brow_inner": 0.6, "brow_outer": 1.1, "eyes_wide": 1.0, "opening": 0.5},
    "disgust": {"sneer": 1.3, "squint": 0.6, "brow_down": 0.4},
    "fear": {"brow_inner": 0.9, "eyes_wide": 0.9, "stretch": 1.0, "brow_outer": 0.2},
}
# How far the jaw is open in a sound; every sound that is not named, a consonant, has the last value.
OPENNESS = (
    dict.fromkeys("ɑæɒaIW", 1.0) | dict.fromkeys("ɛAOYɔʌɜəɐᵊ", 0.75) | dict.fromkeys("iɪuʊ", 0.5) | dict.fromkeys("bmp", 0.0)
)
CONSONANT = 0.25
ROUNDED = frozenset("wuʊOɔWY")


@dataclass(frozen=True)
class Turn:
    """How far the speaker looks away: radians to the side and down, pixels that the head leaves the middle."""

    yaw: float = 0.0
    pitch: float = 0.0
    shift: float = 0.0


def turned_away(level: float, rng: np.random.Generator) -> Turn:
    """At a level of 1 the head is turned away and partly outside the picture."""
    side = 1 if rng.integers(2) else -1
    return Turn(yaw=0.6 * side * level, pitch=float(rng.uniform(-0.1, 0.2)) * level, shift=side * 170 * level**1.5)


def poses(
    speech: Speech, count: int, rate: int, habit: dict[str, float], felt: dict[str, float], turn: Turn, rng: np.random.Generator
) -> list[Pose]:
    """A pose for each of `count` pictures, `rate` a second; `felt` gives each emotion's amount in this face."""
    times = np.arange(count) / rate
    drawn = {name: np.full(count, REST.get(name, 0.0) + habit.get(name, 0.0)) for name in (*MOVES, "opening", "lids")}
    grown = _growth(times, rng)
    for label, amount in felt.items():
        for name, value in EXPRESSIONS[label].items():
            drawn[name] += amount * value * grown
    opening, rounded = lips(speech, times)
    drawn["opening"] += opening
    drawn["jaw"] += drawn["opening"]
    drawn["pucker"] += 0.35 * rounded
    drawn["lids"] = np.maximum(drawn["lids"], _blinks(times, rng))
    drawn["yaw"] += 0.05 * _sway(times, rng)
    drawn["pitch"] += 0.05 * _sway(times, rng)
    head = _head(times, turn.shift, rng)
    moves = np.stack([drawn[name] for name in MOVES], 1)
    return [
        Pose(moves[i], float(drawn["opening"][i].clip(0, 1.2)), float(drawn["lids"][i].clip(0, 1)), tuple(head[i].tolist()))
        for i in range(count)
    ]


def lips(speech: Speech, times: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far the lips are open (0 to about 1) and rounded (0 to 1) at these times (seconds)."""
    samples = np.zeros(len(speech.wave) // (RATE // PACE) + 1)
    rounded = samples.copy()
    for phone in speech.phones:
        span = slice(int(phone.start * PACE), int(phone.end * PACE))
        samples[span] = OPENNESS.get(phone.name, CONSONANT)
        rounded[span] = phone.name in ROUNDED
    samples *= 0.3 + 1.7 * envelope(speech)[: len(samples)]
    smooth = [gaussian_filter1d(values, 0.03 * PACE) for values in (samples, rounded)]
    grid = np.arange(len(samples)) / PACE
    return np.interp(times, grid, smooth[0], right=0.0), np.interp(times, grid, smooth[1], right=0.0)


def envelope(speech: Speech) -> NDArray[np.float64]:
    """(n,) loudness at PACE points a second: root mean square of 5 ms, smoothed, 1 where the clip is loudest."""
    step = RATE // PACE
    blocks = np.pad(speech.wave, (0, -len(speech.wave) % step + step)).reshape(-1, step)
    loudness = gaussian_filter1d(np.sqrt((blocks.astype(np.float64) ** 2).mean(1)), 0.02 * PACE)
    return np.sqrt(loudness / max(loudness.max(), 1e-9))


def _growth(times: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """How much of an expression shows: it rises in the first second and then changes a little."""
    onset = rng.uniform(0.2, 0.7)
    rise = np.clip((times - onset + 0.4) / 0.5, 0, 1)
    return (0.4 + 0.6 * rise) * (1 + 0.15 * _sway(times, rng))


def _blinks(times: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """How far blinking closes the lids, 0 to 1: a blink every one and a half to four seconds."""
    closed, at = np.zeros(len(times)), rng.uniform(0.2, 2.5)
    while at < times[-1]:
        closed = np.maximum(closed, 1 - np.abs(times - at) / BLINK)
        at += rng.uniform(1.5, 4)
    return closed.clip(0, 1)


def _sway(times: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """A slow movement to and fro, about -1 to 1."""
    paces, phases = rng.uniform(0.15, 0.6, 2), rng.uniform(0, 2 * np.pi, 2)
    return 0.5 * sum(np.sin(2 * np.pi * pace * times + phase) for pace, phase in zip(paces, phases, strict=True))


def _head(times: NDArray[np.float64], shift: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(T, 4): pixels right and down, radians of tilt, scale."""
    right = rng.uniform(-10, 10) + shift + 4 * _sway(times, rng)
    down = rng.uniform(-2, 8) + 3 * _sway(times, rng)
    tilt = rng.uniform(-0.04, 0.04) + 0.03 * _sway(times, rng)
    return np.stack([right, down, tilt, np.full(len(times), rng.uniform(0.96, 1.08))], 1)
