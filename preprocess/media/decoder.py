"""Decoding media from any source: one pinned ffmpeg, within limits of time, memory and disk."""

import errno
import os
import resource
import signal
import subprocess
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import ffmpeg
import imageio_ffmpeg

import params
from preprocess.media import messages
from preprocess.media.probe import DecoderStoppedError, MediaError

# Signals that ask a process to end. At certain moments ffmpeg then ends with status 0 though its output is incomplete.
END_REQUESTS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}

# The output holds nothing of the machine, of the date or of the number of threads.
BITEXACT = {"fflags": "+bitexact", "flags": "+bitexact", "map_metadata": -1, "threads": 1}

LOOK = 0.02  # seconds between two looks at the memory of a decoder
NEARLY_ALL = 0.85  # share of its memory from which on a decoder that failed may have had too little


class DecoderKilledError(MediaError):
    """Something outside the pipeline ended the decoder, twice."""


def ffmpeg_path(chosen: str) -> str:
    """The path of the ffmpeg program: that of the pinned wheel for `bundled`."""
    return imageio_ffmpeg.get_ffmpeg_exe() if chosen == "bundled" else chosen


def ffmpeg_version(chosen: str) -> str:
    """The first line of `ffmpeg -version`. It enters the store's keys, since another decoder may give other values."""
    try:
        text = subprocess.run([ffmpeg_path(chosen), "-version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise MediaError(
            f"decoder.ffmpeg: {chosen} does not start ({error}); write bundled, or the path of an ffmpeg"
        ) from None
    return text.splitlines()[0]


def run_ffmpeg(graph: Any, decoder: params.Decoder, target: Path) -> None:
    """Run an ffmpeg graph that writes a target, within the limits; if something outside kills it, once more.

    MediaError with ffmpeg's message where it fails. DecoderStoppedError where it reaches a limit; also where it ran out of
    memory and went on to the end without some frames. DecoderKilledError where it is killed from outside twice. OSError where
    the disk is full, which is not the medium's fault.
    """
    options = ["-nostdin", "-loglevel", "error", "-filter_complex_threads", "1"]
    command = ffmpeg.compile(graph.global_args(*options), cmd=ffmpeg_path(decoder.ffmpeg), overwrite_output=True)
    ended = _run(command, decoder)
    if ended.killed(decoder):
        ended = _run(command, decoder)
    if ended.killed(decoder):
        raise DecoderKilledError("something outside the pipeline killed its decoder, and again at the second try")
    if ended.timed_out:
        raise DecoderStoppedError(f"still running after {2 * decoder.max_seconds} s")
    if ended.status == -signal.SIGKILL:  # not SIGXCPU, at which ffmpeg ends as if it were done
        raise DecoderStoppedError(f"it worked longer than decoder.max_seconds ({decoder.max_seconds})")
    if ended.status == -signal.SIGXFSZ:
        raise DecoderStoppedError(f"it wrote more than decoder.max_output ({decoder.max_output} MB)")
    if ended.disk_is_full:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
    if ended.lacked_memory:
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
    timed_out: bool  # whether it was killed here, after twice max_seconds by the wall clock
    signs: Counter[str]  # how often each of messages.SIGNS was written
    cause: str  # the line that says why it failed
    memory_used: float = 0.0  # share of the memory allowed to it that it had reserved at most

    @property
    def disk_is_full(self) -> bool:
        return self.signs["disk_full"] > 0

    @property
    def lacked_memory(self) -> bool:
        """Whether an allocation failed, even if only for one picture.

        A codec may not say so, and find no picture from then on: one that failed with its memory nearly used up had too little.
        """
        said = self.signs["no_memory"] > 0 or self.signs["no_buffer"] > self.signs["bad_header"]
        return said or (self.status > 0 and self.memory_used > NEARLY_ALL)

    def killed(self, decoder: params.Decoder) -> bool:
        """Whether something other than its limits killed it, as Linux does when the machine is out of memory."""
        limit = 0.9 * decoder.max_seconds  # the kernel stops it a little earlier or later than max_seconds
        return self.status == -signal.SIGKILL and not self.timed_out and self.seconds < limit


def _run(command: list[str], decoder: params.Decoder) -> _Ended:
    timed_out = threading.Event()

    def stop(process: subprocess.Popen) -> None:
        timed_out.set()
        process.kill()

    with TemporaryFile() as errors, _started(command, errors) as process:
        # max_seconds counts processor time. One that waits for the disk may take twice as long by the wall clock.
        timer = threading.Timer(2 * decoder.max_seconds, stop, [process])
        timer.daemon = True
        peaks, ended = [0], threading.Event()
        watcher = threading.Thread(target=_watch_memory, args=(process.pid, peaks, ended), daemon=True)
        try:
            memory = _limit(process.pid, decoder)
            timer.start()
            watcher.start()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            process.kill()
            raise
        finally:
            timer.cancel()
            ended.set()
        errors.seek(0)
        signs, cause = messages.read(line.decode(errors="replace") for line in errors)
    return _Ended(process.returncode, used.ru_utime + used.ru_stime, timed_out.is_set(), signs, cause, max(peaks) / memory)


def _watch_memory(process: int, peaks: list[int], ended: threading.Event) -> None:
    """Add the address space in bytes that a process has reserved at most to `peaks`, again and again until it has ended."""
    status = Path(f"/proc/{process}/status")
    while not ended.wait(LOOK):
        with suppress(OSError, StopIteration):  # it has ended meanwhile
            line = next(line for line in status.read_text().splitlines() if line.startswith("VmPeak:"))
            peaks.append(int(line.split()[1]) * 1024)


def _started(command: list[str], errors: IO) -> subprocess.Popen:
    """Start ffmpeg with END_REQUESTS blocked, which it inherits: only its limits and SIGKILL end it before it is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, END_REQUESTS)
    try:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def limits_of(decoder: params.Decoder) -> dict[str, int]:
    """The parameters that can stop a decoder, but do not change what it writes when it finishes."""
    return decoder.model_dump(include={"max_seconds", "max_output", "max_memory"})


def _limit(process: int, decoder: params.Decoder) -> int:
    """Set the kernel's limits of a process; where this process has lower limits already, those hold. Its memory in bytes."""
    limits = {
        resource.RLIMIT_CPU: decoder.max_seconds,
        resource.RLIMIT_FSIZE: decoder.max_output * 1_000_000,
        resource.RLIMIT_AS: decoder.max_memory * 1_000_000,
    }
    for kind, value in limits.items():
        most = resource.prlimit(process, kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.prlimit(process, kind, (value, value))
    return resource.prlimit(process, resource.RLIMIT_AS)[0]
