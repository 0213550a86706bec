"""Tracklets: single faces followed through consecutive frames of one shot (the tracking literature's word)."""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

REACH = 1.0  # sides of a face by which its centre may move between two frames and still be followed
UPPER_LIP, LOWER_LIP, FOREHEAD, CHIN = 13, 14, 10, 152  # of MediaPipe's 478 landmarks; the lips' inner edges
INNER_EYES = (133, 362)  # the inner corners of the eyes, whose distance no movement changes


@dataclass
class Tracklet:
    """One face, followed through the frames."""

    frames: list[int] = field(default_factory=list)  # in which it was seen
    rows: list[int] = field(default_factory=list)  # of the sightings' file, where its faces are stored
    openings: list[float] = field(default_factory=list)  # of the mouth there, as a fraction of the face's height
    eyes: list[float] = field(default_factory=list)  # distance of their inner corners there, as a fraction of the face's height
    sides: list[float] = field(default_factory=list)  # of the square with the area of its box, pixels
    start: np.ndarray = field(default_factory=lambda: np.zeros(2))  # where its centre was first, pixels
    centre: np.ndarray = field(default_factory=lambda: np.zeros(2))  # where it was last


def opening(landmarks: np.ndarray) -> float:
    """How far a mouth is open, as a fraction of the face's height; landmarks (478, 3)."""
    return _distance(landmarks, UPPER_LIP, LOWER_LIP)


def _distance(landmarks: np.ndarray, first: int, second: int) -> float:
    """Between two landmarks, as a fraction of the face's height."""
    distance, height = landmarks[first] - landmarks[second], landmarks[FOREHEAD] - landmarks[CHIN]
    return float(np.linalg.norm(distance) / (np.linalg.norm(height) + 1e-6))


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
            tracklets.append(Tracklet(start=centres[i]))
        tracklet = tracklets[owners[i]]
        tracklet.frames.append(frame)
        tracklet.openings.append(opening(points))
        tracklet.eyes.append(_distance(points, *INNER_EYES))
        tracklet.sides.append(float(sides[i]))
        tracklet.centre = centres[i]
    return [int(owners[i]) for i in range(len(landmarks))]


def joined(tracklets: list[Tracklet]) -> Tracklet:
    """All tracklets as one, in the order of their frames; no two of them may have a face in the same frame."""
    whole = Tracklet(
        start=min(tracklets, key=lambda tracklet: tracklet.frames[0]).start,
        centre=max(tracklets, key=lambda tracklet: tracklet.frames[-1]).centre,
    )
    for tracklet in tracklets:
        whole.frames += tracklet.frames
        whole.rows += tracklet.rows
        whole.openings += tracklet.openings
        whole.eyes += tracklet.eyes
        whole.sides += tracklet.sides
    order = np.argsort(whole.frames)
    for values in (whole.frames, whole.rows, whole.openings, whole.eyes, whole.sides):
        values[:] = [values[i] for i in order]
    return whole
