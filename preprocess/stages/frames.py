"""Stage frames: pictures at a fixed rate, with the time of each.

A clip's pictures are one film, Motion JPEG in Matroska: any player opens it, and every frame keeps its time in
milliseconds from the clip's start.
"""

from functools import partial
from pathlib import Path

import params
from preprocess.clips import Task
from preprocess.media import failure, probe
from preprocess.media.film import FILE
from preprocess.media.pictures import write
from preprocess.media.probe import Reading
from preprocess.refusals import Code, Refusal
from preprocess.run import decoding
from preprocess.run.inputs import Inputs
from preprocess.run.stage import Job, fill


def frames_of(task: Task, folder: Path, settings: params.Frames, decoder: params.Decoder) -> None:
    """Write one clip's film into a folder; Refusal where it has no frame."""
    target = folder / FILE
    with failure.refused(Code.NO_FRAMES):
        start, end = task.content["start"], task.content["end"]
        write(Path(task.source), start, end, settings, decoder, target, Reading(**task.content["reading"]))
        if probe.is_empty(target):
            raise Refusal(Code.NO_FRAMES, "no frame between start and end")


def job(settings: params.Params, inputs: Inputs) -> Job:
    work = partial(frames_of, settings=settings.frames)
    return decoding.job("frames", work, settings, inputs, settings.frames.model_dump(), "picture")


def main() -> None:
    settings = params.load()
    fill(job(settings, Inputs()), settings.run)
