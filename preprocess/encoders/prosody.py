"""Prosody: how something is said, as descriptors that have a name, every 10 ms.

The low-level descriptors follow eGeMAPS (Eyben et al., IEEE Transactions on Affective Computing 7(2), 2016), without
formants, jitter and shimmer. Spectrogram, mel bands and cosine transform are torchaudio's. Its detect_pitch_frequency is
not used: it takes half a second for a second of sound, and is often wrong by an octave.
"""

from collections.abc import Callable, Iterable
from itertools import chain, pairwise

import numpy as np
import torch
import torchaudio.functional as audio
from torch import Tensor

from preprocess.encoders.networks import inference
from preprocess.encoders.states import TimedStates
from preprocess.media.sound import SAMPLE_RATE

NAMES = (
    "pitch",  # semitones above 27.5 Hz; interpolated linearly where the voice pauses
    "pitch_change",  # semitones a second
    "voicing",  # correlation of the wave with itself a period later, 0 to 1
    "harmonicity",  # ratio of harmonic to other energy, dB
    "energy",  # dB below full scale
    "energy_change",  # dB a second
    "alpha_ratio",  # energy from 50 to 1000 Hz against that from 1 to 5 kHz, dB
    "hammarberg",  # strongest peak below 2 kHz against that from 2 to 5 kHz, dB
    "slope_low",  # of the spectrum from 0 to 500 Hz, dB a kHz
    "slope_high",  # from 500 to 1500 Hz
    "flux",  # change of the spectrum's shape since the frame before, 0 to 1
    "centroid",  # of the spectrum, kHz
    *(f"mfcc_{i}" for i in range(1, 5)),
)
HOP = 160  # samples: 10 ms
WINDOW, FFT = 400, 512  # samples: 25 ms, and with zeros
PITCH = (65, 500)  # hertz, of speech
PITCH_WINDOW, PITCH_FFT = 736, 2048  # samples: three of the longest periods, and with zeros
HALO = 8 * HOP  # samples before and after a frame that its descriptors and those of the frame before it depend on
BLOCK = 3000 * HOP  # samples measured at a time
OCTAVE = 0.02  # by which the autocorrelation at a lag must be above that at half the lag, to be preferred
REFERENCE = 27.5  # hertz
VOICED = 0.5  # least voicing of a voiced frame
SILENT = 35.0  # dB below the loudest frame, beneath which none is voiced
QUIET = 1e-10  # of energy, -100 dB: what lies below is silence
BANDS = 26


def encode(wave: np.ndarray) -> TimedStates:
    """Descriptors (T, 16) of a wave (n,) float32 at 16 kHz; T = n / 160, rounded up."""
    return timed(describe(wave[begin : begin + BLOCK] for begin in range(0, len(wave), BLOCK)), len(wave))


