"""Stage encode_audio: states of a pretrained sound encoder, each with the time that it covers."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

import params
from preprocess import sound, states, tables, whisper
from preprocess.clips import durations
from preprocess.networks import device as resolve
from preprocess.networks import load, preparer, require_layer
from preprocess.shards import Shards
from preprocess.sound import SAMPLE_RATE
from preprocess.stage import Stage, Task, fill
from preprocess.states import TimedStates

MODEL = Path("data/models/audio")
SHORTEST = 0.1  # seconds; a shorter wave is followed by silence up to this, since convolutions need some input


def is_whisper(folder: Path) -> bool:
    return preparer(AutoConfig, folder).model_type == "whisper"


def encode(blocks: Iterable[np.ndarray], folder: Path, device: str, settings: params.EncodeAudio) -> Iterator[TimedStates]:
    """States of a wave (n,) float32 that comes in consecutive blocks of WINDOW seconds, block by block."""
    begin = 0
    window = _whisper if is_whisper(folder) else _other
    for part in blocks:
        yield _timed(window(part, folder, device, settings), begin / SAMPLE_RATE, len(part) / SAMPLE_RATE)
        begin += len(part)


def _timed(hidden: np.ndarray, begin: float, duration: float) -> TimedStates:
    """States (T, D) with equal parts of the window's time."""
    edges = begin + np.linspace(0, duration, len(hidden) + 1)
    return TimedStates(hidden, np.stack([edges[:-1], edges[1:]], 1).astype(np.float32), np.ones(len(hidden), bool))


def _whisper(wave: np.ndarray, folder: Path, device: str, settings: params.EncodeAudio) -> np.ndarray:
    length = int((whisper.WINDOW if settings.padded else SHORTEST) * SAMPLE_RATE)
    padded = np.pad(wave, (0, max(0, length - len(wave))))
    hidden = whisper.encode(folder, whisper.mel(folder, padded, device), device, settings.layer)[0]
    covered = max(1, round(len(wave) / SAMPLE_RATE / whisper.STATE))
    return hidden[:covered].cpu().numpy()


@torch.inference_mode()
def _other(wave: np.ndarray, folder: Path, device: str, settings: params.EncodeAudio) -> np.ndarray:
    """wav2vec 2.0, HuBERT, WavLM: networks that read the wave itself."""
    padded = np.pad(wave, (0, max(0, int(SHORTEST * SAMPLE_RATE) - len(wave))))
    extractor, network = preparer(AutoFeatureExtractor, folder), load(AutoModel, folder, device)
    inputs = extractor(padded, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values.to(device)
    return network(inputs, output_hidden_states=True).hidden_states[settings.layer][0].cpu().numpy()


def states_of(task: Task, folder: Path, settings: params.EncodeAudio, model: Path, device: str) -> None:
    """One clip's states of sound."""
    blocks = sound.blocks(Shards(Path(task.source)), task.clip_id, whisper.WINDOW)
    with tables.Writer(folder / states.FILE) as table:
        for found in encode(blocks, model, device, settings):
            table.append(vars(found))


def main() -> None:
    settings = params.load()
    device = resolve(settings.run.device)
    require_layer("encode.audio.layer", settings.encode.audio.layer, MODEL)
    sounds = Shards(Path("data/audio"))
    seconds = durations()
    stage = Stage(
        name="encode_audio",
        module="preprocess.encode_audio",
        work=partial(states_of, settings=settings.encode.audio, model=MODEL, device=device),
        parameters=settings.encode.audio.model_dump(),
        models=[MODEL],
        environment=device,
    )
    todo = [
        Task(clip_id, {"audio": digest}, seconds[clip_id], str(sounds.folder)) for clip_id, digest in sounds.digests.items()
    ]
    fill(stage, todo, settings.run)
