"""Reading media that nobody here made: local files only, in known containers, by one pinned decoder."""

import errno
import os
import re
import resource
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import av
import ffmpeg
import imageio_ffmpeg

import params

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

# Containers whose index leads to the frame that is asked for. Elsewhere a seek lands anywhere nearby, so it aims LEAD seconds
# earlier, or FURTHER times that where no key frame lies between, and what comes too early is cut away.
INDEXED = {"mov", "matroska"}
LEAD, FURTHER = 10.0, 4

# No containers but streams as a codec writes them. Pictures carry no times there, so they are read from the beginning; what
# is said of the duration is a guess from the first of them.
PICTURES = {"h264", "hevc", "m4v", "mpegvideo"}
SOUNDS = {"aac", "mp3"}

# Transfer characteristics of high dynamic range by their numbers in ITU-T H.273: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67).
HDR = {16: "smpte2084", 18: "arib-std-b67"}

# Signals that ask a process to end. At some moments ffmpeg then ends with status 0, having written a part or nothing.
GENTLE = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
SIGNS = re.compile(  # what is counted in the lines that it writes
    r"^\[(?:out#|[av]ost#).*: (?P<full>No space left on device|Disk quota exceeded)$"  # of what writes, never of a medium
    r"|(?P<starved>(?i:cannot|could not|unable to|failed to) allocate|(?i:out of memory)|pthread_create\(\) failed)"
    r"|(?P<unbuffered>\bget_buffer\(\) failed)"  # for want of memory, unless the line before says why
    "|(?P<misshapen>image parameters invalid|exceeds max_samples)"
)
CONTEXT = re.compile(r"\[[^]]* @ 0x[0-9a-f]+\] ")  # the part of it that writes a line, and its address
GRAPH = re.compile(r"\[(fc#|Parsed_|AVFilterGraph|[av]ost#)")  # of these parts, those behind the decoder
CONSEQUENCE = re.compile(  # lines that follow one which names a cause
    "Nothing was written|Terminating thread|Task finished|Could not open encoder|Cannot determine format"
    "|Error (re|opening|while opening|binding|sending|submitting)|Failed to (configure|inject)"
)

# Nothing of the machine, the clock or the number of threads in what is written.
BITEXACT = {"fflags": "+bitexact", "flags": "+bitexact", "map_metadata": -1, "threads": 1}


class MediaError(Exception):
    """A medium cannot be read; the message is the decoder's own."""


class MediumGoneError(OSError):
    """A medium that was there is no file any more: its folder may be gone with it, which is no fact about the medium."""


class DecoderStoppedError(MediaError):
    """A decoder wanted more time, memory or disk than the parameters allow."""


class DecoderKilledError(MediaError):
    """A decoder was ended from outside, twice."""


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
    with _open(path) as container:
        picture = _picture(container)
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
def _open(path: Path) -> Iterator[Any]:
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


def _picture(container: Any) -> Any:
    """The first video stream that is a film that can be decoded, rather than cover art; None where there is none."""
    cover = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if s.codec_context is not None and not s.disposition & cover), None)


def _duration(container: Any, streams: list[Any]) -> float:
    """Seconds from the container's header, or from the longest stream's; where they guess, or cannot be true, measured."""
    if _kind(container) in PICTURES | SOUNDS:
        return _measured(container, streams)
    said = max((float(s.duration * s.time_base) for s in streams if s.duration), default=0.0)
    if container.duration:
        late = (container.start_time or 0) if _kind(container) == "matroska" else 0  # there, the end on a clock from 0
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


@dataclass(frozen=True)
class Span:
    """A part of a medium in a graph whose clock is the medium's own."""

    source: Any  # the graph's input, from `begin` or somewhat earlier or later
    begin: float  # seconds into the medium: where reading begins
    start: float  # where the part begins
    end: float
    hdr: str = ""  # the picture's transfer characteristic where it is one of HDR

    def cut(self, stream: Any, kind: str) -> Any:
        """The part itself, its clock 0 at its beginning; `kind` is "" for pictures and "a" for sound."""
        fine = stream.filter(f"{kind}settb", "AVTB")  # microseconds, where a film's own clock may be as coarse as its frames
        part = fine.filter(f"{kind}trim", start=_written(self.start), end=_written(self.end))
        return part.filter(f"{kind}setpts", f"PTS-{_written(self.start)}/TB")


