"""Reading media that nobody here made: local files only, in known containers, by one pinned decoder."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import ffmpeg
import imageio_ffmpeg

# Containers that hold one recording. Playlists and lists, which name other files, are not among them.
CONTAINERS = (
    "aac,aiff,asf,avi,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,"
    "mpeg,mpegts,mpegvideo,h264,hevc,m4v,mxf,nut,ogg,w64,wav"
)
LOCAL = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
TIME_LIMIT = 3600.0  # seconds that one decoder may take for one clip

# Nothing of the machine, the clock or the number of threads in what is written.
BITEXACT = {"fflags": "+bitexact", "flags": "+bitexact", "map_metadata": -1, "threads": 1}


class MediaError(Exception):
    """A medium cannot be read; the message is the decoder's own."""


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


def probe(path: Path) -> Streams:
    """Read the header of a medium; MediaError where no demuxer takes it."""
    try:
        with av.open(url(path), options=LOCAL) as container:
            picture = next((s for s in container.streams.video if not _is_cover(s)), None)
            sound = next(iter(container.streams.audio), None)
            return Streams(
                duration=_duration(container, [stream for stream in (picture, sound) if stream]),
                width=picture.width if picture else 0,
                height=picture.height if picture else 0,
                frame_rate=float(picture.average_rate or 0) if picture else 0.0,
                sample_rate=sound.rate or 0 if sound else 0,
                channels=sound.channels if sound else 0,
            )
    except av.FFmpegError as error:  # its strerror has no path of this machine in it
        raise MediaError(error.strerror or type(error).__name__) from None
    except ValueError as error:
        raise MediaError(str(error)) from None


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _duration(container: Any, streams: list[Any]) -> float:
    """Seconds from the container's header, or from the longest stream's; 0 where nothing says."""
    if container.duration:
        return container.duration / av.time_base
    return max((float(s.duration * s.time_base) for s in streams if s.duration), default=0.0)


def binary(chosen: str) -> str:
    """The path of the ffmpeg program: that of the pinned wheel for `bundled`."""
    return imageio_ffmpeg.get_ffmpeg_exe() if chosen == "bundled" else chosen


def version(chosen: str) -> str:
    """What the program says of itself, which enters the store's keys: the decoder is part of the result."""
    try:
        text = subprocess.run([binary(chosen), "-version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise MediaError(
            f"decoder.ffmpeg: {chosen} does not start ({error}); write bundled, or the path of an ffmpeg"
        ) from None
    return text.splitlines()[0]


def span(path: Path, start: float, end: float) -> Any:
    """A graph's input: the medium from `start` to `end` (seconds), its clock set to 0 at `start`."""
    return ffmpeg.input(url(path), ss=start, t=end - start, threads=1, **LOCAL)


def run(graph: Any, chosen: str) -> None:
    """Run an ffmpeg graph to its end; MediaError with what the program wrote where it fails."""
    command = ffmpeg.compile(graph.global_args("-nostdin", "-loglevel", "error"), cmd=binary(chosen), overwrite_output=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        raise MediaError(f"the decoder was stopped after {TIME_LIMIT:.0f} s") from None
    if done.returncode:
        raise MediaError(_tail(done.stderr) or f"ffmpeg ended with status {done.returncode}")


def _tail(text: str) -> str:
    """The last line of what the program wrote, which names the cause, without paths or addresses of this machine."""
    lines = [re.sub(r"\[[^]]* @ 0x[0-9a-f]+\] |file:\S*/", "", line).strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "")
