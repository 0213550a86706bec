"""Stage audio: the sound of each clip, mono at 16 kHz, in FLAC; its first sample is the clip's start."""

import io
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

import params
from preprocess import media
from preprocess.clips import read_media
from preprocess.media import MediaError
from preprocess.refusals import Code, Refusal
from preprocess.shards import Shards
from preprocess.stage import Stage, Task, fill

FILE = "flac"


def write(source: Path, start: float, end: float, sample_rate: int, ffmpeg: str, target: Path) -> None:
    """Write the sound of a medium from start to end (seconds).

    Where the sound begins after the picture, or has a gap, silence keeps the clock. MediaError where it cannot be decoded.
    """
    sound = media.span(source, start, end)["a:0"].filter("aresample", sample_rate, **{"async": 1, "first_pts": 0})
    output = sound.output(str(target), format="flac", acodec="flac", ac=1, ar=sample_rate, sample_fmt="s16", **media.BITEXACT)
    media.run(output, ffmpeg)


def audio_of(task: Task, folder: Path, settings: params.Audio, ffmpeg: str) -> None:
    """One clip's sound."""
    target = folder / FILE
    try:
        write(Path(task.source), task.content["start"], task.content["end"], settings.sample_rate, ffmpeg, target)
    except MediaError as error:
        raise Refusal(Code.NO_SAMPLES, str(error)) from None
    if soundfile.info(target).frames <= 0:
        raise Refusal(Code.NO_SAMPLES, "no sample between start and end")


def wave(shards: Shards, clip_id: str) -> np.ndarray:
    """A clip's samples (n,), float32 from -1 to 1."""
    return soundfile.read(io.BytesIO(shards.read(clip_id, FILE)), dtype="float32")[0]


def main() -> None:
    settings = params.load()
    root = Path(settings.corpus.root)
    stage = Stage(
        name="audio",
        module="preprocess.audio",
        work=partial(audio_of, settings=settings.audio, ffmpeg=settings.decoder.ffmpeg),
        parameters=settings.audio.model_dump(),
        environment=media.version(settings.decoder.ffmpeg),
    )
    fill(stage, [item.decoding(root) for item in read_media() if item.sound], settings.run)
