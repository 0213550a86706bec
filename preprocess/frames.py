"""Stage frames: pictures at a fixed rate, with the time of each.

A clip's pictures are one film, Motion JPEG in Matroska: any player opens it, and every frame keeps its time in
milliseconds from the clip's start.
"""

from functools import partial
from pathlib import Path
from typing import Any

import params
from preprocess import media
from preprocess.clips import read_media
from preprocess.film import FILE
from preprocess.media import MediaError
from preprocess.refusals import Code, Refusal
from preprocess.stage import Stage, Task, fill

JPEG_QUALITY = 3  # ffmpeg's scale, 2 (best) to 31


def graph(picture: Any, settings: params.Frames) -> Any:
    """The first frame of every 1 / rate seconds, upright, with square pixels, at most max_side on its longer side.

    Frames are chosen, never doubled or moved: a film with fewer than `rate` a second keeps those that it has.
    """
    bin_of = f"floor({{}}*{settings.rate}+0.001)"  # a frame that is due at a boundary, rounded down by its clock, is in time
    first = f"isnan(prev_selected_t)+gt({bin_of.format('t')},{bin_of.format('prev_selected_t')})"
    side = settings.max_side
    return (
        picture.filter("select", first)
        .filter("scale", "trunc(iw*if(sar,sar,1)/2+0.5)*2", "trunc(ih/2+0.5)*2")
        .filter("setsar", 1)
        .filter(
            "scale", f"min(1,{side}/max(iw,ih))*iw", f"min(1,{side}/max(iw,ih))*ih", flags="area+accurate_rnd+full_chroma_int"
        )
        .filter("format", "yuvj420p")
    )


def write(source: Path, start: float, end: float, settings: params.Frames, ffmpeg: str, target: Path) -> None:
    """Write the pictures of a medium from start to end (seconds); MediaError where it cannot be decoded."""
    picture = graph(media.span(source, start, end)["v:0"], settings)
    output = picture.output(
        str(target), format="matroska", vcodec="mjpeg", fps_mode="passthrough", **{"q:v": JPEG_QUALITY}, **media.BITEXACT
    )
    media.run(output, ffmpeg)


def frames_of(task: Task, folder: Path, settings: params.Frames, ffmpeg: str) -> None:
    """One clip's film."""
    target = folder / FILE
    try:
        write(Path(task.source), task.content["start"], task.content["end"], settings, ffmpeg, target)
        empty = media.probe(target).width == 0
    except MediaError as error:
        raise Refusal(Code.NO_FRAMES, str(error)) from None
    if empty:
        raise Refusal(Code.NO_FRAMES, "no frame between start and end")


def main() -> None:
    settings = params.load()
    root = Path(settings.corpus.root)
    stage = Stage(
        name="frames",
        module="preprocess.frames",
        work=partial(frames_of, settings=settings.frames, ffmpeg=settings.decoder.ffmpeg),
        parameters=settings.frames.model_dump(),
        environment=media.version(settings.decoder.ffmpeg),
    )
    fill(stage, [item.decoding(root) for item in read_media() if item.picture], settings.run)