def span(path: Path, start: float, end: float) -> Span:
    """The medium from `start` to `end` (seconds), found by seeking; MediaError where no demuxer takes it.

    MediumGoneError where it is no file.
    """
    if not path.is_file():
        raise MediumGoneError(
            f"{path} was a file when the run began, and is none now; bring it back, or run from the manifest on"
        )
    with _open(path) as container:
        picture = _picture(container)
        hdr = HDR.get(picture.codec_context.color_trc, "") if picture else ""
        begin = max(0.0, round(start - _lead(container, picture, start), 6))
    seek = {"ss": _written(begin)} if begin else {}  # a seek to the beginning may miss it
    part = ffmpeg.input(url(path), **seek, t=_written(end - begin), threads=1, **LOCAL, **LIMITS)
    return Span(part, begin, start, end, hdr)


def _lead(container: Any, picture: Any, start: float) -> float:
    """Seconds before `start` to which a decoder has to seek to be ready by then."""
    if _kind(container) in INDEXED:
        return 0.0
    if _kind(container) in PICTURES:
        return start
    lead = LEAD
    while picture and lead < start and not _is_ready(container, picture, start - lead, start):
        lead *= FURTHER
    return lead


def _is_ready(container: Any, picture: Any, begin: float, start: float) -> bool:
    """Whether a seek to `begin` meets a picture from which on a decoder can show the one at `start`."""
    zero = container.start_time or 0
    try:
        container.seek(zero + round(begin * av.time_base))
        for packet in container.demux(picture):
            at = packet.dts if packet.pts is None else packet.pts
            if at is None or float(at * packet.time_base) > zero / av.time_base + start:
                return False
            if packet.is_keyframe:
                return True
    except av.FFmpegError:
        pass  # broken there
    return False


def _written(seconds: float) -> str:
    """Seconds as ffmpeg reads them: to the microsecond, without an exponent."""
    return f"{seconds:.6f}"


def _kind(container: Any) -> str:
    return str(container.format.name).partition(",")[0]


def run(graph: Any, decoder: params.Decoder) -> None:
    """Run an ffmpeg graph to its end, within the limits; once more where something else ended it.

    MediaError with what the program wrote where it fails, DecoderStoppedError where it takes too much, whatever it finished
    without the memory that it asked for; DecoderKilledError where it is ended from outside twice; OSError where the disk is
    full, which is no fact about the medium.
    """
    options = ["-nostdin", "-loglevel", "error", "-filter_complex_threads", "1", "-copyts", "-start_at_zero"]
    command = ffmpeg.compile(graph.global_args(*options), cmd=binary(decoder.ffmpeg), overwrite_output=True)
    ended = _run(command, decoder)
    if ended.killed(decoder):
        ended = _run(command, decoder)
    if ended.killed(decoder):
        raise DecoderKilledError("something ended its decoder, and again when it was tried once more")
    if ended.waited:
        raise DecoderStoppedError(f"still running after {2 * decoder.max_seconds} s")
    if ended.status == -signal.SIGKILL:  # ffmpeg would take the gentler SIGXCPU as an order to end well
        raise DecoderStoppedError(f"it worked longer than decoder.max_seconds ({decoder.max_seconds})")
    if ended.status == -signal.SIGXFSZ:
        raise DecoderStoppedError(f"it wrote more than decoder.max_output ({decoder.max_output} MB)")
    if ended.full:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), graph.node.kwargs["filename"])
    if ended.starved:
        raise DecoderStoppedError(f"it needs more than decoder.max_memory ({decoder.max_memory} MB)")
    if ended.status < 0:
        raise MediaError(f"the decoder crashed ({signal.Signals(-ended.status).name})")
    if ended.status:
        raise MediaError(ended.cause or f"ffmpeg ended with status {ended.status}")


