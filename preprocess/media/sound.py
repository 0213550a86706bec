"""Sound as the stages store it: mono at one rate, in FLAC."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from preprocess.store.shards import Shards

FILE = "flac"
WINDOW = 30.0  # seconds of sound that a network reads at once, at most
ROUNDING = 1 / 32768  # of samples with 16 bits
SAMPLE_RATE = 16000  # hertz, which the networks and the acoustic model were trained with


def wave(shards: Shards, clip_id: str) -> np.ndarray:
    """A clip's samples (n,), float32 from -1 to 1."""
    return soundfile.read(io.BytesIO(shards.read(clip_id, FILE)), dtype="float32")[0]


def blocks(shards: Shards, clip_id: str, seconds: float) -> Iterator[np.ndarray]:
    """A clip's samples, as in `wave`, in consecutive blocks of `seconds`; the last one may be shorter."""
    with shards.open(clip_id, FILE) as stream, soundfile.SoundFile(stream) as file:
        yield from file.blocks(round(seconds * SAMPLE_RATE), dtype="float32")


def is_silent(path: Path) -> bool:
    """Whether no sample of a sound file is above what rounding makes of zero: a microphone that is on hears more."""
    with soundfile.SoundFile(path) as file:
        return all(np.abs(block).max(initial=0.0) <= ROUNDING for block in file.blocks(SAMPLE_RATE, dtype="float32"))


def level(shards: Shards, clip_id: str, times: np.ndarray, window: float = 0.1) -> np.ndarray:
    """Loudness (T,) at times (T,) in seconds: log10 of the root mean square of a window around each, at least -3."""
    step = SAMPLE_RATE // 100
    power = [np.square(b[: len(b) // step * step].reshape(-1, step)).mean(1) for b in blocks(shards, clip_id, 30.0)]
    total = np.concatenate([[0.0], np.cumsum(np.concatenate([*power, np.zeros(1)]), dtype=float)])
    begin = np.clip(np.round((times - window / 2) * 100).astype(int), 0, len(total) - 2)
    end = np.clip(np.round((times + window / 2) * 100).astype(int), begin + 1, len(total) - 1)
    return np.log10(np.sqrt(np.maximum((total[end] - total[begin]) / (end - begin), 0)) + 1e-3)


def windows(blocks: Iterable[np.ndarray], longest: float) -> Iterator[np.ndarray]:
    """Cut a wave into windows of at most `longest` seconds, each cut at the quietest 0.1 s of its last fifth."""
    rest, most, hop = np.zeros(0, np.float32), int(longest * SAMPLE_RATE), SAMPLE_RATE // 10
    for block in blocks:
        rest = np.concatenate([rest, block])
        while len(rest) > most:
            tail = rest[most - most // 5 : most]
            energy = np.square(tail[: len(tail) // hop * hop].astype(np.float64)).reshape(-1, hop).mean(1)
            cut = most - most // 5 + int(energy.argmin()) * hop + hop // 2
            yield rest[:cut]
            rest = rest[cut:]
    yield rest
