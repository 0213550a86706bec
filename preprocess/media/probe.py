"""Reading the header of a medium from any source: local files only, in known containers."""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

# Containers that hold one recording. Playlists are left out, since they name other files.
CONTAINERS = (
    "aac,aiff,asf,avi,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,"
    "mpeg,mpegts,mpegvideo,h264,hevc,m4v,mxf,nut,ogg,w64,wav"
)
LOCAL = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
MAX_PIXELS = 1 << 26  # of one picture, twice 8K; a header that says more is refused
LIMITS = {"max_pixels": MAX_PIXELS}
MAX_RATE = 1 << 20  # hertz, more than any recording has; a resampler's memory grows with the rate
LEAST_BYTES = 250  # a second of a medium; where the header's duration leaves fewer, the duration is measured instead
HEADER_SECONDS = 600.0  # in which a header has to be read
HEADER_MEMORY = 1000  # megabytes that this process may take to read one; 8K takes 130, an hour of pictures 10

# Not containers but bare streams of one codec. Bare pictures have no times, so they are decoded from the first one on; FFmpeg
# guesses the duration of a bare stream from its beginning.
PICTURES = {"h264", "hevc", "m4v", "mpegvideo"}
SOUNDS = {"aac", "mp3"}


class MediaError(Exception):
    """A medium cannot be read; the message is FFmpeg's."""


class MediumGoneError(OSError):
    """A medium has vanished since it was probed, perhaps with its whole disk: a fault of the run, not of the medium."""


class DecoderStoppedError(MediaError):
    """A decoder wanted more time, memory or disk than the parameters allow."""


@dataclass(frozen=True)
class Streams:
    """What the header of a medium says; zeros where there is no picture or no sound."""

    duration: float  # seconds
    width: int  # pixels, as stored
    height: int
    frame_rate: float  # pictures a second, on average
    sample_rate: int  # hertz
    channels: int


def url(path: Path) -> str:
    """A `file:` URL, so that FFmpeg cannot read the name as a protocol, an option or a pattern."""
    return f"file:{path.resolve()}"


def streams_of(path: Path) -> Streams:
    """Read the header of a medium; MediaError where no demuxer takes it."""
    with opened(path) as container:
        picture = picture_of(container)
        sound = next((s for s in container.streams.audio if s.codec_context is not None), None)
        if sound and (sound.rate or 0) > MAX_RATE:
            raise MediaError(f"its header says {sound.rate} Hz, which no sound has")
        return Streams(
            duration=_duration(container, [stream for stream in (picture, sound) if stream]),
            width=picture.width if picture else 0,
            height=picture.height if picture else 0,
            frame_rate=float(picture.average_rate or 0) if picture else 0.0,
            sample_rate=sound.rate or 0 if sound else 0,
            channels=sound.channels if sound else 0,
        )


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The container; MediaError where it, or what is asked of it, cannot be read."""
    try:
        # A header may name any size; LIMITS keep the codecs that decode the first pictures from allocating it.
        options = LOCAL | {name: str(value) for name, value in LIMITS.items()}
        with _limited_memory(), av.open(url(path), options=options, timeout=HEADER_SECONDS) as container:
            yield container
    except MemoryError:  # av.error.MemoryError is one too
        raise DecoderStoppedError(f"its header takes more than {HEADER_MEMORY} MB of memory") from None
    except av.error.ExitError:
        raise MediaError(f"its header could not be read in {HEADER_SECONDS:g} s") from None
    except av.FFmpegError as error:  # its text in full would have a path of this machine
        raise MediaError(error.strerror or type(error).__name__) from None
    except ValueError as error:
        raise MediaError(str(error)) from None


@contextmanager
def _limited_memory() -> Iterator[None]:
    """Let this process allocate HEADER_MEMORY more, and no more than that, while the main thread reads a header.

    The limit holds for the whole process, so only the main thread sets it. A file that another thread opens has been probed by
    the main thread before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = size + HEADER_MEMORY * 1_000_000
    if before[0] != resource.RLIM_INFINITY:
        limit = min(limit, before[0])
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def picture_of(container: Any) -> Any:
    """The first video stream that has a decoder and is no cover art; None where there is none."""
    cover = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if s.codec_context is not None and not s.disposition & cover), None)


def _duration(container: Any, streams: list[Any]) -> float:
    """Seconds, from the header of the container or of the longest stream; measured where those guess or cannot be true."""
    if kind_of(container) in PICTURES | SOUNDS:
        return _measured(container, streams)
    seconds = max((float(s.duration * s.time_base) for s in streams if s.duration), default=0.0)
    if container.duration:
        # Matroska's duration is the time of its end, though its first packet may be later than 0.
        before = (container.start_time or 0) if kind_of(container) == "matroska" else 0
        seconds = (container.duration - before) / av.time_base
    return seconds if 0 < seconds * LEAST_BYTES <= container.size else _measured(container, streams)


def _measured(container: Any, streams: list[Any]) -> float:
    """Seconds to the end of the last packet that can be read; where packets have no times, the sum of their durations."""
    end = begin = (container.start_time or 0) / av.time_base
    untimed = Fraction(0)
    try:
        for packet in container.demux(streams):
            if packet.pts is not None:
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            else:
                untimed += (packet.duration or 0) * packet.time_base
    except av.error.MemoryError:
        raise
    except av.FFmpegError:
        pass  # the rest of the file is broken
    return max(end - begin, float(untimed))


def kind_of(container: Any) -> str:
    """FFmpeg's short name of the container's format, as `mov` or `matroska`."""
    return str(container.format.name).partition(",")[0]
