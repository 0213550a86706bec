"""Stage encode_audio: states of a pretrained sound encoder, each with the time that it covers."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoConfig, AutoModel

import params
from preprocess import prosody, sound, states, tables, wav2vec, whisper
from preprocess.clips import durations
from preprocess.networks import batches, preparer, require_layer
from preprocess.networks import device as resolve
from preprocess.shards import Shards
from preprocess.sound import SAMPLE_RATE
from preprocess.stage import Stage, Task, fill
from preprocess.states import TimedStates

MODEL = Path("data/models/audio")


def is_whisper(folder: Path) -> bool:
    return preparer(AutoConfig, folder).model_type == "whisper"


def encode(
    clips: list[np.ndarray],
    folder: Path,
    device: str,
    settings: params.EncodeAudio,
    together: int = 1,
    described: list[TimedStates] | None = None,
) -> list[TimedStates]:
    """States of waves (n,) float32 at 16 kHz, in windows of 30 s, several of them read at once.

    Prosody, where it is wanted, is `described` if that is given, else that of each wave by itself.
    """
    if described is None and settings.features != "network":
        described = [prosody.encode(wave) for wave in clips]
    if described and settings.features == "prosody":
        return described
    longest = int(whisper.WINDOW * SAMPLE_RATE)
    windows = [(i, begin) for i, wave in enumerate(clips) for begin in range(0, max(len(wave), 1), longest)]
    waves = [clips[i][begin : begin + longest] for i, begin in windows]
    read = _whisper if is_whisper(folder) else _other
    parts: list[list[TimedStates]] = [[] for _ in clips]
    for (i, begin), wave, hidden in zip(windows, waves, read(waves, folder, device, settings, together), strict=True):
        parts[i].append(_timed(hidden, begin / SAMPLE_RATE, len(wave) / SAMPLE_RATE))
    found = [states.joined(of_clip) for of_clip in parts]
    if described:
        return [prosody.beside(own, melody) for own, melody in zip(found, described, strict=True)]
    return found


def _timed(hidden: np.ndarray, begin: float, duration: float) -> TimedStates:
    """States (T, D) with equal parts of the window's time."""
    edges = begin + np.linspace(0, duration, len(hidden) + 1)
    return TimedStates(hidden, np.stack([edges[:-1], edges[1:]], 1).astype(np.float32), np.ones(len(hidden), bool))


def _whisper(
    waves: list[np.ndarray], folder: Path, device: str, settings: params.EncodeAudio, together: int
) -> Iterator[np.ndarray]:
    length = int((whisper.WINDOW if settings.padded else wav2vec.SHORTEST) * SAMPLE_RATE)
    for group in batches(waves, together):
        padded = [np.pad(wave, (0, max(0, length - len(wave)))) for wave in group]
        spectrograms = [whisper.mel(folder, wave, device) for wave in padded]
        hidden = whisper.encode(folder, spectrograms, device, settings.layer, settings.precision)
        for wave, own in zip(group, hidden, strict=True):
            yield own[: max(1, round(len(wave) / SAMPLE_RATE / whisper.STATE))].cpu().numpy()


def _other(
    waves: list[np.ndarray], folder: Path, device: str, settings: params.EncodeAudio, together: int
) -> Iterator[np.ndarray]:
    def pick(output: Any) -> Any:
        return output.hidden_states[settings.layer]

    return wav2vec.read(AutoModel, folder, waves, device, pick, settings.precision, together)


def states_of(task: Task, folder: Path, settings: params.EncodeAudio, model: Path, device: str) -> None:
    """One clip's states of sound."""
    blocks = partial(sound.blocks, Shards(Path(task.source)), task.clip_id, whisper.WINDOW)
    rows = None if settings.features == "network" else prosody.describe(blocks())
    begin = 0  # samples
    with tables.Writer(folder / states.FILE) as table:
        for block in blocks():
            own = rows[begin // prosody.HOP :][: -(-len(block) // prosody.HOP)] if rows is not None else None
            described = [prosody.timed(own, len(block))] if own is not None else None
            (found,) = encode([block], model, device, settings, described=described)
            table.append(vars(states.later(found, begin / SAMPLE_RATE)))
            begin += len(block)


def main() -> None:
    settings = params.load()
    device = resolve(settings.run.device)
    networks = [] if settings.encode.audio.features == "prosody" else [MODEL]
    if networks:
        require_layer("encode.audio.layer", settings.encode.audio.layer, MODEL)
    sounds = Shards(Path("data/audio"))
    seconds = durations()
    stage = Stage(
        name="encode_audio",
        module="preprocess.encode_audio",
        work=partial(states_of, settings=settings.encode.audio, model=MODEL, device=device),
        parameters=settings.encode.audio.model_dump(),
        models=networks,
        environment=device,
    )
    todo = [
        Task(clip_id, {"audio": digest}, seconds[clip_id], str(sounds.folder)) for clip_id, digest in sounds.digests.items()
    ]
    fill(stage, todo, settings.run)
