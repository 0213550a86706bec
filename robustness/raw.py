"""A clip's sound and pictures as its medium has them, and corrupted ones as a medium again."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

import params
from preprocess.clips import Medium
from preprocess.media import film, pictures
from preprocess.media.part import part_of
from preprocess.media.probe import Reading
from robustness.picture import Timed

LARGEST = 4096  # pixels; the most that `frames.max_side` takes
MILLISECOND = Fraction(1, 1000)
FILM, WAVE = "film.mkv", "wave.wav"


def read_sound(medium: Medium, root: Path, decoder: params.Decoder, folder: Path) -> np.ndarray:
    """A clip's samples (n,) float32, mono at the medium's own rate; MediaError where it cannot be decoded."""
    target = folder / "raw.wav"
    part = part_of(root / medium.media, medium.start, medium.end, Reading(**medium.reading))
    part.write(part.samples(medium.sample_rate), target, decoder, format="wav", acodec="pcm_f32le")
    return soundfile.read(target, dtype="float32")[0]


def write_sound(folder: Path, wave: np.ndarray, rate: int) -> Path:
    soundfile.write(folder / WAVE, wave, rate, subtype="FLOAT")
    return folder / WAVE


def read_pictures(medium: Medium, root: Path, rate: float, decoder: params.Decoder, folder: Path) -> Iterator[Timed]:
    """Seconds and picture (height, width, 3) uint8 RGB, in full size, of those pictures that the stage `frames` takes.

    MediaError where the medium cannot be decoded. A lossless film in the folder holds the pictures meanwhile.
    """
    settings = params.Frames(rate=rate, max_side=LARGEST)
    target = folder / "raw.mkv"
    part = part_of(root / medium.media, medium.start, medium.end, Reading(**medium.reading))
    graph = pictures.hdr_graph(part.pictures(), settings, part.hdr) if part.hdr else pictures.graph(part.pictures(), settings)
    encoding = {"vcodec": "ffv1", "fps_mode": "passthrough", "enc_time_base": "1:1000"}
    part.write(graph.filter("format", "bgr0"), target, decoder, format="matroska", **encoding)
    with target.open("rb") as file:
        yield from film.read(file)


def write_pictures(folder: Path, timed: Iterable[Timed]) -> tuple[Path, int, int]:
    """A lossless film of these pictures at these times; with its width and height, 0 where there is no picture."""
    path, width, height = folder / FILM, 0, 0
    with av.open(str(path), "w", format="matroska") as container:
        stream = None
        for seconds, picture in timed:
            if stream is None:
                height, width = picture.shape[:2]
                stream = container.add_stream("ffv1", rate=1000)
                stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
                stream.time_base = stream.codec_context.time_base = MILLISECOND
                stream.codec_context.thread_count = 1
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = round(seconds * 1000), MILLISECOND
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))
    return path, width, height
