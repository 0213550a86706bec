"""Arrays of samples and pictures as a lossless file, so that the stages read them like any other recording."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

BLOCK = 1024  # samples in a packet


def write(path: Path, wave: np.ndarray | None, rate: int, pictures: np.ndarray | None = None, frame_rate: float = 25.0) -> None:
    """Write a Matroska file of a wave (n,) float at `rate` hertz, of pictures (T, height, width, 3) uint8 RGB, or of both.

    ValueError where an array has another shape or dtype.
    """
    _check(wave, pictures)
    with av.open(str(path), "w", format="matroska") as container:
        streams: list[tuple[Any, Iterator[Any]]] = []
        if pictures is not None:
            picture: Any = container.add_stream("ffv1", rate=Fraction(frame_rate).limit_denominator(1000))
            picture.height, picture.width = pictures.shape[1:3]
            picture.pix_fmt = "bgr0"
            streams.append((picture, _pictures(pictures)))
        if wave is not None:
            streams.append((container.add_stream("pcm_f32le", rate=rate, layout="mono"), _sound(wave, rate)))
        for stream, frames in streams:
            for frame in frames:
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def _pictures(pictures: np.ndarray) -> Iterator[Any]:
    for picture in pictures:
        yield av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")


def _sound(wave: np.ndarray, rate: int) -> Iterator[Any]:
    for begin in range(0, len(wave), BLOCK):
        samples = np.ascontiguousarray(wave[None, begin : begin + BLOCK], np.float32)
        frame: Any = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, begin, Fraction(1, rate)
        yield frame


def _check(wave: np.ndarray | None, pictures: np.ndarray | None) -> None:
    if wave is None and pictures is None:
        raise ValueError("a wave, pictures, or both are expected")
    if wave is not None and (wave.ndim != 1 or not len(wave) or not np.issubdtype(wave.dtype, np.floating)):
        raise ValueError(f"wave is {wave.dtype} of shape {wave.shape}: floats of shape (samples,), from -1 to 1, are expected")
    if pictures is None:
        return
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3 or not len(pictures):
        shape = f"{pictures.dtype} of shape {pictures.shape}"
        raise ValueError(f"pictures are {shape}: uint8 of shape (pictures, height, width, 3), red first, is expected")
