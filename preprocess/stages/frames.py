"""Stage frames: pictures at a fixed rate, with the time of each.

A clip's pictures are one film, Motion JPEG in Matroska: any player opens it, and every frame keeps its time in
milliseconds from the clip's start.
"""

from functools import partial
from pathlib import Path
from typing import Any

import params
from preprocess.clips import Task
from preprocess.media import failure, probe
from preprocess.media.film import FILE
from preprocess.media.part import part_of
from preprocess.media.probe import ORDINARY, Reading
from preprocess.refusals import Code, Refusal
from preprocess.run import decoding

JPEG_QUALITY = 3  # ffmpeg's scale, 2 (best) to 31

# Pictures in HDR (ITU-R BT.2408): the brightness of white paper, which becomes white in the output, and the highest brightness
# that still differs from white there.
WHITE, PEAK = 203, 1000  # candela a square metre
KNEE = 0.6  # of white; darker pixels, such as skin, keep their brightness, lighter ones are compressed


def graph(picture: Any, settings: params.Frames, matrix: str = "bt601") -> Any:
    """The first frame of every 1 / rate seconds, upright, with square pixels, at most max_side on its longer side.

    `matrix` is that of the output's luminance and colour differences; JPEG's is BT.601.
    Frames are selected, never repeated or moved in time: a film with fewer than `rate` a second keeps all its frames.
    """
    # The number of a frame's interval; 0.001 so that a frame at a boundary, its time rounded down, counts to the next one.
    interval = f"floor({{}}*{settings.rate}+0.001)"
    later = "gt(round(t*1000),round(prev_selected_t*1000))"  # the film keeps milliseconds; two pictures cannot share one
    first = f"isnan(prev_selected_t)+gt({interval.format('t')},{interval.format('prev_selected_t')})*{later}"
    side = settings.max_side
    square = "iw*if(sar,sar,1)"  # width in square pixels
    shrink = f"min(1,{side}/max({square},ih))"
    return (
        picture.filter("scale", "max(4,iw)", "max(4,ih)")  # bwdif takes no smaller pictures
        .filter("bwdif", mode="send_frame", deint="interlaced")
        .filter("select", first)
        .filter(
            "scale",
            f"max(2,trunc({square}*{shrink}/2+0.5)*2)",
            f"max(2,trunc(ih*{shrink}/2+0.5)*2)",
            flags="area+accurate_rnd+full_chroma_int",
            out_color_matrix=matrix,
        )
        .filter("setsar", 1)
    )


def hdr_graph(picture: Any, settings: params.Frames, transfer: str) -> Any:
    """As `graph`, for a picture in HDR: its colours and brightness become those of an ordinary picture (BT.709).

    PQ and HLG always use the colours of ITU-R BT.2020 (see BT.2100), even where the file says nothing or otherwise.
    """
    named = picture.filter("setparams", colorspace="bt2020nc", color_primaries="bt2020", color_trc=transfer)
    small = graph(named, settings, "bt2020").filter("format", "yuv420p10")
    light = small.filter("zscale", t="linear", npl=WHITE).filter("format", "gbrpf32le").filter("zscale", p="709")
    mapped = light.filter("tonemap", "mobius", param=KNEE, peak=PEAK / WHITE, desat=0)
    return mapped.filter("zscale", t="709", m="470bg", r="full").filter("format", "yuv420p")


def write(
    source: Path,
    start: float,
    end: float,
    settings: params.Frames,
    decoder: params.Decoder,
    target: Path,
    reading: Reading = ORDINARY,
) -> None:
    """Write the pictures of a medium from start to end (seconds); MediaError where it cannot be decoded."""
    part = part_of(source, start, end, reading)
    frames = hdr_graph(part.pictures(), settings, part.hdr) if part.hdr else graph(part.pictures(), settings)
    encoding = {"vcodec": "mjpeg", "q:v": JPEG_QUALITY, "fps_mode": "passthrough", "enc_time_base": "1:1000"}
    part.write(frames.filter("format", "yuvj420p"), target, decoder, format="matroska", **encoding)


def frames_of(task: Task, folder: Path, settings: params.Frames, decoder: params.Decoder) -> None:
    """Write one clip's film into a folder; Refusal where it has no frame."""
    target = folder / FILE
    with failure.refused(Code.NO_FRAMES):
        start, end = task.content["start"], task.content["end"]
        write(Path(task.source), start, end, settings, decoder, target, Reading(**task.content["reading"]))
        if probe.is_empty(target):
            raise Refusal(Code.NO_FRAMES, "no frame between start and end")


def main() -> None:
    settings = params.load()
    work = partial(frames_of, settings=settings.frames)
    decoding.run("frames", work, settings, settings.frames.model_dump(), "picture")
