"""Stage frames: pictures at a fixed rate, with the time of each.

A clip's pictures are one film, Motion JPEG in Matroska: any player opens it, and every frame keeps its time in
milliseconds from the clip's start.
"""

from functools import partial
from pathlib import Path

import params
from preprocess.clips import Task
from preprocess.media import probe
from preprocess.media.decoder import errors_as_refusals
from preprocess.media.film import FILE
from preprocess.media.pictures import write
from preprocess.refusals import Code, Refusal
from preprocess.run import decoding


def frames_of(task: Task, folder: Path, settings: params.Frames, decoder: params.Decoder) -> None:
    """Write one clip's film into a folder; Refusal where it has no frame."""
    target = folder / FILE
    with errors_as_refusals(Code.NO_FRAMES):
        write(Path(task.source), task.content["start"], task.content["end"], settings, decoder, target)
        if probe.streams_of(target).width == 0:
            raise Refusal(Code.NO_FRAMES, "no frame between start and end")


def main() -> None:
    settings = params.load()
    work = partial(frames_of, settings=settings.frames)
    decoding.run("frames", work, settings, settings.frames.model_dump(), "picture")
