"""Stage audio: the sound of each clip, mono at 16 kHz, in FLAC; its first sample is the clip's start."""

from pathlib import Path

import params
from preprocess.clips import Task
from preprocess.media import failure, probe
from preprocess.media.part import part_of
from preprocess.media.probe import ORDINARY, Reading
from preprocess.media.sound import FILE, SAMPLE_RATE, is_silent
from preprocess.refusals import Code, Refusal
from preprocess.run import decoding
from preprocess.run.inputs import Inputs
from preprocess.run.stage import Job, fill


def write(source: Path, start: float, end: float, decoder: params.Decoder, target: Path, reading: Reading = ORDINARY) -> None:
    """Write the sound of a medium from start to end (seconds).

    Where the sound begins after the picture, or has a gap, silence keeps the time. MediaError where it cannot be decoded.
    """
    part = part_of(source, start, end, reading)
    even = part.samples(SAMPLE_RATE).filter("asetnsamples", n=4096, p=0)  # FLAC takes no short block at the beginning
    part.write(even, target, decoder, format="flac", acodec="flac", ac=1, ar=SAMPLE_RATE, sample_fmt="s16")


def audio_of(task: Task, folder: Path, decoder: params.Decoder) -> None:
    """Write one clip's sound into a folder; Refusal where it has no sample, or only zeros."""
    target = folder / FILE
    with failure.refused(Code.NO_SAMPLES):
        start, end = task.content["start"], task.content["end"]
        write(Path(task.source), start, end, decoder, target, Reading(**task.content["reading"]))
        if probe.is_empty(target):
            raise Refusal(Code.NO_SAMPLES, "no sample between start and end")
    if is_silent(target):
        raise Refusal(Code.SILENT, "every sample between start and end is zero")


def job(settings: params.Params, inputs: Inputs) -> Job:
    return decoding.job("audio", audio_of, settings, inputs, {}, "sound")


def main() -> None:
    settings = params.load()
    fill(job(settings, Inputs()), settings.run)
