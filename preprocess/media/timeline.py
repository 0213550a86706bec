"""The clock of a medium, from its packets, without decoding: how long it lasts, where its clock jumps, where nothing is."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av

BACK = 0.1  # seconds by which a clock may go back before it counts as set anew; as ffmpeg's own limit
JUMP = 10.0  # seconds from which a step forward counts as a jump (as in ffmpeg), and a stretch without packets as a gap
TS_DISCONT = av.format.Flags.ts_discont.value  # FFmpeg's mark of formats whose clock may be set anew, as MPEG-TS and Ogg


@dataclass
class _Clock:
    """One stream's packets so far, in seconds."""

    next_time: float = 0.0  # when the next packet is due in decoding order
    usual: float = 0.0  # how long a packet lasts
    jumps: list[tuple[float, float]] = field(default_factory=list)  # (time, by how much)
    covered: list[list[float]] = field(default_factory=list)  # [begin, end] of stretches without a gap

    def cover(self, begin: float, lasting: float) -> None:
        """Count a packet; MP4 says of the one before a gap that it lasts as long as the gap, so that one counts as the last."""
        self.usual = lasting if lasting < JUMP else self.usual
        end = begin + self.usual
        if self.covered and self.covered[-1][0] - JUMP <= begin <= self.covered[-1][1] + JUMP:
            self.covered[-1][1] = max(self.covered[-1][1], end)
        else:
            self.covered.append([begin, end])


@dataclass(frozen=True)
class Timeline:
    """What the packets of a medium's picture and sound say, in seconds from the medium's beginning."""

    seconds: float  # to the end of the last packet that can be read
    jumps: list[tuple[float, float]]  # (when, by how much) of a clock that is set anew; they are taken out of `seconds`
    gaps: list[tuple[float, float]]  # begin and end of stretches that should hold sound and hold nothing; `seconds` counts them


def read(container: Any, streams: list[Any]) -> Timeline:
    """Go through all packets of some streams of an open container, as far as they can be read.

    Where a format allows its clock to be set anew, as when two recordings were joined, the jump is taken out for all streams at
    once, with the limits of ffmpeg's own correction (`ts_discontinuity_detect`), which decodes such a medium.
    """
    begin = (container.start_time or 0) / av.time_base
    may_jump = bool(container.format.flags & TS_DISCONT)
    clocks = {stream.index: _Clock() for stream in streams}
    shift, end, untimed = 0.0, 0.0, Fraction(0)
    for packet in _packets(container, streams):
        time_base, clock = packet.time_base, clocks[packet.stream.index]
        length = packet.duration or _usual_duration(packet)
        shown = packet.pts if packet.pts is not None else packet.dts
        if shown is None:
            untimed += length * time_base
            continue
        due = packet.dts if packet.dts is not None else shown
        seconds = float(due * time_base) - begin + shift
        step = seconds - clock.next_time
        if may_jump and clock.covered and not -BACK <= step <= JUMP:
            clock.jumps.append((round(clock.next_time, 3), round(step, 3)))
            shift -= step
            seconds = clock.next_time
        at, lasting = seconds + float((shown - due) * time_base), float(length * time_base)
        clock.next_time = seconds + lasting
        clock.cover(at, lasting)
        end = max(end, at + lasting)
    jumps = max((clock.jumps for clock in clocks.values()), key=len, default=[])
    sounds = any(stream.type == "audio" for stream in streams)  # a film without sound may well show one picture for long
    covered = [stretch for clock in clocks.values() for stretch in clock.covered if sounds]
    return Timeline(end or float(untimed), jumps, _gaps(covered))


def _packets(container: Any, streams: list[Any]) -> Iterator[Any]:
    """All packets but the empty ones at the end; where the file is broken, those before."""
    if not streams:
        return
    try:
        for packet in container.demux(streams):
            if packet.size:
                yield packet
    except av.error.MemoryError:
        raise
    except av.FFmpegError:
        pass


def _usual_duration(packet: Any) -> int:
    """In the packet's time base, of a packet that has none: a frame at the stream's rate."""
    rate = packet.stream.average_rate if packet.stream.type == "video" else None
    return round(1 / (rate * packet.time_base)) if rate and packet.time_base else 0


def _gaps(covered: list[list[float]]) -> list[tuple[float, float]]:
    """Stretches of more than JUMP between those covered."""
    gaps, reached = [], None
    for begin, end in sorted(covered):
        if reached is not None and begin - reached > JUMP:
            gaps.append((round(reached, 3), round(begin, 3)))
        reached = max(reached or end, end)
    return gaps
