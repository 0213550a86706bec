"""The voices of the corpus: hibari-tts with its pitch, spectrum and tempo moved, and the true times of its words.

The synthesiser's network gives pitch and spectra before they become a wave. How long each phone lasts it decides inside;
the network is loaded with that inner value as one more output.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from hibari import Hibari, dsp
from hibari.voices import DEFAULT, voice_path
from numpy.typing import NDArray

from sample.speaker import Voice

RATE = dsp.SR  # hertz
UNIT = 2 * dsp.HOP / RATE  # seconds: durations are counted in two spectral frames
DURATIONS = "/Cast_32_output_0"  # of hibari-tts 0.2.1: (tokens,) int64
ROOM = 0.0006  # deviation of the noise that a quiet room has
LATENCY = 0.04  # seconds by which a sound is heard before its duration begins: fricatives against high-frequency energy
AUDIBLE = 0.02  # of the loudest 5 ms, below which a word that ends a phrase is over
VOICED = 20.0  # hertz, above which a frame has a pitch
UNSPOKEN = frozenset(",.;:!?—…\"'()“” ")
STRESS = frozenset("ˈˌ")

Wave = NDArray[np.float32]  # (samples,) mono at RATE, -1 to 1


@dataclass(frozen=True)
class Spoken:
    """A word or a phone, and when it is heard, in seconds."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Speech:
    wave: Wave
    words: list[Spoken]
    phones: list[Spoken]

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.wave) / RATE


# What an emotion of full strength does to a voice: factors or, for the others, sums.
STYLES: dict[str, dict[str, float]] = {
    "happy": {"pitch": 1.25, "range": 1.5, "speed": 1.10, "level": 2, "tilt": 3, "tract": 1.04},
    "sad": {"pitch": 0.84, "range": 0.5, "speed": 0.78, "level": -6, "tilt": -7, "rise": -0.15},
    "anger": {"pitch": 1.12, "range": 1.3, "speed": 1.12, "level": 7, "tilt": 9, "tract": 0.97},
    "surprise": {"pitch": 1.35, "range": 1.8, "speed": 0.95, "level": 1, "rise": 0.35},
    "disgust": {"pitch": 0.86, "range": 0.8, "speed": 0.86, "level": -1, "breath": 8, "tract": 0.93},
    "fear": {"pitch": 1.40, "range": 0.6, "speed": 1.24, "level": -3, "breath": 5, "jitter": 0.05},
}
FACTORS = ("pitch", "range", "speed", "tract")


def moved(voice: Voice, amounts: dict[str, float], monotony: float = 0.0) -> Voice:
    """The voice with these amounts of emotions; at a monotony of 1 neither emotion nor melody is left."""
    changes = {name: getattr(voice, name) for name in vars(voice)}
    for label, amount in amounts.items():
        for name, value in STYLES[label].items():
            heard = amount * (1 - monotony)
            changes[name] = changes[name] * value**heard if name in FACTORS else changes[name] + value * heard
    return replace(voice, **(changes | {"range": changes["range"] * (1 - 0.9 * monotony)}))


def faster(voice: Voice, factor: float) -> Voice:
    return replace(voice, speed=voice.speed * factor)


def fitted(speech: Speech, seconds: float, rng: np.random.Generator) -> Speech:
    """The speech in a quiet room, cut or extended to this length; very loud samples are limited. Only silence is cut off."""
    wave = (rng.standard_normal(round(seconds * RATE)) * ROOM).astype(np.float32)
    heard = speech.wave[: len(wave)]
    wave[: len(heard)] += np.tanh(heard)
    return replace(speech, wave=wave)


@cache
def _synthesiser() -> Hibari:
    """The synthesiser, its network with the durations as one more output.

    A message of protocol buffers grows by appending: the bytes added here are one more output of the model's graph.
    """
    output = _field(1, DURATIONS.encode()) + _field(2, _field(1, b"\x08\x07"))  # name; type: tensor of int64
    return Hibari(model=Path(voice_path(DEFAULT)).read_bytes() + _field(7, _field(12, output)))


def _field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffers message, shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(content)]) + content


