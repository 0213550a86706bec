"""Small faces in large pictures, such as wide shots: found in tiles of the picture, followed in crops of it.

MediaPipe scales a picture down to 128 pixels before it looks for faces, and finds those that are then 20 pixels high. So
each picture is searched tile by tile, in tiles of several sizes. A face that was found is followed through the pictures
before and after by the landmarker alone, which looks at the surroundings of its last place: that costs a fraction of a search.
"""

from collections.abc import Iterable
from functools import cache
from itertools import count, takewhile
from pathlib import Path

import numpy as np
from mediapipe.tasks.python import vision

import params
from preprocess.face import landmarks
from preprocess.face.track import Face
from preprocess.face.tracklets import REACH

SMALLEST = 50  # pixels, the height of the smallest face that is found
SHARE = 0.17  # of a picture's longer side, the height from which on a face is found in it
TILE = round(SMALLEST / SHARE)  # pixels, side of the smallest tiles; each further size is twice as large
OVERLAP = 0.34  # of a tile's side: a face that is larger is found in the next size
CONTEXT = 2.5  # sides of a face, the side of the square around it that the landmarker looks at
WIDER = 1.4  # times that, the side of the square in which a new face is looked at once more
STABLE = 0.02  # sides of a face by which its landmarks may then lie elsewhere: those of a face by 0.003, of a pattern by 0.05
GROWTH = 2.0  # times by which a face's size may change from one picture to the next and still be followed
FIELD = np.radians(63)  # vertical field of view that MediaPipe takes a camera to have, whatever the picture


def is_wide(height: int, width: int) -> bool:
    """Whether a picture may hold faces of SMALLEST pixels that are not found in it as a whole."""
    return max(height, width) > TILE * 1.15


