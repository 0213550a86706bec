"""A part of a medium: found by seeking, decoded from `start` to `end`, its time 0 at `start`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import ffmpeg

import params
from preprocess.media import channels
from preprocess.media.decoder import BITEXACT, run_ffmpeg
from preprocess.media.kinds import FROM_THE_START, kind_of
from preprocess.media.probe import LIMITS, LOCAL, ORDINARY, MediumGoneError, Reading, opened, picture_of, sound_of, url

# Containers whose index leads to the key frame before the frame that is asked for. In the others a seek may land before or
# behind it, so it aims LEAD seconds earlier, or LEAD_GROWTH times that while no key frame lies between; frames that come too
# early are decoded and thrown away.
INDEXED = {"mov", "matroska"}
LEAD, LEAD_GROWTH = 10.0, 4
PRIMING = 0.5  # seconds of sound that a decoder gets before the first sample that is used: codecs need earlier packets
TAIL = 0.1  # seconds that it gets behind `end`: a resampler needs later samples for the last ones

# Transfer characteristics of high dynamic range by their numbers in ITU-T H.273: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67).
HDR = {16: "smpte2084", 18: "arib-std-b67"}


@dataclass(frozen=True)
class Part:
    """A part of a medium as the input of an ffmpeg graph."""

    source: Any  # the graph's input; its first packets may lie somewhat before or behind `start`
    grid: float  # whole seconds from the medium's beginning, before `start`
    start: float  # seconds on the clock of `source`, as `grid` and `end` are
    end: float
    picture: str  # the stream's index in the file, as the graph names it; "" where there is none
    sound: str
    mix: str  # how the `pan` filter makes one channel of the sound; "" for the standard mix
    hdr: str  # the picture's transfer characteristic where it is one of HDR
    gaps: list[tuple[float, float]]  # begin and end, on that clock, of what is skipped
    joined: bool  # whether ffmpeg has to correct a clock that is set anew

    def pictures(self) -> Any:
        """The graph's stream of pictures."""
        return self._cut(self.source[self.picture or "V:0"], "")

    def samples(self, rate: int) -> Any:
        """The graph's stream of sound, mono at `rate` hertz; where sound begins late or has a gap, silence keeps the time.

        Resampled from a whole second on, so that the samples are those of the whole recording. The silence is put in last,
        where a second of it is small, and on a clock that begins with the part, so that what lies before costs nothing.
        """
        stream = self.source[self.sound or "a:0"].filter("atrim", start=_as_text(self.grid))
        if self.mix:
            stream = stream.filter("pan", args=f"mono|c0={self.mix}")
        mono = stream.filter(
            "aresample", rate, ochl="mono", rematrix_maxval=1
        )  # 1: what is mixed is never louder than full scale
        return self._cut(mono, "a").filter("aresample", **{"async": 1, "first_pts": 0})

    def write(self, stream: Any, target: Path, decoder: params.Decoder, **encoding: Any) -> None:
        """Encode a stream of the graph into a file; raises what `run_ffmpeg` raises."""
        graph = stream.output(str(target), **encoding, **BITEXACT)
        if self.joined:  # a jump is corrected for all streams at once, if all are read; those are copied to nowhere
            streams = [self.source[index] for index in (self.picture, self.sound) if index]
            graph = ffmpeg.merge_outputs(graph, *(ffmpeg.output(item, "-", format="null", c="copy") for item in streams))
        else:
            graph = graph.global_args("-copyts")
        run_ffmpeg(graph, decoder, target)

    def _cut(self, stream: Any, kind: str) -> Any:
        """The stream from `start` to `end`, its time 0 at `start`; `kind` begins the filters' names: "", or "a" for sound."""
        fine = stream.filter(f"{kind}settb", "AVTB")  # a film's own time unit may be as long as a frame; AVTB is a microsecond
        part = fine.filter(f"{kind}trim", start=_as_text(self.start), end=_as_text(self.end))
        skipped = [(e - max(b, self.start), (b + e) / 2) for b, e in self.gaps if b < self.end and e > self.start]
        shift = "+".join([_as_text(self.start), *(f"{_as_text(length)}*gt(T,{_as_text(at)})" for length, at in skipped)])
        return part.filter(f"{kind}setpts", f"PTS-({shift})/TB" if skipped else f"PTS-{shift}/TB")


def part_of(path: Path, start: float, end: float, reading: Reading = ORDINARY) -> Part:
    """The medium from `start` to `end` (seconds), found by seeking; MediaError where no demuxer takes it.

    MediumGoneError where the file has vanished.
    """
    if not path.is_file():
        raise MediumGoneError(
            f"{path} was a file when the run began, and is none now; bring it back, or run from the manifest on"
        )
    with opened(path) as container:  # what a stream says can be read while it is open alone
        picture = picture_of(container)
        sound = container.streams[reading.track] if reading.track >= 0 else sound_of(container)
        # A joined medium's clock does not lead to its parts, so it is decoded from its beginning, which ffmpeg then calls 0.
        zero = 0.0 if reading.joined else (container.start_time or 0) / av.time_base
        grid = max(0, math.floor(start - PRIMING / 10))
        begin = 0.0 if reading.joined or not grid else max(0.0, min(start - _lead(container, picture, start), grid - PRIMING))
        seek = {"ss": _as_text(begin)} if begin else {}  # a seek to 0 may land behind the first frame
        return Part(
            source=ffmpeg.input(url(path), **seek, t=_as_text(end - begin + TAIL), threads=1, **LOCAL, **LIMITS),
            grid=zero + grid,
            start=zero + start,
            end=zero + end,
            picture=str(picture.index) if picture else "",
            sound=str(sound.index) if sound else "",
            mix=_mix(sound, reading.channel),
            hdr=HDR.get(picture.codec_context.color_trc, "") if picture else "",
            gaps=[(zero + begin, zero + end) for begin, end in reading.gaps],
            joined=reading.joined,
        )


def _mix(sound: Any, channel: int) -> str:
    """One channel, or the mean of channels of which the file does not say what they are; "": ffmpeg's standard mix."""
    if channel >= 0:
        return f"c{channel}"
    if not sound or sound.channels < 2 or channels.is_named(sound):
        return ""
    return "+".join(f"{1 / sound.channels:.6f}*c{i}" for i in range(sound.channels))


def _lead(container: Any, picture: Any, start: float) -> float:
    """How many seconds before `start` to seek to, so that the frame at `start` can be decoded."""
    if kind_of(container) in INDEXED:
        return 0.0
    if kind_of(container) in FROM_THE_START:
        return start
    lead = LEAD
    while picture and lead < start and not _is_ready(container, picture, start - lead, start):
        lead *= LEAD_GROWTH
    return lead


def _is_ready(container: Any, picture: Any, begin: float, start: float) -> bool:
    """Whether a seek to `begin` finds a key frame that lies before `start` (seconds)."""
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
        pass  # the file is broken there
    return False


def _as_text(seconds: float) -> str:
    """Seconds as text that ffmpeg can read: microseconds, no exponent."""
    return f"{seconds:.6f}"
