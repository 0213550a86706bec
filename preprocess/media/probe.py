"""What a medium that nobody here made says of itself: local files only, in known containers."""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

# Containers that hold one recording. Playlists and lists, which name other files, are not among them.
CONTAINERS = (
    "aac,aiff,asf,avi,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,"
    "mpeg,mpegts,mpegvideo,h264,hevc,m4v,mxf,nut,ogg,w64,wav"
)
LOCAL = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
MAX_PIXELS = 1 << 26  # of one picture, twice 8K; a header that says more is not believed
LIMITS = {"max_pixels": MAX_PIXELS}
MAX_RATE = 1 << 20  # hertz, more than any sound has; a resampler takes memory in proportion
SPARSE = 250  # bytes a second, below which the duration that a header says is measured instead
PATIENCE = 600.0  # seconds in which a header has to be read
HEADER_MEMORY = 1000  # megabytes that this process may take to read one; 8K takes 130, an hour of pictures 10

# No containers but streams as a codec writes them. Pictures carry no times there, so they are read from the beginning; what
# is said of the duration is a guess from the first of them.
PICTURES = {"h264", "hevc", "m4v", "mpegvideo"}
SOUNDS = {"aac", "mp3"}


class MediaError(Exception):
    """A medium cannot be read; the message is the decoder's own."""


class MediumGoneError(OSError):
    """A medium that was there is no file any more: its folder may be gone with it, which is no fact about the medium."""


class DecoderStoppedError(MediaError):
    """A decoder wanted more time, memory or disk than the parameters allow."""


@dataclass(frozen=True)
class Streams:
    """What a medium says of itself; zeros where there is no picture or no sound."""

    duration: float  # seconds
    width: int  # pixels, as stored
    height: int
    frame_rate: float  # pictures a second, on average
    sample_rate: int  # hertz
    channels: int


def url(path: Path) -> str:
    """A name that no protocol prefix, leading dash or percent sign in a file's name can bend."""
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
        # The header may name any size; the codecs that look at the first pictures are told not to believe it.
        options = LOCAL | {name: str(value) for name, value in LIMITS.items()}
        with _frugal(), av.open(url(path), options=options, timeout=PATIENCE) as container:
            yield container
    except MemoryError:  # FFmpeg's own is one of them
        raise DecoderStoppedError(f"its header takes more than {HEADER_MEMORY} MB of memory") from None
    except av.error.ExitError:
        raise MediaError(f"its header could not be read in {PATIENCE:g} s") from None
    except av.FFmpegError as error:  # its strerror has no path of this machine in it
        raise MediaError(error.strerror or type(error).__name__) from None
    except ValueError as error:
        raise MediaError(str(error)) from None


@contextmanager
def _frugal() -> Iterator[None]:
    """Let this process take HEADER_MEMORY, and no more, in its main thread.

    The limit is one of the whole process, whose other threads may need more meanwhile, so it is the main one that sets it; what
    another thread opens, the main one has probed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    wanted = size + HEADER_MEMORY * 1_000_000
    most = wanted if before[0] == resource.RLIM_INFINITY else min(wanted, before[0])
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def picture_of(container: Any) -> Any:
    """The first video stream that is a film that can be decoded, rather than cover art; None where there is none."""
    cover = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if s.codec_context is not None and not s.disposition & cover), None)


def _duration(container: Any, streams: list[Any]) -> float:
    """Seconds from the container's header, or from the longest stream's; where they guess, or cannot be true, measured."""
    if kind_of(container) in PICTURES | SOUNDS:
        return _measured(container, streams)
    said = max((float(s.duration * s.time_base) for s in streams if s.duration), default=0.0)
    if container.duration:
        late = (container.start_time or 0) if kind_of(container) == "matroska" else 0  # there, the end on a clock from 0
        said = (container.duration - late) / av.time_base
    return said if 0 < said * SPARSE <= container.size else _measured(container, streams)


def _measured(container: Any, streams: list[Any]) -> float:
    """Seconds to the end of the last packet, as far as packets can be read; of packets without times, of all together."""
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
        pass  # what follows is broken
    return max(end - begin, float(untimed))


def kind_of(container: Any) -> str:
    return str(container.format.name).partition(",")[0]