def tiles(height: int, width: int) -> list[tuple[int, int, int]]:
    """Left, top and side of the squares in which a picture is searched, the smallest first, all smaller than the picture."""
    sides = takewhile(lambda side: side < max(height, width), (TILE << i for i in count()))
    return [(left, top, side) for side in sides for top in _starts(height, side) for left in _starts(width, side)]


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin that cover a length, evenly, and overlap by OVERLAP at least."""
    steps = max(0, -(-(length - side) // round(side * (1 - OVERLAP))))
    return [round(start) for start in np.linspace(0, max(0, length - side), steps + 1)]


@cache
def still_landmarker(model: Path, settings: params.Faces) -> vision.FaceLandmarker:
    """A landmarker of one face in single pictures: it keeps no state, so all clips can share it."""
    return landmarks.landmarker(model, settings, 1, vision.RunningMode.IMAGE)


class Search:
    """Finds and follows up to max_faces faces in pictures; it remembers nothing from one call to the next."""

    def __init__(self, model: Path, settings: params.Faces) -> None:
        self.most = settings.max_faces
        self._detect = landmarks.detector(model, settings.min_confidence).detect
        self._landmarker = still_landmarker(model, settings)

    def faces(self, pictures: list[np.ndarray], known: list[list[Face]], before: list[Face]) -> list[list[Face]]:
        """The faces of each of some consecutive pictures, in their pixels, besides those that are known there.

        Faces of the picture `before` are followed forwards. The last picture is searched, and faces that are new there are
        followed backwards.
        """
        seen = [list(faces) for faces in known]
        self._follow(before, pictures, seen)
        new = self.discover(pictures[-1], seen[-1])
        seen[-1] += new
        self._follow(new, pictures[-2::-1], seen[-2::-1])
        return [faces[len(at_first) :] for faces, at_first in zip(seen, known, strict=True)]

    def again(self, pictures: list[np.ndarray], known: list[list[Face]], before: Face) -> list[list[Face]]:
        """A face of the picture before in each of some consecutive pictures, besides those that are known there.

        It is followed forwards; where it is lost, it is looked for once more at its place in the last picture, and followed
        backwards from there.
        """
        seen = [list(faces) for faces in known]
        self._follow([before], pictures, seen)
        new: list[list[Face]] = [list(known[-1])]
        if len(seen[-1]) == len(known[-1]):
            self._follow([before], pictures[-1:], new)
        returned = [face for face in new[0][len(known[-1]) :] if self._is_stable(pictures[-1], face)]
        seen[-1] += returned
        self._follow(returned, pictures[-2::-1], seen[-2::-1])
        return [faces[len(at_first) :] for faces, at_first in zip(seen, known, strict=True)]

    def discover(self, picture: np.ndarray, seen: list[Face]) -> list[Face]:
        """The faces of a picture that are found in its tiles and not among those `seen`, the surest first."""
        places: list[tuple[float, np.ndarray, float]] = []
        for left, top, tile in tiles(*picture.shape[:2]):
            for detection in self._detect(landmarks.image(picture[top : top + tile, left : left + tile])).detections:
                box = detection.bounding_box
                centre = np.array([left + box.origin_x + box.width / 2, top + box.origin_y + box.height / 2])
                places.append((-detection.categories[0].score, centre, float(max(box.width, box.height))))
        new: list[Face] = []
        for _, centre, side in sorted(places, key=lambda place: (place[0], *place[1])):
            if len(seen) + len(new) < self.most and not any(_covers(face, centre) for face in [*seen, *new]):
                face = self._look(picture, centre, side)
                if (
                    face
                    and self._is_stable(picture, face)
                    and not any(_covers(other, _centre(face)) for other in [*seen, *new])
                ):
                    new.append(face)
        return new

    def _is_stable(self, picture: np.ndarray, face: Face) -> bool:
        """Whether a second look, at a larger square, sees the same landmarks: in a pattern that is no face they jump."""
        again = self._look(picture, _centre(face), WIDER * _side(face))
        return again is not None and float(np.abs(again.landmarks - face.landmarks)[:, :2].mean()) < STABLE * _side(face)

    def _follow(self, faces: list[Face], pictures: Iterable[np.ndarray], seen: list[list[Face]]) -> None:
        """Add faces of the picture before to what was seen in each of the next ones, until all are lost."""
        for picture, of_picture in zip(pictures, seen, strict=True):
            followed = []
            for face in faces:
                now = self._look(picture, _centre(face), _side(face))
                if (
                    now
                    and len(of_picture) < self.most
                    and _continues(face, now)
                    and not any(_covers(other, _centre(now)) for other in of_picture)
                ):
                    of_picture.append(now)
                    followed.append(now)
            faces = followed
            if not faces:
                return

    def _look(self, picture: np.ndarray, centre: np.ndarray, side: float) -> Face | None:
        """The face at some place of a picture, seen by the landmarker in the square around it."""
        half = CONTEXT * side / 2
        left, top = (centre - half).round().astype(int).clip(0)
        right, bottom = (centre + half).round().astype(int)
        square = picture[top : max(bottom, top), left : max(right, left)]
        faces = landmarks.see_still(self._landmarker, square) if min(square.shape[:2]) > 1 else []
        return _placed(faces[0], (left, top), square.shape, picture.shape) if faces else None


def _placed(face: Face, corner: tuple[int, int], part: tuple[int, ...], whole: tuple[int, ...]) -> Face:
    """A face that was seen in a part of a picture (both shapes height, width, 3), as a face of the whole picture.

    MediaPipe's geometry takes the part for a whole picture of a camera with the field of view FIELD. The whole picture of
    that camera shows the same face smaller, so farther away, and beside its axis.
    """
    ratio = whole[0] / part[0]
    distance = -face.pose[2, 3]
    focal = part[0] / 2 / np.tan(FIELD / 2)  # pixels
    beside = np.array([corner[0] + part[1] / 2 - whole[1] / 2, whole[0] / 2 - corner[1] - part[0] / 2])  # right and up, pixels
    pose = face.pose.copy()
    pose[:2, 3] += beside * distance / focal
    pose[2, 3] *= ratio
    moved = face.landmarks + np.array([*corner, 0], np.float32)
    return Face(moved, face.blendshapes, pose, face.scale)


def _centre(face: Face) -> np.ndarray:
    low, high = face.box
    return (low + high) / 2


def _side(face: Face) -> float:
    low, high = face.box
    return float((high - low).max())


def _covers(face: Face, point: np.ndarray) -> bool:
    low, high = face.box
    return bool(((low <= point) & (point <= high)).all())


def _continues(face: Face, now: Face) -> bool:
    """Whether a face may be that of the picture before."""
    moved = float(np.linalg.norm(_centre(now) - _centre(face)))
    return moved < REACH * _side(face) and 1 / GROWTH < _side(now) / max(_side(face), 1e-6) < GROWTH
