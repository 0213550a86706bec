"""Decoding media that nobody here made: one pinned ffmpeg, held to limits of time, memory and disk."""

import errno
import os
import re
import resource
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import av
import ffmpeg
import imageio_ffmpeg

import params
from preprocess.media.probe import (
    LIMITS,
    LOCAL,
    PICTURES,
    DecoderStoppedError,
    MediaError,
    MediumGoneError,
    kind_of,
    opened,
    picture_of,
    url,
)

# Containers whose index leads to the frame that is asked for. Elsewhere a seek lands anywhere nearby, so it aims LEAD seconds
# earlier, or FURTHER times that where no key frame lies between, and what comes too early is cut away.
INDEXED = {"mov", "matroska"}
LEAD, FURTHER = 10.0, 4

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


class DecoderKilledError(MediaError):
    """A decoder was ended from outside, twice."""


def ffmpeg_path(chosen: str) -> str:
    """The path of the ffmpeg program: that of the pinned wheel for `bundled`."""
    return imageio_ffmpeg.get_ffmpeg_exe() if chosen == "bundled" else chosen


def ffmpeg_version(chosen: str) -> str:
    """What the program says of itself, which enters the store's keys: the decoder is part of the result."""
    try:
        text = subprocess.run([ffmpeg_path(chosen), "-version"], capture_output=True, text=True, check=True).stdout
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


def part_of(path: Path, start: float, end: float) -> Span:
    """The medium from `start` to `end` (seconds), found by seeking; MediaError where no demuxer takes it.

    MediumGoneError where it is no file.
    """
    if not path.is_file():
        raise MediumGoneError(
            f"{path} was a file when the run began, and is none now; bring it back, or run from the manifest on"
        )
    with opened(path) as container:
        picture = picture_of(container)
        hdr = HDR.get(picture.codec_context.color_trc, "") if picture else ""
        begin = max(0.0, round(start - _lead(container, picture, start), 6))
    seek = {"ss": _written(begin)} if begin else {}  # a seek to the beginning may miss it
    part = ffmpeg.input(url(path), **seek, t=_written(end - begin), threads=1, **LOCAL, **LIMITS)
    return Span(part, begin, start, end, hdr)


def _lead(container: Any, picture: Any, start: float) -> float:
    """Seconds before `start` to which a decoder has to seek to be ready by then."""
    if kind_of(container) in INDEXED:
        return 0.0
    if kind_of(container) in PICTURES:
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


def run_ffmpeg(graph: Any, decoder: params.Decoder) -> None:
    """Run an ffmpeg graph to its end, within the limits; once more where something else ended it.

    MediaError with what the program wrote where it fails, DecoderStoppedError where it takes too much, whatever it finished
    without the memory that it asked for; DecoderKilledError where it is ended from outside twice; OSError where the disk is
    full, which is no fact about the medium.
    """
    options = ["-nostdin", "-loglevel", "error", "-filter_complex_threads", "1", "-copyts", "-start_at_zero"]
    command = ffmpeg.compile(graph.global_args(*options), cmd=ffmpeg_path(decoder.ffmpeg), overwrite_output=True)
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


def limits_of(decoder: params.Decoder) -> dict[str, int]:
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
