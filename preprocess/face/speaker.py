"""Whose face is it? Faces become tracks through time; the speaker is the track whose mouth moves with the sound."""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from preprocess.face.track import SpeakerChoice

REACH = 1.0  # a face is the same one if its centre moved by less than this many of its sides
UPPER_LIP, LOWER_LIP, FOREHEAD, CHIN = 13, 14, 10, 152  # of MediaPipe's 478 landmarks; the lips' inner edges
MOVES = 0.005  # deviation of the opening below which a mouth is still; that of one who speaks is 0.01 to 0.04
AGREES = 0.3  # correlation with the sound above which a mouth is taken to speak


@dataclass
class Track:
    """One face through time."""

    frames: list[int] = field(default_factory=list)  # in which it was seen
    openings: list[float] = field(default_factory=list)  # of the mouth there, as a fraction of the face's height
    sides: list[float] = field(default_factory=list)  # of the square with the area of its box, pixels
    centre: np.ndarray = field(default_factory=lambda: np.zeros(2))  # where it was last, pixels


def opening(landmarks: np.ndarray) -> float:
    """How far a mouth is open, as a fraction of the face's height; landmarks (478, 3)."""
    lips, face = landmarks[UPPER_LIP] - landmarks[LOWER_LIP], landmarks[FOREHEAD] - landmarks[CHIN]
    return float(np.linalg.norm(lips) / (np.linalg.norm(face) + 1e-6))


def follow(tracks: list[Track], frame: int, landmarks: list[np.ndarray]) -> list[int]:
    """Add a frame's faces (478, 3) to the tracks; the track of each.

    Faces and tracks are paired so that they move least in all. A face that left and returns to its place goes on with its
    track; one that no track reaches begins its own.
    """
    low = np.array([points[:, :2].min(0) for points in landmarks]).reshape(-1, 2)
    high = np.array([points[:, :2].max(0) for points in landmarks]).reshape(-1, 2)
    centres, sides = (low + high) / 2, np.sqrt(np.prod(high - low, axis=1))
    last = np.array([track.centre for track in tracks]).reshape(-1, 2)
    moved = np.linalg.norm(centres[:, None] - last, axis=2) / np.maximum(sides[:, None], 1e-6)  # (faces, tracks)
    found = {i: k for i, k in zip(*linear_sum_assignment(np.minimum(moved, REACH)), strict=True) if moved[i, k] < REACH}
    for i, points in enumerate(landmarks):
        if i not in found:
            found[i] = len(tracks)
            tracks.append(Track())
        track = tracks[found[i]]
        track.frames.append(frame)
        track.openings.append(opening(points))
        track.sides.append(float(sides[i]))
        track.centre = centres[i]
    return [int(found[i]) for i in range(len(landmarks))]


def agreement(track: Track, energy: np.ndarray) -> float:
    """How far a mouth goes with the sound's level (T,): -1 to 1, and 0 where either is still.

    The larger of two correlations (Pearson), since some mouths open with the voice and others move with it: that of the
    opening, and that of its change from frame to frame. Where the face is missing it counts as average, so that a face
    seen briefly proves little.
    """
    values = np.array(track.openings)
    if len(values) < 2 or values.std() < MOVES:
        return 0.0
    steps = np.abs(np.diff(values))
    change = (np.append(steps, 0) + np.append(0, steps)) / 2
    return max(_correlation(values, track.frames, energy), _correlation(change, track.frames, energy))


def _correlation(values: np.ndarray, frames: list[int], energy: np.ndarray) -> float:
    mouth = np.zeros(len(energy))
    mouth[frames] = values - values.mean()
    level = energy - energy.mean()
    spread = np.linalg.norm(mouth) * np.linalg.norm(level)
    return float(mouth @ level / spread) if spread > 1e-6 else 0.0


def choose(tracks: list[Track], energy: np.ndarray | None) -> SpeakerChoice:
    """The speaker among the tracks; energy (T,) is the sound's level at every frame, None where there is no sound."""
    if not tracks:
        return SpeakerChoice(0, -1, "only", 0.0, 0.0)
    heard = [agreement(track, energy) if energy is not None else 0.0 for track in tracks]
    if len(tracks) == 1:
        return SpeakerChoice(1, 0, "only", round(heard[0], 4), 1.0)
    by = "sound" if max(heard) >= AGREES else "size"
    total = sum(sum(track.sides) for track in tracks)
    scores = heard if by == "sound" else [sum(track.sides) / total for track in tracks]
    order = sorted(range(len(tracks)), key=lambda k: (-scores[k], k))
    best, second = order[0], order[1]
    return SpeakerChoice(len(tracks), best, by, round(heard[best], 4), round(scores[best] - scores[second], 4))
