"""Voice activity: the probability that somebody speaks, every 32 ms, by the network of Silero VAD (silero-vad, MIT).

The network comes in the pinned package silero-vad, and its digest stands below. It is run by onnxruntime with one thread:
importing the package itself would load torch and change the threads of the whole process.

The network is trained on ordinary voices and misses screams and sobs: 16 of 1,200 acted English sentences (RAVDESS). It
hears them when they are played slower, and thereby lower. So each sound is read at several speeds, and the highest
probability counts; noise and music hardly reach more by that. Two of the sentences stay unheard.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from preprocess.media.sound import SAMPLE_RATE

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

NETWORK = "silero_vad/data/silero_vad_16k_sequence.onnx"
SHA256 = "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85"
FRAME = 512  # samples that a probability is of
HOP = FRAME / SAMPLE_RATE  # seconds
CONTEXT = 64  # samples before a frame that the network reads with it
MEMORY = (1, 1, 128)  # shape of the LSTM's state, and of its cell
SLOWER = ((1, 1), (3, 2), (2, 1))  # speeds at which a sound is read: how many samples become how many
BLOCK = 1024  # frames that are read at once
LEAD = 32  # frames before a block that are read again with it, to fill the memory of the LSTM
SPEECH = 0.5  # probability from which a frame counts as speech
LEAST = 0.25  # seconds of speech; less is none: a click, a note of music


@cache
def network() -> "InferenceSession":
    from onnxruntime import InferenceSession, SessionOptions  # not at the top: a prediction from text does without

    path = Path(str(distribution("silero-vad").locate_file(NETWORK)))
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ImportError(f"{path} is not the network of silero-vad 6.2.3: install the versions of constraints.txt")
    options = SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return InferenceSession(content, options, providers=["CPUExecutionProvider"])


def probabilities(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """The probability of speech (T,) in each frame of a wave float32 at 16 kHz; T = samples / 512, rounded up.

    The wave comes in consecutive blocks of BLOCK frames; the last one may be shorter.
    """
    results, before = [np.zeros(0, np.float32)], np.zeros(0, np.float32)
    for block in blocks:
        samples = np.concatenate([before, block])
        results.append(np.max([_at_speed(samples, *speed) for speed in SLOWER], axis=0)[len(before) // FRAME :])
        before = block[-LEAD * FRAME :]
    return np.concatenate(results)


def _at_speed(samples: np.ndarray, up: int, down: int) -> np.ndarray:
    """The probabilities of the frames of a wave that is played up / down times slower."""
    from scipy.signal import resample_poly

    count = -(-len(samples) // FRAME)
    slow = samples if up == down else resample_poly(samples, up, down).astype(np.float32)
    read = _read(np.pad(slow, (0, -(-count * up // down) * FRAME - len(slow))).reshape(-1, FRAME))
    return np.repeat(read, down)[: count * up].reshape(count, up).max(1)


def _read(frames: np.ndarray) -> np.ndarray:
    """The network's output (T,) for consecutive frames (T, FRAME)."""
    before = np.zeros((len(frames), CONTEXT), np.float32)
    before[1:] = frames[:-1, -CONTEXT:]
    inputs = {"input": np.hstack([before, frames]), "h": np.zeros(MEMORY, np.float32), "c": np.zeros(MEMORY, np.float32)}
    return np.asarray(network().run(["speech_probs"], inputs)[0]).reshape(-1)


def of_wave(wave: np.ndarray) -> np.ndarray:
    """`probabilities` of a whole wave (n,)."""
    return probabilities(wave[begin : begin + BLOCK * FRAME] for begin in range(0, len(wave), BLOCK * FRAME))


def is_spoken(speech: np.ndarray) -> bool:
    """Whether somebody speaks in a sound with these probabilities (T,)."""
    return float((speech >= SPEECH).sum()) * HOP >= LEAST


def is_spoken_from(speech: np.ndarray, start: float, end: float) -> bool:
    """Whether somebody speaks at any moment from start to end (seconds)."""
    return bool((speech[int(start / HOP) : int(end / HOP) + 1] >= SPEECH).any())
