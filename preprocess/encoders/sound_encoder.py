"""States of waves by a pretrained sound encoder (Whisper's, or one like wav2vec 2.0), by prosody, or by both."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoConfig, AutoModel

import params
from preprocess.encoders import prosody, wav2vec, whisper
from preprocess.encoders.networks import batches, joined, preparer
from preprocess.encoders.states import TimedStates
from preprocess.media import sound
from preprocess.media.sound import SAMPLE_RATE, WINDOW
from preprocess.store.shards import Shards

# A wave (n,) and its prosody, None where features is network.
Window = tuple[np.ndarray, TimedStates | None]


def is_whisper(folder: Path) -> bool:
    return preparer(AutoConfig, folder).model_type == "whisper"


def windows(shards: Shards, clip_id: str, settings: params.EncodeAudio) -> Iterator[Window]:
    """A clip in windows of 30 s, the last one shorter, each with its prosody."""
    blocks = partial(sound.blocks, shards, clip_id, WINDOW)
    rows = None if settings.features == "network" else prosody.describe(blocks())
    begin = 0
    for wave in blocks():
        count = max(1, -(-len(wave) // prosody.HOP))
        yield wave, None if rows is None else prosody.timed(rows[begin : begin + count], len(wave))
        begin += count


def encode(
    waves: Iterable[np.ndarray], folder: Path, device: str, settings: params.EncodeAudio, together: int = 1
) -> Iterator[TimedStates]:
    """States of waves (n,) float32 at 16 kHz of at most 30 s, `together` of them in a batch."""
    windows = ((wave, None if settings.features == "network" else prosody.encode(wave)) for wave in waves)
    return encode_described(windows, folder, device, settings, together)


def encode_described(
    windows: Iterable[Window], folder: Path, device: str, settings: params.EncodeAudio, together: int = 1
) -> Iterator[TimedStates]:
    """States of windows whose prosody has been computed."""
    if settings.features == "prosody":
        yield from (described for _, described in windows if described)
        return
    windows, inputs = tee(windows)
    read = _whisper if is_whisper(folder) else _wav2vec
    hidden = read((wave for wave, _ in inputs), folder, device, settings, together)
    for (wave, described), states in zip(windows, hidden, strict=True):
        timed = _timed(states, len(wave) / SAMPLE_RATE)
        yield prosody.beside(timed, described) if described else timed


def _timed(hidden: np.ndarray, duration: float) -> TimedStates:
    """States (T, D), each covering an equal share of the duration in seconds."""
    edges = np.linspace(0, duration, len(hidden) + 1)
    return TimedStates(hidden, np.stack([edges[:-1], edges[1:]], 1).astype(np.float32), np.ones(len(hidden), bool))


def _whisper(
    waves: Iterable[np.ndarray], folder: Path, device: str, settings: params.EncodeAudio, together: int
) -> Iterator[np.ndarray]:
    length = int((WINDOW if settings.padded else wav2vec.SHORTEST) * SAMPLE_RATE)
    for group in batches(waves, together):
        padded = [np.pad(wave, (0, max(0, length - len(wave)))) for wave in group]
        spectrograms = [whisper.mel(folder, wave, device) for wave in padded]
        hidden = whisper.encode(folder, spectrograms, device, settings.layer, settings.precision)
        for wave, states in zip(group, hidden, strict=True):
            yield states[: max(1, round(len(wave) / SAMPLE_RATE / whisper.STATE))].cpu().numpy()


def _wav2vec(
    waves: Iterable[np.ndarray], folder: Path, device: str, settings: params.EncodeAudio, together: int
) -> Iterator[np.ndarray]:
    def pick(output: Any) -> Any:
        return joined(output.hidden_states, settings.layer)

    return wav2vec.read(AutoModel, folder, waves, device, pick, settings.precision, together)
