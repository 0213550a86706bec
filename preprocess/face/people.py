"""People: tracklets of one face in different shots, joined because they look alike.

No embedding of faces comes with the pinned networks, and the landmarks' shape alone confuses people: of two films of one
person it differs by half as much as of two people. Skin, eyes and hair in colour tell the people of one recording apart well.
"""

from itertools import combinations

import cv2
import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from preprocess.face.track import Face
from preprocess.face.tracklets import Tracklet

PATCH = 12  # pixels, side of the picture by which faces are compared
ABOVE, BELOW, BESIDE = 0.66, 0.09, 0.47  # what it shows around the box's centre, in longer sides of the box: eyes and hair
ALIKE = 10.0  # root mean square difference of two faces' patches in CIELAB (OpenCV's, 0 to 255) up to which they are one face
APART = 1e6  # the difference of two faces that a frame shows at once, which no mean with others hides


def patch(picture: np.ndarray, face: Face) -> np.ndarray:
    """What a face is compared by: eyes, forehead and hair, (12, 12, 3) uint8 in CIELAB."""
    low, high = face.box
    centre, side = (low + high) / 2, float((high - low).max())
    left, top = (centre - np.array([BESIDE, ABOVE]) * side).round().astype(int).clip(0)
    right, bottom = (centre + np.array([BESIDE, BELOW]) * side).round().astype(int)
    inside = picture[top : max(bottom, top + 1), left : max(right, left + 1)]
    if not inside.size:
        return np.zeros((PATCH, PATCH, 3), np.uint8)
    return cv2.cvtColor(cv2.resize(inside, (PATCH, PATCH), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)


def join(tracklets: list[Tracklet], looks: np.ndarray) -> list[list[Tracklet]]:
    """The people that tracklets are of, each with its tracklets, in the order of their first frames.

    `looks` (n, 12, 12, 3) is the mean patch of each tracklet. Groups are joined while the mean difference of their tracklets
    is at most ALIKE; two faces that a frame shows at once are never one person.
    """
    if len(tracklets) < 2:
        return [[tracklet] for tracklet in tracklets]
    values = looks.reshape(len(looks), -1)
    differences = pdist(values) / np.sqrt(values.shape[1])
    frames = [set(tracklet.frames) for tracklet in tracklets]
    differences[[not one.isdisjoint(other) for one, other in combinations(frames, 2)]] = APART
    groups = fcluster(linkage(differences, "average"), ALIKE, "distance")
    people: dict[int, list[Tracklet]] = {}
    for group, tracklet in zip(groups, tracklets, strict=True):
        people.setdefault(int(group), []).append(tracklet)
    return list(people.values())
