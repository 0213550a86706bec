"""A face in a picture, a clip's track of one, and how both are stored: a row for every frame, missing where none was seen."""

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
    """A clip's faces: row i is frame i."""

    times: np.ndarray  # (T,) seconds from the clip's start
    present: np.ndarray  # (T,) bool: a face was seen
    landmarks: np.ndarray  # (T, 478, 3), NaN where missing
    blendshapes: np.ndarray  # (T, 52)
    pose: np.ndarray  # (T, 4, 4)


@dataclass(frozen=True)
class SpeakerChoice:
    """Which of a clip's faces is the speaker's, and how sure that is."""

    faces: int  # tracks
    track: int  # the one chosen, -1 where there is none
    by: str  # only: there is one; sound: its mouth moves with it; size: nobody's does, and it is the largest
    correlation: float  # of the chosen mouth with the sound
    margin: float  # between its score and the next one's: of correlations for sound, of shares of the sizes for size

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def track_of(seen: list[tuple[float, Face | None]]) -> FaceTrack:
    faces = [face for _, face in seen]
    shapes = {"landmarks": (LANDMARKS, 3), "blendshapes": (BLENDSHAPES,), "pose": (4, 4)}
    return FaceTrack(
        times=np.array([seconds for seconds, _ in seen], np.float32),
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
    """Whose face was taken, and how sure that is."""
    return SpeakerChoice(**json.loads(shards.read(clip_id, CHOICE)))
