"""A clip's media as small as a page needs them: a strip of faces, the envelope of the sound, the words."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from preprocess import refusals
from preprocess.face.track import read_track
from preprocess.media import film, sound
from preprocess.speech import words
from preprocess.speech.words import Transcript
from preprocess.store.shards import Shards

FOLDER = Path("data")
SIDE = 96  # pixels of a picture in the strip
QUALITY = 75  # of its JPEG, 0 to 100
BUCKETS = 360  # points of the envelope
MISSING = {"faces": "picture", "audio": "sound", "transcripts": "words"}  # where a stage has nothing of a clip


@dataclass(frozen=True)
class Moment:
    """One picture of the strip."""

    time: float  # seconds from the clip's start
    seen: bool  # was a face found
    jpeg: bytes  # b"" where there is nothing to show


@dataclass(frozen=True)
class Strip:
    """The face at even times, and the number of frames in which it was seen."""

    moments: list[Moment]
    seen: int
    frames: int
    start: float  # seconds from the clip's start
    end: float


@dataclass(frozen=True)
class Envelope:
    """The lowest and highest sample of each bucket, (N,) each, as shares of the peak."""

    low: np.ndarray
    high: np.ndarray
    peak: float  # amplitude, 0 to 1
    seconds: float


@dataclass(frozen=True)
class Footage:
    """One clip; None for what it does not have, with the reason in `absent` by modality."""

    strip: Strip | None
    sound: Envelope | None
    transcript: Transcript | None
    absent: dict[str, str]

    @property
    def seconds(self) -> float:
        """The clip's duration by its footage; 0 where nothing has a time."""
        ends = [word.end for word in self.transcript.words if word.end is not None] if self.transcript else []
        return max(self.sound.seconds if self.sound else 0.0, self.strip.end if self.strip else 0.0, *ends, 0.0)


class Archive:
    """The media that the stages of preprocess wrote below data/; any of them may be missing."""

    def __init__(self) -> None:
        names = ("frames", "faces", "audio", "transcripts")
        self.shards = {name: Shards(FOLDER / name) for name in names if (FOLDER / name / "index.csv").is_file()}
        table = FOLDER / "refused.csv"
        self.refused = {(row.clip_id, row.stage): row for row in (refusals.read(table) if table.is_file() else [])}

    def holds(self, stage: str, clip_id: str) -> bool:
        return stage in self.shards and clip_id in self.shards[stage].digests

    def knows(self, clip_id: str) -> bool:
        return any(self.holds(stage, clip_id) for stage in self.shards)

    def footage(self, clip_id: str, pictures: int) -> Footage:
        """Everything that was kept of a clip, with at most `pictures` pictures in its strip."""
        stages = {"vision": "faces", "audio": "audio", "text": "transcripts"}
        missing = {m: stage for m, stage in stages.items() if not self.holds(stage, clip_id)}
        return Footage(
            strip=self._strip(clip_id, pictures),
            sound=None if "audio" in missing else envelope(sound.wave(self.shards["audio"], clip_id)),
            transcript=None if "text" in missing else words.read(self.shards["transcripts"], clip_id),
            absent={m: self._reason(clip_id, stage) for m, stage in missing.items()},
        )

    def _reason(self, clip_id: str, stage: str) -> str:
        refused = self.refused.get((clip_id, stage)) or self.refused.get((clip_id, "frames" if stage == "faces" else stage))
        if refused is not None:
            return f"{refused.code.replace('_', ' ')}: {refused.detail}"
        if stage not in self.shards:
            return f"not on this machine: {FOLDER / stage} is not here"
        return f"the clip has no {MISSING[stage]}"

    def _strip(self, clip_id: str, pictures: int) -> Strip | None:
        """Crops of the face; the whole frames of a clip in which none was seen."""
        if self.holds("faces", clip_id):
            present = read_track(self.shards["faces"], clip_id).present
            with self.shards["faces"].open(clip_id, film.FILE) as crops:
                return strip([(time, small) for time, small in thumbnails(crops)], present, pictures)
        if self.holds("frames", clip_id):
            with self.shards["frames"].open(clip_id, film.FILE) as frames:
                shown = list(thumbnails(frames))
            return strip(shown, np.zeros(len(shown), bool), pictures, whole=True)
        return None


def envelope(wave: np.ndarray) -> Envelope:
    """Of samples (n,) from -1 to 1, as `preprocess.sound` reads them."""
    pieces = [piece for piece in np.array_split(wave, BUCKETS) if len(piece)]
    peak = float(np.abs(wave).max(initial=0.0))
    low, high = (np.array([reduce(piece) for piece in pieces]) / (peak or 1.0) for reduce in (np.min, np.max))
    return Envelope(low, high, peak, len(wave) / sound.SAMPLE_RATE)


def thumbnails(stream: IO[bytes], every: float = 0.0) -> Iterator[tuple[float, np.ndarray]]:
    """(seconds, square (SIDE, SIDE, 3) uint8 RGB) from the middle of every picture of a film, or of one in `every` seconds."""
    for seconds, picture in film.read(stream, every):
        side = min(picture.shape[:2])
        top, left = ((length - side) // 2 for length in picture.shape[:2])
        yield seconds, cv2.resize(picture[top : top + side, left : left + side], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def strip(shown: list[tuple[float, np.ndarray]], present: np.ndarray, pictures: int, whole: bool = False) -> Strip:
    """The pictures nearest to even times; those without a face are left out, unless the `whole` frame is shown."""
    times = np.array([time for time, _ in shown])
    start, end = float(times[0]), float(times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 0.0))
    edges = np.linspace(start, end, min(pictures, len(shown)) + 1)
    nearest = [int(np.abs(times - middle).argmin()) for middle in (edges[:-1] + edges[1:]) / 2]
    moments = [Moment(shown[i][0], bool(present[i]), jpeg(shown[i][1]) if present[i] or whole else b"") for i in nearest]
    return Strip(moments, int(present.sum()), len(shown), start, end)


def jpeg(picture: np.ndarray) -> bytes:
    """Of a picture (height, width, 3) uint8 RGB."""
    encoded, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not encoded:
        raise RuntimeError("OpenCV cannot encode a picture as JPEG")
    return content.tobytes()
