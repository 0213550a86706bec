"""Stage encode_audio: states of a pretrained sound encoder, each with the time that it covers."""

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

import params
from preprocess import audio, states, whisper
from preprocess.clips import durations
from preprocess.device import resolve
from preprocess.shards import Shards
from preprocess.stage import Stage, Task, fill
from preprocess.states import TimedStates

MODEL = Path("data/models/audio")
SHORTEST = 0.1  # seconds; a shorter wave is followed by silence up to this, since convolutions need some input


@cache
def is_whisper(folder: Path) -> bool:
    return AutoConfig.from_pretrained(folder).model_type == "whisper"


@cache
def network(folder: Path, device: str) -> Any:
    return AutoModel.from_pretrained(folder, dtype=torch.float32).to(device).eval()


@cache
def extractor(folder: Path) -> Any:
    return AutoFeatureExtractor.from_pretrained(folder)


def encode(wave: np.ndarray, sample_rate: int, folder: Path, device: str, settings: params.EncodeAudio) -> TimedStates:
    """States of a wave (n,) float32, in windows of 30 s."""
    longest, parts = int(whisper.WINDOW * sample_rate), []
    for begin in range(0, len(wave), longest):
        part = wave[begin : begin + longest]
        window = _whisper if is_whisper(folder) else _other
        parts.append(_timed(window(part, sample_rate, folder, device, settings), begin / sample_rate, len(part) / sample_rate))
    return TimedStates(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _timed(hidden: np.ndarray, begin: float, duration: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States (T, D) with equal parts of the window's time."""
    edges = begin + np.linspace(0, duration, len(hidden) + 1)
    return hidden, np.stack([edges[:-1], edges[1:]], 1).astype(np.float32), np.ones(len(hidden), bool)


def _whisper(wave: np.ndarray, sample_rate: int, folder: Path, device: str, settings: params.EncodeAudio) -> np.ndarray:
    length = int((whisper.WINDOW if settings.padded else SHORTEST) * sample_rate)
    padded = np.pad(wave, (0, max(0, length - len(wave))))
    hidden = whisper.encode(folder, whisper.mel(folder, padded, device), device, settings.layer)[0]
    covered = max(1, round(len(wave) / sample_rate / whisper.STATE))
    return hidden[:covered].cpu().numpy()


@torch.inference_mode()
def _other(wave: np.ndarray, sample_rate: int, folder: Path, device: str, settings: params.EncodeAudio) -> np.ndarray:
    """wav2vec 2.0, HuBERT, WavLM: networks that read the wave itself."""
    padded = np.pad(wave, (0, max(0, int(SHORTEST * sample_rate) - len(wave))))
    inputs = extractor(folder)(padded, sampling_rate=sample_rate, return_tensors="pt").input_values.to(device)
    return network(folder, device)(inputs, output_hidden_states=True).hidden_states[settings.layer][0].float().cpu().numpy()


def states_of(task: Task, folder: Path, settings: params.EncodeAudio, sample_rate: int, model: Path, device: str) -> None:
    """One clip's states of sound."""
    torch.set_num_threads(1)
    wave = audio.wave(Shards(Path(task.source)), task.clip_id)
    states.write(folder, encode(wave, sample_rate, model, device, settings))


def main() -> None:
    settings = params.load()
    device = resolve(settings.run.device)
    sounds = Shards(Path("data/audio"))
    seconds = durations()
    stage = Stage(
        name="encode_audio",
        module="preprocess.encode_audio",
        work=partial(
            states_of, settings=settings.encode.audio, sample_rate=settings.audio.sample_rate, model=MODEL, device=device
        ),
        parameters=settings.encode.audio.model_dump(),
        models=[MODEL],
        environment=device,
    )
    todo = [
        Task(clip_id, {"audio": digest}, seconds[clip_id], str(sounds.folder)) for clip_id, digest in sounds.digests.items()
    ]
    fill(stage, todo, settings.run)
