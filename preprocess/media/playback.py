"""Films and sounds in a browser: which it plays as they are, a small copy of the others, and the envelope of their sound."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import ffmpeg
import numpy as np
import soundfile

import params
from preprocess.media import pictures
from preprocess.media.decoder import BITEXACT, run_ffmpeg
from preprocess.media.part import Part, part_of
from preprocess.media.probe import ORDINARY, MediaError, Reading, Streams, opened, picture_of, sound_of

# What Chromium, Firefox and Safari all play, by the file's ending: codecs of the picture and of the sound.
PLAYED = {
    ".mp4": ({"h264"}, {"aac", "mp3"}),
    ".m4v": ({"h264"}, {"aac", "mp3"}),
    ".webm": ({"vp8", "vp9"}, {"opus", "vorbis"}),
    ".m4a": (set(), {"aac"}),
    ".mp3": (set(), {"mp3"}),
    ".wav": (set(), {"pcm_s16le", "pcm_u8", "pcm_s24le"}),
    ".flac": (set(), {"flac"}),
    ".ogg": (set(), {"vorbis", "opus"}),
}
EIGHT_BITS = {"yuv420p", "yuvj420p"}  # of a picture; browsers' decoders of H.264 take nothing else
LATE = 0.02  # seconds of a container's first packet; later, browsers and the stages may not count from the same moment
DECODER = params.Decoder(ffmpeg="bundled", max_seconds=7200, max_output=16000, max_memory=2000)
COPY = params.Frames(rate=25, max_side=640)
CRF, PRESET = 27, "veryfast"  # of H.264
RATE, BIT_RATE = 48000, "64k"  # of the copy's sound, AAC
KIND = {"frames": COPY.model_dump(), "crf": CRF, "preset": PRESET, "rate": RATE, "bit_rate": BIT_RATE}  # of a copy, for its key
COARSE = 8000  # hertz, of the sound that an envelope is taken of
FINEST, MOST = 50.0, 200_000  # buckets of an envelope: a second, and in all
LEVELS = 127  # of an envelope


def unplayable(path: Path, reading: Reading) -> str:
    """Why a browser may not play a file, or not on the clock of the stages; "" where it does. MediaError where it is broken."""
    known = PLAYED.get(path.suffix.lower())
    if known is None:
        return f"files ending in {path.suffix or 'nothing'} are not played everywhere"
    if reading != ORDINARY:
        return "its clock or its sound track is unusual"
    with opened(path) as container:
        picture, sound = picture_of(container), sound_of(container)
        late = (container.start_time or 0) / av.time_base
        codecs = [(stream, names) for stream, names in zip((picture, sound), known, strict=True) if stream]
        strange = next((stream.codec_context.name for stream, names in codecs if stream.codec_context.name not in names), "")
        pixels = picture.codec_context.pix_fmt if picture else ""
    if strange:
        return f"{strange} in {path.suffix.lower()} is not played everywhere"
    if pixels and pixels not in EIGHT_BITS:
        return f"pictures in {pixels} are not played everywhere"
    return f"it begins {late:.2f} s after its clock does" if abs(late) > LATE else ""


def copy(source: Path, start: float, end: float, reading: Reading, target: Path, decoder: params.Decoder = DECODER) -> None:
    """Write the medium from start to end (seconds) as a small MP4 (H.264, AAC) that begins at time 0.

    MediaError where it cannot be decoded.
    """
    part = part_of(source, start, end, reading)
    outputs = [_pictures(part)] if part.picture else []
    outputs += [part.samples(RATE)] if part.sound else []
    encoding: dict[str, Any] = {"format": "mp4", "movflags": "+faststart"}
    if part.picture:
        encoding |= {"vcodec": "libx264", "crf": CRF, "preset": PRESET, "pix_fmt": "yuv420p", "fps_mode": "passthrough"}
    if part.sound:
        encoding |= {"acodec": "aac", "b:a": BIT_RATE, "ac": 1}
    graph = ffmpeg.output(*outputs, str(target), **encoding, **BITEXACT)
    run_ffmpeg(graph if part.joined else graph.global_args("-copyts"), decoder, target)


def _pictures(part: Part) -> Any:
    shown = pictures.hdr_graph(part.pictures(), COPY, part.hdr) if part.hdr else pictures.graph(part.pictures(), COPY)
    return shown.filter("format", "yuv420p")


@dataclass(frozen=True)
class Outline:
    """The lowest and highest sample of each bucket of a recording, int8 (N,) each, 127 being its loudest sample."""

    rate: float  # buckets a second
    low: np.ndarray
    high: np.ndarray
    peak: float  # amplitude, 0 to 1


def outline(path: Path, streams: Streams, decoder: params.Decoder = DECODER) -> Outline | None:
    """Of a whole recording; None where it has no sound that can be decoded."""
    if not streams.sample_rate:
        return None
    rate = min(FINEST, MOST / max(streams.duration, 1.0))
    with TemporaryDirectory(prefix="lddu-") as folder:
        file = Path(folder) / "sound.wav"
        try:
            part = part_of(path, 0.0, streams.duration, streams.reading)
            part.write(part.samples(COARSE), file, decoder, format="wav", acodec="pcm_s16le", ac=1, ar=COARSE)
        except MediaError:
            return None
        edges = list(_buckets(file, max(1, round(COARSE / rate))))
    low, high = (np.array([edge[i] for edge in edges], np.float32) for i in range(2))
    peak = float(max(np.abs(low).max(initial=0.0), high.max(initial=0.0)))
    lowest, highest = (np.round(LEVELS * values / (peak or 1.0)).astype(np.int8) for values in (low, high))
    return Outline(COARSE / max(1, round(COARSE / rate)), lowest, highest, peak)


def _buckets(file: Path, samples: int) -> Iterator[tuple[float, float]]:
    with soundfile.SoundFile(file) as sound:
        for block in sound.blocks(samples * 1000, dtype="float32"):
            whole = len(block) // samples * samples
            for bucket in [*block[:whole].reshape(-1, samples), *([block[whole:]] if whole < len(block) else [])]:
                yield float(bucket.min()), float(bucket.max())
