"""Known noise that is put into sound and pictures, from 0 (none) to 1."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from sample.photograph import HEIGHT, WIDTH
from sample.voice import RATE, Wave

SOUND_KINDS = ("noise", "babble", "muffling", "monotony")  # monotony is in the way of speaking: voice.moved
PICTURE_KINDS = ("blur", "darkness", "occlusion", "turned")  # a turned head is in the pose: motion

CLEAN, DROWNED = 15.0, -12.0  # decibels of speech over noise at levels just above 0, and at 1
OPEN, SHUT = 5000.0, 220.0  # hertz of the low-pass at levels just above 0, and at 1

Picture = NDArray[np.uint8]  # (240, 320, 3) BGR


def disturb_sound(wave: Wave, kind: str, level: float, rng: np.random.Generator) -> Wave:
    """The wave with noise of this kind at this level, 0 to 1."""
    if not level or kind == "monotony":
        return wave
    if kind == "muffling":
        cutoff = OPEN * (SHUT / OPEN) ** level
        return sosfilt(butter(4, cutoff, fs=RATE, output="sos"), wave).astype(np.float32)
    noise = _babble(len(wave), rng) if kind == "babble" else rng.standard_normal(len(wave))
    ratio = 10 ** ((CLEAN + (DROWNED - CLEAN) * level) / 20)
    return (wave + noise * np.sqrt(np.mean(wave**2) / np.mean(noise**2)) / ratio).astype(np.float32)


def _babble(samples: int, rng: np.random.Generator, voices: int = 6) -> NDArray[np.float64]:
    """Noise with the spectrum of speech, swelling at the pace of syllables in several voices at once."""
    seconds = np.arange(samples) / RATE
    total = np.zeros(samples)
    for _ in range(voices):
        pace, phase, low = rng.uniform(2.5, 5), rng.uniform(0, 2 * np.pi), rng.uniform(150, 400)
        band = butter(2, [low, 8 * low], "bandpass", fs=RATE, output="sos")
        total += sosfilt(band, rng.standard_normal(samples)) * np.clip(
            np.sin(2 * np.pi * pace * seconds + phase) + 0.3, 0, None
        )
    return total


def picture_noise(kind: str, level: float, face: NDArray[np.float64], rng: np.random.Generator) -> Callable[[Picture], Picture]:
    """A function that puts noise of this kind into a picture; `face` is the box of the face: left, top, width, height."""
    if not level or kind == "turned":
        return lambda picture: picture
    return {"blur": _blur, "darkness": _darkness, "occlusion": _occlusion}[kind](level, face, rng)


def _blur(level: float, face: NDArray[np.float64], rng: np.random.Generator) -> Callable[[Picture], Picture]:
    deviation = 0.09 * level * face[2]
    return lambda picture: cv2.GaussianBlur(picture, (0, 0), deviation)


def _darkness(level: float, face: NDArray[np.float64], rng: np.random.Generator) -> Callable[[Picture], Picture]:
    """Less light; the noise of the camera's sensor stays as strong."""
    light = (1 - 0.96 * level) ** 1.5
    grains = [rng.normal(0, 8 * level, (HEIGHT, WIDTH, 1)).astype(np.float32) for _ in range(5)]
    shown = iter(rng.integers(len(grains), size=10_000).tolist())
    return lambda picture: np.clip(picture * np.float32(light) + grains[next(shown)], 0, 255).astype(np.uint8)


def _occlusion(level: float, face: NDArray[np.float64], rng: np.random.Generator) -> Callable[[Picture], Picture]:
    """Something in front of the face, from its mouth upwards or from its eyes downwards; at 1 before all of it."""
    left, top, width, height = face
    from_below = bool(rng.integers(2))
    colour = tuple(int(value) for value in rng.integers(30, 200, 3))
    reach = level * 1.05 * height
    edge = top + height - reach if from_below else top
    first = (int(left - 0.15 * width), int(edge))
    last = (int(left + 1.15 * width), HEIGHT if from_below else int(edge + reach))

    def cover(picture: Picture) -> Picture:
        covered = picture.copy()
        cv2.rectangle(covered, first, last, colour, -1, cv2.LINE_AA)
        cv2.rectangle(covered, first, last, tuple(value // 2 for value in colour), 2, cv2.LINE_AA)
        return covered

    return cover
