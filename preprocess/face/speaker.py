"""Which face speaks: faces are followed from frame to frame, and the speaker's mouth moves with the sound.

A tracklet is one face followed through consecutive frames (the tracking literature's word).
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from preprocess.face.track import SpeakerChoice

REACH = 1.0  # sides of a face by which its centre may move between two frames and still be followed
UPPER_LIP, LOWER_LIP, FOREHEAD, CHIN = 13, 14, 10, 152  # of MediaPipe's 478 landmarks; the lips' inner edges
MOVES = 0.005  # standard deviation of the opening below which a mouth is still; a speaker's is 0.01 to 0.04
AGREES = 0.3  # correlation with the sound from which on a mouth is taken to speak


@dataclass
class Tracklet:
    """One face, followed through the frames."""

    frames: list[int] = field(default_factory=list)  # in which it was seen
    openings: list[float] = field(default_factory=list)  # of the mouth there, as a fraction of the face's height
    sides: list[float] = field(default_factory=list)  # of the square with the area of its box, pixels
    centre: np.ndarray = field(default_factory=lambda: np.zeros(2))  # where it was last, pixels


def opening(landmarks: np.ndarray) -> float:
    """How far a mouth is open, as a fraction of the face's height; landmarks (478, 3)."""
    lips, face = landmarks[UPPER_LIP] - landmarks[LOWER_LIP], landmarks[FOREHEAD] - landmarks[CHIN]
    return float(np.linalg.norm(lips) / (np.linalg.norm(face) + 1e-6))


def follow(tracklets: list[Tracklet], frame: int, landmarks: list[np.ndarray]) -> list[int]:
    """Add a frame's faces (478, 3) to the tracklets; returns the index of the tracklet of each face.

    Faces and tracklets are paired so that the sum of the movements is smallest. A face that disappears and comes back to
    its place continues its tracklet; a face out of reach of all tracklets begins a new one.
    """
    low = np.array([points[:, :2].min(0) for points in landmarks]).reshape(-1, 2)
    high = np.array([points[:, :2].max(0) for points in landmarks]).reshape(-1, 2)
    centres, sides = (low + high) / 2, np.sqrt(np.prod(high - low, axis=1))
    last = np.array([tracklet.centre for tracklet in tracklets]).reshape(-1, 2)
    movements = np.linalg.norm(centres[:, None] - last, axis=2) / np.maximum(sides[:, None], 1e-6)  # (faces, tracklets)
    pairs = zip(*linear_sum_assignment(np.minimum(movements, REACH)), strict=True)
    owners = {i: k for i, k in pairs if movements[i, k] < REACH}
    for i, points in enumerate(landmarks):
        if i not in owners:
            owners[i] = len(tracklets)
            tracklets.append(Tracklet())
        tracklet = tracklets[owners[i]]
        tracklet.frames.append(frame)
        tracklet.openings.append(opening(points))
        tracklet.sides.append(float(sides[i]))
        tracklet.centre = centres[i]
    return [int(owners[i]) for i in range(len(landmarks))]


def agreement(tracklet: Tracklet, energy: np.ndarray) -> float:
    """How well a mouth follows the sound's level (T,): -1 to 1, and 0 where the mouth is still or the level constant.

    The larger of two Pearson correlations with the level: that of the mouth's opening, and that of the change of the
    opening from frame to frame, since some mouths open with the voice and others move while there is one. A frame without
    the face counts as the mean, so a face that is seen briefly has a low correlation.
    """
    values = np.array(tracklet.openings)
    if len(values) < 2 or values.std() < MOVES:
        return 0.0
    steps = np.abs(np.diff(values))
    changes = (np.append(steps, 0) + np.append(0, steps)) / 2
    return max(_correlation(values, tracklet.frames, energy), _correlation(changes, tracklet.frames, energy))


def _correlation(values: np.ndarray, frames: list[int], energy: np.ndarray) -> float:
    mouth = np.zeros(len(energy))
    mouth[frames] = values - values.mean()
    level = energy - energy.mean()
    spread = np.linalg.norm(mouth) * np.linalg.norm(level)
    return float(mouth @ level / spread) if spread > 1e-6 else 0.0


def choose(tracklets: list[Tracklet], energy: np.ndarray | None) -> SpeakerChoice:
    """The speaker among the tracklets; energy (T,) is the sound's level at every frame, None where there is no sound."""
    if not tracklets:
        return SpeakerChoice(0, -1, "only", 0.0, 0.0)
    correlations = [agreement(tracklet, energy) if energy is not None else 0.0 for tracklet in tracklets]
    if len(tracklets) == 1:
        return SpeakerChoice(1, 0, "only", round(correlations[0], 4), 1.0)
    by = "sound" if max(correlations) >= AGREES else "size"
    total = sum(sum(tracklet.sides) for tracklet in tracklets)
    scores = correlations if by == "sound" else [sum(tracklet.sides) / total for tracklet in tracklets]
    order = sorted(range(len(tracklets)), key=lambda k: (-scores[k], k))
    best, second = order[0], order[1]
    return SpeakerChoice(len(tracklets), best, by, round(correlations[best], 4), round(scores[best] - scores[second], 4))