@dataclass(frozen=True)
class _Ended:
    """How a decoder's process ended."""

    status: int  # negative: the signal that ended it
    seconds: float  # of processor time that it used
    waited: bool  # whether it was ended here, for it ran longer than even a waiting one may
    signs: Counter[str]  # how often it wrote what SIGNS names
    cause: str  # of what it wrote, the line that says why it failed

    @property
    def full(self) -> bool:
        """Whether the disk had no room for what it made."""
        return self.signs["full"] > 0

    @property
    def starved(self) -> bool:
        """Whether it went without memory that it asked for, be it for one picture."""
        return self.signs["starved"] > 0 or self.signs["unbuffered"] > self.signs["misshapen"]

    def killed(self, decoder: params.Decoder) -> bool:
        """Whether it was ended by something else than itself and its limits, as when the machine is out of memory."""
        limit = 0.9 * decoder.max_seconds  # the kernel counts somewhat differently
        return self.status == -signal.SIGKILL and not self.waited and self.seconds < limit


def _run(command: list[str], decoder: params.Decoder) -> _Ended:
    late = threading.Event()

    def stop(process: subprocess.Popen) -> None:
        late.set()
        process.kill()

    with TemporaryFile() as errors, _started(command, errors) as process:
        # A decoder that waits, rather than works, is given the same time again.
        timer = threading.Timer(2 * decoder.max_seconds, stop, [process])
        timer.daemon = True
        try:
            _limit(process.pid, decoder)
            timer.start()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
        errors.seek(0)
        signs, cause = _read(line.decode(errors="replace") for line in errors)
    return _Ended(process.returncode, used.ru_utime + used.ru_stime, late.is_set(), signs, cause)


def _started(command: list[str], errors: IO) -> subprocess.Popen:
    """A decoder that only its limits, and SIGKILL, end before it is done: it inherits that gentler signals wait."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, GENTLE)
    try:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def limits(decoder: params.Decoder) -> dict[str, int]:
    """What stops a decoder, and leaves no trace in what it finishes."""
    return decoder.model_dump(include={"max_seconds", "max_output", "max_memory"})


def _limit(process: int, decoder: params.Decoder) -> None:
    """Have the kernel stop a process that takes more than it may, or less where this process may take less."""
    limits = {
        resource.RLIMIT_CPU: decoder.max_seconds,
        resource.RLIMIT_FSIZE: decoder.max_output * 1_000_000,
        resource.RLIMIT_AS: decoder.max_memory * 1_000_000,
    }
    for kind, value in limits.items():
        most = resource.prlimit(process, kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.prlimit(process, kind, (value, value))


def _read(lines: Iterable[str]) -> tuple[Counter[str], str]:
    """The signs in what the program wrote, and the line that names a cause, the same in whichever order its threads wrote."""
    signs: Counter[str] = Counter()
    best: tuple[int, str] | None = None
    for line in lines:
        if CONTEXT.match(line):  # others may hold the medium's name
            signs.update(str(found.lastgroup) for found in SIGNS.finditer(line))
        ranked = _ranked(line)
        best = min(best or ranked, ranked)
    return signs, best[1] if best else ""


def _ranked(line: str) -> tuple[int, str]:
    """A line without paths or addresses of this machine, behind its rank among those that may name a cause.

    What stops the graph leaves a part of the medium unread that differs from run to run, so it goes before what is wrong with
    the medium, of which the decoder's sum goes before its parts; last is what no part of the program wrote, for it may hold
    the medium's name.
    """
    text = re.sub(r"file:\S*/", "", CONTEXT.sub("", line)).strip()
    if not CONTEXT.match(line):
        return 4, text
    if CONSEQUENCE.match(text):
        return 3, text
    if GRAPH.match(line):
        return 0, text
    return 1 if text.startswith("Decode error rate") else 2, text