def say(text: str, voice: Voice, rng: np.random.Generator) -> Speech:
    """Speak a text; its words must be separated by spaces."""
    hibari = _synthesiser()
    waves, spans, phones, start = [], [], [], 0.0
    for sounds in hibari.phonemize(text):
        sounds = [sound for sound in sounds if sound in hibari.vocab]
        ids = np.array([hibari.ids(sounds)], np.int64)
        *frames, durations = hibari.sess.run(None, {"ids": ids, "speed": np.array([voice.speed], np.float32)})
        *spectra, pitch = (output[0] for output in frames)
        ends = np.maximum(start + np.cumsum(durations) * UNIT - LATENCY, 0.0)
        timed = [Spoken(sound, *map(float, ends[i : i + 2])) for i, sound in enumerate(sounds)]
        waves.append(_wave(spectra, pitch, voice, rng))
        spans += [_audible(span, waves[-1], start) for span in _word_spans(timed)]
        phones += [phone for phone in timed if phone.name not in UNSPOKEN | STRESS]
        start += len(waves[-1]) / RATE
    names = [name.strip(",.?!") for name in text.split()]
    if len(spans) != len(names):
        raise ValueError(f"not every word of {text!r} is spoken by itself: {len(names)} are written, {len(spans)} heard")
    words = [Spoken(name, *span) for name, span in zip(names, spans, strict=True)]
    return Speech(np.concatenate(waves), words, phones)


def _word_spans(sounds: list[Spoken]) -> list[tuple[float, float]]:
    """Start and end of each word in seconds; words are separated by spaces, punctuation is left out.

    A space without punctuation is not silent: one word goes over into the next. The two words meet in its middle.
    """
    spans: list[tuple[float, float]] = []
    inside, paused, start = False, True, 0.0
    for sound in sounds:
        if sound.name == " ":
            start = (sound.start + sound.end) / 2
            if inside and not paused:
                spans[-1] = (spans[-1][0], start)
            inside = False
        elif sound.name in UNSPOKEN:
            paused = True
        elif inside:
            spans[-1] = (spans[-1][0], sound.end)
        else:
            spans.append((sound.start if paused else start, sound.end))
            inside, paused = True, False
    return spans


def _audible(span: tuple[float, float], wave: Wave, offset: float) -> tuple[float, float]:
    """The span without the silence at its end, which a phrase's last sound includes; the wave begins at `offset` seconds."""
    first, last = (round((time - offset) * RATE) for time in span)
    block = RATE // 200
    loudness = np.abs(wave[first : last - (last - first) % block]).reshape(-1, block).max(1)
    heard = np.flatnonzero(loudness > AUDIBLE * np.abs(wave).max())
    return span[0], min(span[1], span[0] + float(heard[-1] + 1) * block / RATE) if len(heard) else span[1]


def _wave(spectra: list[NDArray], pitch: NDArray, voice: Voice, rng: np.random.Generator) -> Wave:
    """The wave of the network's spectra, each (bins, frames) in log magnitude or phase, and pitch (frames,) in hertz."""
    harmonic, harmonic_phase, noise, free = (_scale_frequency(spectrum, voice.tract) for spectrum in spectra[:4])
    decibel = np.log(10) / 20
    gain = decibel * (voice.level + voice.tilt * np.linspace(-0.5, 0.5, len(harmonic), dtype=np.float32)[:, None])
    noise = noise + decibel * voice.breath
    sung = _melody(pitch, voice, rng)
    return dsp.synth(harmonic + gain, harmonic_phase, noise + gain, free + gain, spectra[4], sung, rng)


def _scale_frequency(spectrum: NDArray, factor: float) -> NDArray[np.float32]:
    """(bins, frames) with its frequency axis stretched; a factor above 1 sounds like a shorter vocal tract."""
    position = np.arange(len(spectrum)) / factor
    low = np.clip(position.astype(int), 0, len(spectrum) - 2)
    weight = np.clip(position - low, 0, 1)[:, None]
    return (spectrum[low] * (1 - weight) + spectrum[low + 1] * weight).astype(np.float32)


def _melody(pitch: NDArray, voice: Voice, rng: np.random.Generator) -> NDArray[np.float32]:
    """(frames,) pitch in hertz, its height and its movement around the median changed on a logarithmic scale."""
    voiced = pitch > VOICED
    heights = np.log(pitch[voiced])
    centre = np.median(heights) if len(heights) else 0.0
    changed = pitch.copy()
    unrest = voice.jitter * rng.standard_normal(len(heights)) + voice.rise * np.linspace(-1, 1, len(heights))
    changed[voiced] = np.exp(centre + np.log(voice.pitch) + (heights - centre) * voice.range + unrest)
    return changed.astype(np.float32)