@inference()
def describe(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Descriptors (T, 16) float32 of a wave that comes in pieces, as of the whole.

    All pieces but the last have the same length, a multiple of 160 samples and at least HALO. Descriptors of single frames
    are computed piece by piece, with HALO samples of the neighbouring pieces; those that depend on the whole clip are
    computed at the end. Memory: 6 kB for a second of sound.
    """
    ahead = iter(blocks)
    nothing = np.zeros(0, np.float32)
    before = np.zeros(HALO, np.float32)
    pieces = []
    for block, after in pairwise(chain([next(ahead, nothing)], ahead, [nothing])):
        count = max(1, -(-len(block) // HOP))
        x = np.concatenate([before, block, after[:HALO]])
        pieces.append(frames(torch.from_numpy(np.pad(x, (0, 2 * HALO + count * HOP - len(x)))), count))
        before = block[-HALO:]
    rows = torch.cat(pieces)
    energy, voicing = (rows[:, NAMES.index(name)] for name in ("energy", "voicing"))
    voiced = (voicing >= VOICED) & (energy >= energy.max() - SILENT)
    pitch = carried(rows[:, NAMES.index("pitch")], voiced)
    for name, values in {"pitch": pitch, "pitch_change": change(pitch), "energy_change": change(energy)}.items():
        rows[:, NAMES.index(name)] = values
    rows[0, NAMES.index("flux")] = 0
    return rows.numpy()


def timed(rows: np.ndarray, samples: int) -> TimedStates:
    """Descriptors (T, 16) with the times that they cover, from 0 to the end of so many samples."""
    edges = np.minimum(np.arange(len(rows) + 1) * HOP, max(samples, 1)) / SAMPLE_RATE
    return TimedStates(rows, np.stack([edges[:-1], edges[1:]], 1).astype(np.float32), np.ones(len(rows), bool))


def frames(x: Tensor, count: int) -> Tensor:
    """Descriptors (T, 16) of `count` frames; x has HALO more samples before the first and after the last.

    The pitch is that of every frame, voiced or not. The changes of pitch and energy are 0: `describe` fills them in.
    """
    window = torch.hann_window(WINDOW)
    power = spectrum(x, count + 1, window, FFT) * 2 / (window.square().sum() * FFT)  # sums to the frame's mean square
    change_of_shape, power = flux(power)[1:], power[1:]
    energy = decibel(power.sum(1))
    pitch, voicing = melody(x, count, energy)
    rows = [
        pitch,
        torch.zeros(count),
        voicing,
        decibel(voicing.clamp(0.01, 0.99) / (1 - voicing.clamp(0.01, 0.99))),
        energy,
        torch.zeros(count),
        ratio(power, (50, 1000), (1000, 5000), torch.sum),
        ratio(power, (0, 2000), (2000, 5000), torch.amax),
        slope(power, (0, 500)),
        slope(power, (500, 1500)),
        change_of_shape,
        (power * frequencies()).sum(1) / (power.sum(1) + QUIET) / 1000,
        *cepstrum(power).T,
    ]
    return torch.stack(rows, dim=1)


def beside(states: TimedStates, prosody: TimedStates) -> TimedStates:
    """The states of a network, each followed by the mean of the descriptors over its time."""
    edges = np.append(prosody.times[:, 0], prosody.times[-1, 1]).astype(np.float64)
    sums = np.cumsum(np.vstack([np.zeros(len(NAMES)), prosody.states * np.diff(edges)[:, None]]), axis=0)
    begin, end = (np.stack([np.interp(states.times[:, i], edges, column) for column in sums.T], 1) for i in (0, 1))
    means = (end - begin) / np.maximum(states.times[:, 1:] - states.times[:, :1], 1e-6)
    return TimedStates(np.concatenate([states.states, means.astype(np.float32)], 1), states.times, states.observed)


def spectrum(x: Tensor, count: int, window: Tensor, size: int) -> Tensor:
    """Power (T, size / 2 + 1) around the middle of each of the last `count` frames, through a window no longer than `size`."""
    begin = len(x) - HALO - count * HOP - (size - HOP) // 2
    heard = x[begin : begin + (count - 1) * HOP + size]
    return audio.spectrogram(heard, 0, window, size, HOP, len(window), power=2.0, normalized=False, center=False).T


def frequencies() -> Tensor:
    return torch.linspace(0, SAMPLE_RATE / 2, FFT // 2 + 1)


def decibel(x: Tensor) -> Tensor:
    return 10 * torch.log10(x + QUIET)


def change(x: Tensor) -> Tensor:
    """Difference to the frame before, per second."""
    return torch.diff(x, prepend=x[:1]) * (SAMPLE_RATE / HOP)


def melody(x: Tensor, count: int, energy: Tensor) -> tuple[Tensor, Tensor]:
    """Semitones and voicing, (T,) each: the lag at which a frame is most like itself (Boersma, 1993).

    A frame's autocorrelation, the inverse transform of its power, is divided by that of its window. Of lags that are
    nearly as good, as multiples of the period are, the shortest is taken.
    """
    window = torch.hann_window(PITCH_WINDOW)
    alike = torch.fft.irfft(spectrum(x, count, window, PITCH_FFT)) / torch.fft.irfft(
        torch.fft.rfft(window, PITCH_FFT).abs().square()
    ).clamp(min=QUIET)
    alike = alike / (alike[:, :1] + QUIET)
    first, last = SAMPLE_RATE // PITCH[1], SAMPLE_RATE // PITCH[0]
    left, middle, right = (alike[:, first + step : last + 1 + step] for step in (-1, 0, 1))
    peak = (middle >= left) & (middle >= right)
    # Of a parabola through the three: how far its apex is from the middle, in samples, and how high.
    apex = torch.where(peak, 0.5 * (left - right) / (left - 2 * middle + right).clamp(max=-QUIET), 0)
    height = (middle - 0.25 * (left - right) * apex).clamp(0, 1) * peak
    lags = torch.arange(first, last + 1) + apex
    best = (height - OCTAVE * torch.log2(lags / first)).argmax(1, keepdim=True)
    semitones = 12 * torch.log2(SAMPLE_RATE / lags.gather(1, best)[:, 0] / REFERENCE)
    voicing = torch.where(energy > decibel(torch.tensor(QUIET)), height.gather(1, best)[:, 0], 0)
    return semitones, voicing


def carried(pitch: Tensor, voiced: Tensor) -> Tensor:
    """Pitch (T,) with unvoiced frames interpolated linearly between voiced ones; 0 where no frame is voiced."""
    places = np.arange(len(pitch))
    mask = voiced.numpy()
    if not mask.any():
        return torch.zeros(len(pitch))
    return torch.from_numpy(np.interp(places, places[mask], pitch.numpy()[mask]).astype(np.float32))


def _band(power: Tensor, band: tuple[int, int]) -> Tensor:
    hertz = frequencies()
    return power[:, (hertz >= band[0]) & (hertz < band[1])]


def ratio(power: Tensor, low: tuple[int, int], high: tuple[int, int], reduce: Callable[[Tensor, int], Tensor]) -> Tensor:
    return decibel(reduce(_band(power, low), 1)) - decibel(reduce(_band(power, high), 1))


def slope(power: Tensor, band: tuple[int, int]) -> Tensor:
    """Slope, in dB a kHz, of the line fitted to the spectrum in dB by least squares."""
    levels, places = decibel(_band(power, band)), _band(frequencies()[None], band)[0] / 1000
    centred = places - places.mean()
    return (levels @ centred) / centred.square().sum()


def flux(power: Tensor) -> Tensor:
    shape = power.sqrt() / (power.sum(1, keepdim=True).sqrt() + QUIET)
    return torch.diff(shape, dim=0, prepend=shape[:1]).square().sum(1) / 2


def cepstrum(power: Tensor) -> Tensor:
    """MFCC 1 to 4, (T, 4)."""
    bands = audio.melscale_fbanks(FFT // 2 + 1, 20.0, SAMPLE_RATE / 2, BANDS, SAMPLE_RATE)
    return torch.log(power @ bands + QUIET) @ audio.create_dct(5, BANDS, "ortho")[:, 1:]
