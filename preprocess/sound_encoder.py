"""States of waves by a pretrained sound encoder, Whisper's or one of wav2vec 2.0's kin; their prosody instead or beside."""

from collections.abc import Iterable, Iterator
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoConfig, AutoModel

import params
from preprocess import prosody, wav2vec, whisper
from preprocess.networks import batches, preparer
from preprocess.sound import SAMPLE_RATE
from preprocess.states import TimedStates
from preprocess.whisper import WINDOW


def is_whisper(folder: Path) -> bool:
    return preparer(AutoConfig, folder).model_type == "whisper"


def encode(
    waves: Iterable[np.ndarray], folder: Path, device: str, settings: params.EncodeAudio, together: int = 1
) -> Iterator[TimedStates]:
    """States of waves (n,) float32 at 16 kHz of at most 30 s, several of them read at once."""
    if settings.features == "prosody":
        yield from map(prosody.encode, waves)
        return
    waves, given = tee(waves)
    read = _whisper if is_whisper(folder) else _other
    for wave, hidden in zip(waves, read(given, folder, device, settings, together), strict=True):
        found = _timed(hidden, len(wave) / SAMPLE_RATE)
        yield prosody.beside(found, prosody.encode(wave)) if settings.features == "both" else found


def _timed(hidden: np.ndarray, duration: float) -> TimedStates:
    """States (T, D) with equal parts of the time."""
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
        for wave, own in zip(group, hidden, strict=True):
            yield own[: max(1, round(len(wave) / SAMPLE_RATE / whisper.STATE))].cpu().numpy()


def _other(
    waves: Iterable[np.ndarray], folder: Path, device: str, settings: params.EncodeAudio, together: int
) -> Iterator[np.ndarray]:
    def pick(output: Any) -> Any:
        return output.hidden_states[settings.layer]

    return wav2vec.read(AutoModel, folder, waves, device, pick, settings.precision, together)
