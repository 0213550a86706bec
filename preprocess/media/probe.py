"""Reading the header of a medium from any source: local files only, in known containers."""

import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av

import process
from preprocess.media import channels, kinds, timeline
from preprocess.media.kinds import CONTAINERS, PICTURES, SOUNDS, kind_of
from preprocess.media.notes import About
from preprocess.media.timeline import Timeline

LOCAL = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
MAX_PIXELS = 1 << 26  # of one picture, twice 8K; a header that says more is refused
LIMITS = {"max_pixels": MAX_PIXELS}
MAX_RATE = 1 << 20  # hertz, more than any recording has; a resampler's memory grows with the rate
CLOSE, DIFFERENT = 0.1, 1.0  # seconds between the header's duration and the measured one: the header counts; a note says it
UNREAD, UNREAD_BYTES = 0.3, 50_000  # share of a file, and bytes, behind its last packet from which on a note says it
HEADER_SECONDS = 600.0  # in which a header has to be read
HEADER_MEMORY = 1000  # megabytes that this process may take to read one; 8K takes 130, an hour of pictures 10


Remark = tuple[str, str]  # code (notes.About) and detail of a note


class MediaError(Exception):
    """A medium cannot be read; the message is FFmpeg's."""


class MediumGoneError(OSError):
    """A medium has vanished since it was probed, perhaps with its whole disk: a fault of the run, not of the medium."""


class DecoderStoppedError(MediaError):
    """A decoder wanted more time, memory or disk than the parameters allow."""


@dataclass(frozen=True)
class Reading:
    """How a medium has to be read, where it is not read like every other."""

    track: int = -1  # index of the sound's stream in the file; -1: the default track
    channel: int = -1  # of the sound; -1: a mix of all channels
    joined: bool = False  # whether the clock is set anew on the way, so that the medium can only be read from its beginning
    gaps: tuple[tuple[float, float], ...] = ()  # begin and end (seconds) of what is skipped, for it holds nothing

    def to_json(self) -> dict[str, Any]:
        """The fields that differ from ORDINARY's, for a table or a key; `Reading(**fields)` makes them a Reading again."""
        values = asdict(self) | {"gaps": [list(gap) for gap in self.gaps]}
        return {name: value for name, value in values.items() if value not in (getattr(ORDINARY, name), [])}


ORDINARY = Reading()


@dataclass(frozen=True)
class Streams:
    """What a medium holds; zeros where there is no picture or no sound."""

    duration: float  # seconds
    width: int  # pixels, as stored
    height: int
    frame_rate: float  # pictures a second, on average
    sample_rate: int  # hertz
    channels: int
    reading: Reading = ORDINARY
    notes: tuple[Remark, ...] = ()

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> "Streams":
        """The inverse of `dataclasses.asdict` after a way through JSON, which knows no tuples."""
        gaps = tuple((begin, end) for begin, end in tree["reading"]["gaps"])
        notes = tuple((code, detail) for code, detail in tree["notes"])
        return cls(**tree | {"reading": Reading(**tree["reading"] | {"gaps": gaps}), "notes": notes})


def url(path: Path) -> str:
    """A `file:` URL, so that FFmpeg cannot read the name as a protocol, an option or a pattern."""
    return f"file:{path.resolve()}"


def is_empty(path: Path) -> bool:
    """Whether a file that a stage has written holds no packet."""
    with opened(path) as container:
        return not any(packet.size for packet in container.demux())


def streams_of(path: Path) -> Streams:
    """Read the header and the packets of a medium, and listen to its channels; MediaError where no demuxer takes it."""
    with opened(path) as container:
        picture, sound = picture_of(container), sound_of(container)
        if sound and (sound.rate or 0) > MAX_RATE:
            raise MediaError(f"its header says {sound.rate} Hz, which no sound has")
        track, notes = _track(path, container, sound)
        streams = [stream for stream in (picture, track) if stream]
        clock, header = timeline.read(container, streams), _duration(container, streams)
        # Where no packet can be read, the decoder will say why.
        duration = clock.seconds if clock.seconds and abs(header - clock.seconds) > CLOSE else header
        notes += _clock_notes(header, clock) + _note_of_rest(clock.last_byte, path.stat().st_size)
        channel = _channel(path, track, duration)
        if channel >= 0:
            notes.append((About.SOUND_CHANNEL, f"of its {track.channels} channels, number {channel + 1} is heard"))
        return Streams(
            duration=duration,
            width=picture.width if picture else 0,
            height=picture.height if picture else 0,
            frame_rate=float(picture.average_rate or 0) if picture else 0.0,
            sample_rate=track.rate or 0 if track else 0,
            channels=track.channels if track else 0,
            reading=Reading(
                track=track.index if track and track is not sound else -1,
                channel=channel,
                joined=bool(clock.jumps),
                gaps=tuple(clock.gaps),
            ),
            notes=tuple(notes),
        )


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The container; MediaError where it, or what is asked of it, cannot be read."""
    # A header may name any size; LIMITS keep the codecs that decode the first pictures from allocating it.
    options = LOCAL | {name: str(value) for name, value in LIMITS.items()}
    is_open = False
    try:
        with _worker_limits(), av.open(url(path), options=options, timeout=HEADER_SECONDS) as container:
            is_open = True
            yield container
    except MemoryError:  # av.error.MemoryError is one too
        raise DecoderStoppedError(f"its header takes more than {HEADER_MEMORY} MB of memory") from None
    except av.error.ExitError:
        raise MediaError(f"its header could not be read in {HEADER_SECONDS:g} s") from None
    except av.FFmpegError as error:  # its text in full would have a path of this machine
        kind = "" if is_open else kinds.refused_kind(url(path), options)
        raise MediaError(kind or error.strerror or type(error).__name__) from None
    except ValueError as error:
        raise MediaError(str(error)) from None


def _worker_limits() -> AbstractContextManager[None]:
    """The limit on memory, in a stage's workers; another process may need its memory for something else meanwhile."""
    return limited_memory() if process.is_worker() else nullcontext()


