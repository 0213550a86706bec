"""Films as the stages store them: Motion JPEG in Matroska, a time for every picture."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

import av
import numpy as np
from av.video.reformatter import VideoReformatter

FILE = "mkv"
MILLISECOND = Fraction(1, 1000)


def read(film: IO[bytes], every: float = 0.0) -> Iterator[tuple[float, np.ndarray]]:
    """(seconds, picture (height, width, 3) uint8 RGB) of every frame, or of one frame every `every` seconds, one at a time."""
    with av.open(film, mode="r", format="matroska") as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        next_time, converter = -math.inf, VideoReformatter()
        for packet in container.demux(stream):
            if packet.pts is None or packet.pts * packet.time_base >= next_time:  # an empty packet flushes the decoder
                if packet.pts is not None:  # every JPEG is a keyframe, so those between can be skipped
                    next_time = float(packet.pts * packet.time_base) + every
                for frame in packet.decode():
                    yield float(frame.time), converter.reformat(frame, format="rgb24").to_ndarray()


def write(path: Path, frames: Iterable[tuple[float, np.ndarray]], size: int) -> None:
    """Write square pictures (size, size, 3) uint8 RGB with their times in seconds; the bytes repeat."""
    with av.open(str(path), "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mjpeg", rate=1000)
        stream.width, stream.height, stream.pix_fmt = size, size, "yuvj420p"
        stream.time_base = stream.codec_context.time_base = MILLISECOND
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {
            "flags": "+bitexact+qscale",
            "global_quality": str(3 * 118),
        }  # 118: ffmpeg's FF_QP2LAMBDA
        for seconds, picture in frames:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(seconds * 1000), MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
