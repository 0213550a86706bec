"""A face in a picture, and the table of the speaker's face through a clip: a row for every frame, present or missing."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from safetensors.numpy import load

from preprocess.store import tables
from preprocess.store.shards import Shards

TABLE = "safetensors"
CHOICE = "speaker.json"
LANDMARKS, BLENDSHAPES = 478, 52


@dataclass(frozen=True)
class Face:
    """One face in one picture."""

    landmarks: np.ndarray  # (478, 3) pixels; z in pixels too, smaller is nearer
    blendshapes: np.ndarray  # (52,) 0 to 1, in MediaPipe's order
    pose: np.ndarray  # (4, 4) head to camera, centimetres
    scale: float = 1.0  # pixels of the picture in which it was seen for each pixel of the landmarks

    @property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Upper left and lower right corner, pixels."""
        return self.landmarks[:, :2].min(0), self.landmarks[:, :2].max(0)

    @property
    def height(self) -> float:
        """Pixels of its box in the picture in which it was seen."""
        return float(np.ptp(self.landmarks[:, 1])) * self.scale

    def scaled(self, factor: float) -> "Face":
        """The same face in a picture that has `factor` times as many pixels a side."""
        return replace(self, landmarks=(self.landmarks * factor).astype(np.float32), scale=self.scale / factor)


@dataclass(frozen=True)
class FaceTrack:
    """The speaker's face through a clip: row i is frame i."""

    times: np.ndarray  # (T,) seconds from the clip's start
    present: np.ndarray  # (T,) bool: the speaker's face was seen
    others: np.ndarray  # (T,) int32: faces of other people that were seen
    height: np.ndarray  # (T,) pixels of the face's box in the picture in which it was seen, NaN where missing
    landmarks: np.ndarray  # (T, 478, 3), NaN where missing
    blendshapes: np.ndarray  # (T, 52)
    pose: np.ndarray  # (T, 4, 4)


@dataclass(frozen=True)
class SpeakerChoice:
    """Which of a clip's faces was taken for the speaker's, and how sure the choice is."""

    faces: int  # people who were seen
    track: int  # index of the one who was taken, in the order of their first frames; -1 where there is no face
    by: str  # only: there is one; sound: the mouth moves with the sound; movement: the largest face of those whose mouths
    # move; size: the largest, where no mouth moves; undecided: the margin is near zero
    correlation: float  # of the chosen mouth with the sound
    margin: float  # the score minus the second best one: of correlations with the sound, or of shares of the faces' sides
    shots: int = 1  # stretches between cuts
    others_alone: int = 0  # frames that show other people and not the speaker

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def track_of(frames: list[tuple[float, Face | None, int]]) -> FaceTrack:
    """The table of consecutive frames: each one's time in seconds, the speaker's face or None, and the number of others."""
    faces = [face for _, face, _ in frames]
    shapes = {"landmarks": (LANDMARKS, 3), "blendshapes": (BLENDSHAPES,), "pose": (4, 4), "height": ()}
    columns = {
        name: np.array([getattr(face, name) if face else np.full(shape, np.nan) for face in faces], np.float32)
        for name, shape in shapes.items()
    }
    return FaceTrack(
        times=np.array([seconds for seconds, _, _ in frames], np.float32),
        present=np.array([face is not None for face in faces]),
        others=np.array([others for _, _, others in frames], np.int32),
        **columns,
    )


def read_track(shards: Shards, clip_id: str) -> FaceTrack:
    """A clip's whole table; a long one is better read in pieces."""
    return FaceTrack(**load(shards.read(clip_id, TABLE)))


def read_track_pieces(shards: Shards, clip_id: str) -> Iterator[FaceTrack]:
    """A clip's table, a bounded number of frames at a time."""
    for rows in tables.read(partial(shards.open, clip_id, TABLE)):
        yield FaceTrack(**rows)


def read_choice(shards: Shards, clip_id: str) -> SpeakerChoice:
    """Which face was taken for the speaker's, and how sure the choice is."""
    return SpeakerChoice(**json.loads(shards.read(clip_id, CHOICE)))
