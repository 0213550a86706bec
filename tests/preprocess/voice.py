"""A synthetic voice for tests, and sounds that are no speech."""

from functools import cache

import numpy as np
import torch
import torchaudio
from hibari import Hibari

RATE = 16000


@cache
def say(text: str, speed: float = 1.0) -> np.ndarray:
    """A spoken English sentence (n,) float32 at 16 kHz; a speed above 1 also raises the pitch."""
    hibari = Hibari()
    wave = torch.from_numpy(np.asarray(hibari(text, seed=0), np.float32))
    return torchaudio.functional.resample(wave, round(hibari.sample_rate * speed), RATE).numpy()


def noise(seconds: float, level: float = 0.05, colour: float = 0.0) -> np.ndarray:
    """Noise whose power falls with frequency to this exponent: 0 white, 1 pink, 2 brown."""
    count = int(seconds * RATE)
    frequencies = np.maximum(np.fft.rfftfreq(count, 1 / RATE), 20)
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(count)) / frequencies ** (colour / 2)
    wave = np.fft.irfft(spectrum, count)
    return (level * wave / np.sqrt(np.mean(wave**2))).astype(np.float32)


def hum(seconds: float) -> np.ndarray:
    times = np.arange(int(seconds * RATE)) / RATE
    return (0.05 * sum(np.sin(2 * np.pi * 50 * k * times) / k for k in range(1, 6))).astype(np.float32)


def claps(seconds: float) -> np.ndarray:
    wave = noise(seconds, 0.0005)
    burst = noise(0.05, 0.3) * np.exp(-np.arange(RATE // 20) / (0.01 * RATE))
    for begin in range(RATE // 3, len(wave) - RATE, RATE // 2):
        wave[begin : begin + len(burst)] += burst.astype(np.float32)
    return wave


def music(seconds: float) -> np.ndarray:
    """Plucked notes."""
    generator, wave = np.random.default_rng(1), noise(seconds, 0.0005)
    for begin in range(0, len(wave), RATE // 2):
        times = np.arange(len(wave) - begin) / RATE
        pitch = 220 * 2 ** (generator.integers(0, 24) / 12)
        tones = sum(np.sin(2 * np.pi * pitch * k * times) / k**1.5 for k in range(1, 6))
        wave[begin:] += (0.1 * np.exp(-times / 0.4) * tones).astype(np.float32)
    return wave


SILENT = {
    "digital silence": lambda: np.zeros(3 * RATE, np.float32),
    "white noise": lambda: noise(3),
    "loud brown noise": lambda: noise(3, 0.2, 2),
    "hum": lambda: hum(3),
    "claps": lambda: claps(4),
    "music": lambda: music(5),
}
