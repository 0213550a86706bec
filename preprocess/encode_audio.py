"""Stage encode_audio: states of a pretrained sound encoder, each with the time that it covers."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby, tee
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
    length = int((whisper.WINDOW if settings.padded else wav2vec.SHORTEST) * SAMPLE_RATE)
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


def states_of(task: Task, folder: Path, settings: params.EncodeAudio, model: Path, device: str) -> None:
    """One clip's states of sound."""
    states_of_several([task], [folder], settings, model, device)


def states_of_several(
    tasks: list[Task], folders: list[Path], settings: params.EncodeAudio, model: Path, device: str, together: int = 1
) -> None:
    """Several clips' states of sound, so many windows of 30 s read at once."""
    sounds = (sound.blocks(Shards(Path(task.source)), task.clip_id, whisper.WINDOW) for task in tasks)
    windows, given = tee((folder, wave) for folder, waves in zip(folders, sounds, strict=True) for wave in waves)
    found = encode((wave for _, wave in given), model, device, settings, together)
    for folder, of_clip in groupby(zip(windows, found, strict=True), key=lambda pair: pair[0][0]):
        with tables.Writer(folder / states.FILE) as table:
            for k, (_, own) in enumerate(of_clip):
                table.append(vars(states.later(own, k * whisper.WINDOW)))


def main() -> None:
    settings = params.load()
    own = settings.encode.audio
    device = resolve(settings.run.device)
    networks, unused = ([], {"batch_size"}) if own.features == "prosody" else ([MODEL], set())
    if networks:
        require_layer("encode.audio.layer", own.layer, MODEL)
    sounds = Shards(Path("data/audio"))
    seconds = durations()
    stage = Stage(
        name="encode_audio",
        module="preprocess.encode_audio",
        work=partial(states_of, settings=own, model=MODEL, device=device),
        together=partial(states_of_several, settings=own, model=MODEL, device=device, together=own.batch_size),
        batch_size=own.batch_size if networks else 1,
        parameters=own.model_dump(exclude=unused),
        models=networks,
        environment=device,
    )
    todo = [
        Task(clip_id, {"audio": digest}, seconds[clip_id], str(sounds.folder)) for clip_id, digest in sounds.digests.items()
    ]
    fill(stage, todo, settings.run)
