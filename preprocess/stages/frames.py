"""Stage frames: pictures at a fixed rate, with the time of each.

A clip's pictures are one film, Motion JPEG in Matroska: any player opens it, and every frame keeps its time in
milliseconds from the clip's start.
"""

from functools import partial
from pathlib import Path
from typing import Any

import params
from preprocess.clips import Task, read_media
from preprocess.media import probe
from preprocess.media.decoder import BITEXACT, DecoderKilledError, ffmpeg_version, limits_of, part_of, run_ffmpeg
from preprocess.media.film import FILE
from preprocess.media.probe import DecoderStoppedError, MediaError
from preprocess.refusals import Code, Refusal
from preprocess.run.stage import Stage, fill

JPEG_QUALITY = 3  # ffmpeg's scale, 2 (best) to 31

# Of pictures in HDR (ITU-R BT.2408): the white of paper, which becomes that of ordinary pictures, and the brightest that is
# told from white.
WHITE, PEAK = 203, 1000  # candela a square metre
KNEE = 0.6  # of white; what is darker, as skin is, keeps its brightness, what is lighter is compressed


def graph(picture: Any, settings: params.Frames, matrix: str = "bt601") -> Any:
    """The first frame of every 1 / rate seconds, upright, with square pixels, at most max_side on its longer side.

    `matrix` makes luminance and colour differences of red, green and blue; JPEG's is that of BT.601.
    Frames are chosen, never doubled or moved: a film with fewer than `rate` a second keeps those that it has.
    """
    bin_of = f"floor({{}}*{settings.rate}+0.001)"  # a frame that is due at a boundary, rounded down by its clock, is in time
    first = f"isnan(prev_selected_t)+gt({bin_of.format('t')},{bin_of.format('prev_selected_t')})"
    side = settings.max_side
    square = "iw*if(sar,sar,1)"  # width in square pixels
    shrink = f"min(1,{side}/max({square},ih))"
    return (
        picture.filter("scale", "max(4,iw)", "max(4,ih)")  # the next one takes no smaller pictures
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
    """The same of a picture in HDR, in the colours and the brightness of ordinary ones.

    PQ and HLG come in the colours of ITU-R BT.2020 (so BT.2100), whatever else the medium says or leaves out.
    """
    named = picture.filter("setparams", colorspace="bt2020nc", color_primaries="bt2020", color_trc=transfer)
    small = graph(named, settings, "bt2020").filter("format", "yuv420p10")
    light = small.filter("zscale", t="linear", npl=WHITE).filter("format", "gbrpf32le").filter("zscale", p="709")
    mapped = light.filter("tonemap", "mobius", param=KNEE, peak=PEAK / WHITE, desat=0)
    return mapped.filter("zscale", t="709", m="470bg", r="full").filter("format", "yuv420p")


def write(source: Path, start: float, end: float, settings: params.Frames, decoder: params.Decoder, target: Path) -> None:
    """Write the pictures of a medium from start to end (seconds); MediaError where it cannot be decoded."""
    span = part_of(source, start, end)
    picture = span.cut(span.source["V:0"], "")
    chosen = hdr_graph(picture, settings, span.hdr) if span.hdr else graph(picture, settings)
    output = chosen.filter("format", "yuvj420p").output(
        str(target),
        format="matroska",
        vcodec="mjpeg",
        fps_mode="passthrough",
        enc_time_base="1:1000",
        **{"q:v": JPEG_QUALITY},
        **BITEXACT,
    )
    run_ffmpeg(output, decoder)


def frames_of(task: Task, folder: Path, settings: params.Frames, decoder: params.Decoder) -> None:
    """One clip's film."""
    target = folder / FILE
    try:
        write(Path(task.source), task.content["start"], task.content["end"], settings, decoder, target)
        empty = probe.streams_of(target).width == 0
    except DecoderStoppedError as error:
        raise Refusal(Code.DECODER_STOPPED, str(error)) from None
    except DecoderKilledError as error:
        raise Refusal(Code.WORKER_DIED, str(error)) from None
    except MediaError as error:
        raise Refusal(Code.NO_FRAMES, str(error)) from None
    if empty:
        raise Refusal(Code.NO_FRAMES, "no frame between start and end")


def main() -> None:
    settings = params.load()
    root = Path(settings.corpus.root)
    limits = limits_of(settings.decoder)
    stage = Stage(
        name="frames",
        module="preprocess.stages.frames",
        work=partial(frames_of, settings=settings.frames, decoder=settings.decoder),
        parameters=settings.frames.model_dump() | settings.decoder.model_dump(exclude=set(limits)),
        environment=ffmpeg_version(settings.decoder.ffmpeg),
        limits=limits,
    )
    fill(stage, [item.decoding(root) for item in read_media() if item.picture], settings.run)
