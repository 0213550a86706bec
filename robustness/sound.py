"""Corruptions of sound: a wave (n,) float32 at some rate, and a wave of the same length.

The formulas of noise, convolution and filters are torchaudio's.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torchaudio import functional

from robustness.gaps import gaps

LOWEST = 300.0  # hertz of a telephone
SHORTEST, LONGEST = 0.06, 0.25  # seconds of a dropout
REFLECTED = 2.0  # power of a room's echo over that of the voice itself
SECTIONS = 4  # filters in a row: 48 dB an octave outside the telephone's band


def corrupted(
    wave: np.ndarray, rate: int, kind: str, strength: float, rng: np.random.Generator, voices: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """The wave with a corruption of this kind. `voices` are the waves of other clips at the same rate, for babble."""
    change: dict[str, Callable[[], np.ndarray]] = {
        "noise": lambda: mixed(wave, rng.standard_normal(len(wave)), strength),
        "babble": lambda: mixed(wave, babble(voices, len(wave), rng), strength),
        "reverberation": lambda: reverberant(wave, rate, strength, rng),
        "telephone": lambda: band(wave, rate, LOWEST, strength),
        "clipping": lambda: clipped(wave, strength),
        "dropouts": lambda: interrupted(wave, rate, strength, rng),
    }
    return change[kind]()


def mixed(wave: np.ndarray, noise: np.ndarray, ratio: float) -> np.ndarray:
    """The wave and noise, of which it is louder by `ratio` decibels over its whole length."""
    sounds = (torch.from_numpy(np.asarray(x, np.float32)) for x in (wave, noise))
    return functional.add_noise(*sounds, snr=torch.tensor(ratio)).nan_to_num().numpy()


def babble(voices: Sequence[np.ndarray], length: int, rng: np.random.Generator) -> np.ndarray:
    """Other clips at once, each equally loud, repeated from a moment on that is drawn for it."""
    total = np.zeros(length)
    for voice in voices:
        begin = int(rng.integers(len(voice)))
        repeated = np.take(voice, np.arange(begin, begin + length), mode="wrap")
        total += repeated / max(float(np.sqrt(np.mean(np.square(voice, dtype=np.float64)))), 1e-6)
    return total


def reverberant(wave: np.ndarray, rate: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """The wave in a room whose echo falls by 60 dB in so many seconds: noise that fades, behind the sound itself."""
    times = np.arange(max(2, round(seconds * rate))) / rate
    room = rng.standard_normal(len(times)) * 10 ** (-3 * times / seconds)
    room[0] = 0.0
    room *= np.sqrt(REFLECTED / np.square(room).sum())
    room[0] = 1.0
    echoing = functional.fftconvolve(*(torch.from_numpy(np.asarray(x, np.float32)) for x in (wave, room)))
    return as_loud_as(wave, echoing.numpy()[: len(wave)])


def band(wave: np.ndarray, rate: int, low: float, high: float) -> np.ndarray:
    """The wave without what lies below `low` and above `high` hertz."""
    filtered = torch.from_numpy(np.asarray(wave, np.float32))
    for _ in range(SECTIONS):
        filtered = functional.highpass_biquad(filtered, rate, low)
        if high < rate / 2:
            filtered = functional.lowpass_biquad(filtered, rate, high)
    return filtered.numpy()


def clipped(wave: np.ndarray, share: float) -> np.ndarray:
    """The wave cut off at a share of its highest peak, as loud as before."""
    most = share * float(np.abs(wave).max(initial=0.0))
    return as_loud_as(wave, np.clip(wave, -most, most))


def interrupted(wave: np.ndarray, rate: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """The wave with zeros for a share of its time."""
    result = wave.copy()
    for begin, end in gaps(len(wave) / rate, share, SHORTEST, LONGEST, rng):
        result[round(begin * rate) : round(end * rate)] = 0.0
    return result


def as_loud_as(wave: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The other wave at the mean power of the first."""
    powers = [float(np.mean(np.square(x, dtype=np.float64))) for x in (wave, other)]
    return (other * np.sqrt(powers[0] / max(powers[1], 1e-20))).astype(np.float32)


def at_rate(wave: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """The wave at another rate (hertz)."""
    return functional.resample(torch.from_numpy(np.array(wave)), rate, wanted).numpy() if rate != wanted else wave