@contextmanager
def limited_memory() -> Iterator[None]:
    """Let this process allocate HEADER_MEMORY more, and no more than that, while it reads the header of an unknown file.

    The limit holds for the whole process: only for processes that do nothing else meanwhile, such as a stage's workers.
    """
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


def sound_of(container: Any) -> Any:
    """The sound track that is marked as the default, else the first, of those that have a decoder; None where there is none."""
    tracks = [stream for stream in container.streams.audio if stream.codec_context is not None]
    default = av.stream.Disposition.default
    return min(tracks, key=lambda stream: (not stream.disposition & default, stream.index), default=None)


def _track(path: Path, container: Any, sound: Any) -> tuple[Any, list[Remark]]:
    """The sound track that is heard, with a note where it is not `sound` because that cannot be decoded."""
    others = [stream for stream in container.streams.audio if stream.codec_context is not None and stream is not sound]
    if not others or _can_be_decoded(path, sound):
        return sound, _note_of_lost_track(container, sound)
    track = next((stream for stream in others if _can_be_decoded(path, stream)), sound)
    if track is sound:
        return sound, []
    return track, [(About.SOUND_TRACK, f"stream {sound.index} ({sound.name}) cannot be decoded: stream {track.index} is heard")]


def _note_of_lost_track(container: Any, sound: Any) -> list[Remark]:
    """Whether a track of a codec without a decoder comes before the one that is heard."""
    default = av.stream.Disposition.default
    lost = [stream for stream in container.streams.audio if stream.codec_context is None]
    if not sound or not any(stream.disposition & default or stream.index < sound.index for stream in lost):
        return []
    return [(About.SOUND_TRACK, f"stream {lost[0].index} has no decoder: stream {sound.index} ({sound.name}) is heard")]


def _can_be_decoded(path: Path, stream: Any) -> bool:
    with opened(path) as container:
        return channels.can_be_decoded(container, stream.index)


def _channel(path: Path, sound: Any, duration: float) -> int:
    """The channel that is heard alone; -1 where all are mixed."""
    if not sound or sound.channels < 2:
        return -1
    with opened(path) as container:
        return channels.loudest(container, sound.index, duration)


def _clock_notes(header: float, clock: Timeline) -> list[Remark]:
    """What the packets say otherwise than the header."""
    notes: list[Remark] = [(About.CLOCK_GAP, f"there is nothing from {a:.1f} s to {b:.1f} s") for a, b in clock.gaps]
    if clock.jumps:
        first, step = clock.jumps[0]
        times = f"{len(clock.jumps)} times, first " if len(clock.jumps) > 1 else ""
        notes.append((About.CLOCK_JUMP, f"{times}by {step:+g} s at {first:g} s; in all {clock.seconds:.1f} s are read"))
    if clock.backward:
        first, step = clock.backward[0]
        notes.append((About.CLOCK_BACK, f"by {step:+g} s at {first:g} s"))
    if not clock.jumps and header and clock.seconds and abs(header - clock.seconds) > DIFFERENT:
        notes.append((About.DURATION, f"its header says {header:.1f} s, {clock.seconds:.1f} s are there"))
    return notes


def _note_of_rest(read: int, size: int) -> list[Remark]:
    """Whether a good deal of a file lies behind its last packet, as where a second recording was appended."""
    rest = size - read
    if not read or rest < UNREAD * size or rest < UNREAD_BYTES:
        return []
    return [(About.UNREAD, f"{rest / 1e6:.1f} of {size / 1e6:.1f} MB lie behind the last picture or sound that can be read")]


def _duration(container: Any, streams: list[Any]) -> float:
    """Seconds, from the header of the container or of the longest stream; 0 where FFmpeg only guesses."""
    if kind_of(container) in PICTURES | SOUNDS:
        return 0.0
    seconds = max((float(stream.duration * stream.time_base) for stream in streams if stream.duration), default=0.0)
    if container.duration:
        # Matroska's duration is the time of its end, though its first packet may be later than 0.
        before = (container.start_time or 0) if kind_of(container) == "matroska" else 0
        seconds = (container.duration - before) / av.time_base
    return seconds
