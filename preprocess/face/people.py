"""People: tracklets of one face in different shots, joined because they look alike.

The pinned networks give no embedding of a face, and its landmarks' shape tells people apart badly: from one film of a person to
the next it changes half as much as from one person to another. Skin, eyes and hair, in colour, tell the people of one
recording apart better: among films of 32 people one or two pairs in a hundred were confused.
"""

from itertools import combinations

import cv2
import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from preprocess.face.track import Face
from preprocess.face.tracklets import CHIN, FOREHEAD, Tracklet

PATCH = 6  # pixels, side of the picture by which faces are compared
FINE = 8  # points a pixel and side of which its mean is taken
ABOVE, BELOW, BESIDE = 0.62, 0.05, 0.38  # what it shows around the face's middle, in heights of the face: eyes and hair
ALIKE = 10.0  # root mean square difference of two looks up to which they are of one face
APART = 1e6  # the difference of two faces that a frame shows at once, which no mean with others hides


def patch(picture: np.ndarray, face: Face) -> np.ndarray:
    """What a face is compared by: eyes, forehead and hair, upright, (6, 6, 3) uint8 RGB."""
    top, bottom = face.landmarks[FOREHEAD, :2], face.landmarks[CHIN, :2]
    middle, up = (top + bottom) / 2, top - bottom
    right = np.array([-up[1], up[0]])
    corners = [middle + ABOVE * up - BESIDE * right, middle + ABOVE * up + BESIDE * right, middle - BELOW * up - BESIDE * right]
    side = PATCH * FINE
    move = cv2.getAffineTransform(np.array(corners, np.float32), np.array([[0, 0], [side, 0], [0, side]], np.float32))
    points = cv2.warpAffine(picture, move, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(points, (PATCH, PATCH), interpolation=cv2.INTER_AREA)


def look(patches: list[np.ndarray]) -> np.ndarray:
    """The median (6, 6, 3) of a face's patches, in CIELAB as OpenCV has it for bytes, 0 to 255."""
    return np.median(cv2.cvtColor(np.concatenate(patches), cv2.COLOR_RGB2LAB).reshape(-1, PATCH, PATCH, 3), axis=0)


def join(tracklets: list[Tracklet], looks: np.ndarray, resumed: set[tuple[int, int]]) -> list[list[Tracklet]]:
    """The people that tracklets are of, each with its tracklets, in the order of their first frames.

    `looks` (n, 6, 6, 3) is the look of each tracklet, `resumed` holds the pairs (i, k), i < k, of which a later shot of
    the same camera shows the face of the first at its place. Groups are joined while the mean difference of their tracklets
    is at most ALIKE; two faces that a frame shows at once are never one person.
    """
    if len(tracklets) < 2:
        return [[tracklet] for tracklet in tracklets]
    values = looks.reshape(len(looks), -1)
    differences = pdist(values) / np.sqrt(values.shape[1])
    frames = [set(tracklet.frames) for tracklet in tracklets]
    differences[[pair in resumed for pair in combinations(range(len(tracklets)), 2)]] = 0.0
    differences[[not one.isdisjoint(other) for one, other in combinations(frames, 2)]] = APART
    groups = fcluster(linkage(differences, "average"), ALIKE, "distance")
    people: dict[int, list[Tracklet]] = {}
    for group, tracklet in zip(groups, tracklets, strict=True):
        people.setdefault(int(group), []).append(tracklet)
    return list(people.values())
