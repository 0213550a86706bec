"""A face in a picture, and the table of the speaker's face through a clip: a row for every frame, present or missing."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
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

    @property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Upper left and lower right corner, pixels."""
        return self.landmarks[:, :2].min(0), self.landmarks[:, :2].max(0)


@dataclass(frozen=True)
class FaceTrack:
    """The speaker's face through a clip: row i is frame i."""

    times: np.ndarray  # (T,) seconds from the clip's start
    present: np.ndarray  # (T,) bool: a face was seen
    landmarks: np.ndarray  # (T, 478, 3), NaN where missing
    blendshapes: np.ndarray  # (T, 52)
    pose: np.ndarray  # (T, 4, 4)


@dataclass(frozen=True)
class SpeakerChoice:
    """Which of a clip's faces was taken for the speaker's, and how sure the choice is."""

    faces: int  # tracklets: faces that were followed
    track: int  # index of the chosen tracklet, -1 where there is no face
    by: str  # only: there is one face; sound: its mouth moves with the sound; size: no mouth does, and it is the largest
    correlation: float  # of the chosen mouth with the sound
    margin: float  # its score minus the second best: correlations where `by` is sound, shares of the sides where it is size

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def track_of(frames: list[tuple[float, Face | None]]) -> FaceTrack:
    """The table of consecutive frames, each its time in seconds and the face in it, None where there is none."""
    faces = [face for _, face in frames]
    shapes = {"landmarks": (LANDMARKS, 3), "blendshapes": (BLENDSHAPES,), "pose": (4, 4)}
    return FaceTrack(
        times=np.array([seconds for seconds, _ in frames], np.float32),
        present=np.array([face is not None for face in faces]),
        **{
            name: np.stack([getattr(face, name) if face else np.full(shape, np.nan, np.float32) for face in faces])
            for name, shape in shapes.items()
        },
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
