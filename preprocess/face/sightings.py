"""Everything that was seen of faces in a clip, kept on the disk: an hour of two people takes half a gigabyte."""

import os
from itertools import combinations
from typing import IO

import numpy as np

from preprocess.face import people
from preprocess.face.shots import Shot, Shots
from preprocess.face.track import BLENDSHAPES, LANDMARKS, Face
from preprocess.face.tracklets import REACH, Tracklet, follow, joined

ROW = np.dtype(
    [
        ("landmarks", "<f4", (LANDMARKS, 3)),
        ("blendshapes", "<f4", BLENDSHAPES),
        ("pose", "<f4", (4, 4)),
        ("scale", "<f4"),
        ("patch", "u1", (people.PATCH, people.PATCH, 3)),
    ]
)
COMPARED = 32  # faces of a tracklet, evenly spaced, whose median is what it looks like


class Sightings:
    """The faces of every frame, the crops of those that were seen in larger pictures, and the cuts between frames."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.times: list[float] = []  # of the frames, seconds
        self.rows: list[list[int]] = []  # where in the file each frame's faces lie
        self.shape = (0, 0)  # of the frames, height and width in pixels
        self._crops: set[int] = set()  # rows that a crop follows
        self._shots = Shots()

    def add_frame(self, seconds: float, picture: np.ndarray) -> bool:
        """The next frame, at so many seconds; whether a shot begins with it."""
        self.times.append(seconds)
        self.rows.append([])
        self.shape = picture.shape[:2]
        return self._shots.add(picture)

    def add_face(self, frame: int, face: Face, patch: np.ndarray, crop: np.ndarray | None = None) -> None:
        """A face of a frame that was added, what it is compared by, and its crop where the frames show less of it."""
        row = self.file.seek(0, os.SEEK_END)
        self.file.write(np.array((face.landmarks, face.blendshapes, face.pose, face.scale, patch), ROW).tobytes())
        self.rows[frame].append(row)
        if crop is not None:
            self.file.write(crop.tobytes())
            self._crops.add(row)

    def face(self, row: int) -> Face:
        values = self._values(row)
        return Face(values["landmarks"], values["blendshapes"], values["pose"], float(values["scale"]))

    def faces(self, frame: int, factor: float) -> list[Face]:
        """The faces of a frame in a picture with `factor` times as many pixels a side; none before the first frame."""
        return [self.face(row).scaled(factor) for row in (self.rows[frame] if frame >= 0 else [])]

    def crop(self, row: int, size: int) -> np.ndarray | None:
        """The crop (size, size, 3) that was stored with a face, None where none was."""
        if row not in self._crops:
            return None
        self.file.seek(row + ROW.itemsize)
        return np.frombuffer(self.file.read(size * size * 3), np.uint8).reshape(size, size, 3)

    def seen(self, start: int, end: int, rows: dict[int, int]) -> list[tuple[float, Face | None, int]]:
        """Frames from `start` to before `end`: the time, a person's face, whose `rows` are given by frame, the other faces."""
        return [
            (self.times[i], self.face(rows[i]) if i in rows else None, len(self.rows[i]) - (i in rows))
            for i in range(start, min(end, len(self.times)))
        ]

    @property
    def has_crops(self) -> bool:
        return bool(self._crops)

    @property
    def shots(self) -> list[Shot]:
        """The stretches between cuts."""
        return self._shots.items

    def lost(self) -> list[tuple[int, list[int]]]:
        """Where a face was lost though its shot goes on and shows others: its row before, and the frames in which it lacks."""
        found = []
        for shot in self.shots:
            for tracklet in self._followed(shot):
                ends = [*tracklet.frames[1:], shot.end]
                for frame, row, end in zip(tracklet.frames, tracklet.rows, ends, strict=True):
                    lacking = [i for i in range(frame + 1, end) if self.rows[i]]
                    found += [(row, lacking)] if lacking else []
        return found

    def people(self) -> list[list[Tracklet]]:
        """The tracklets of each person."""
        by_shot = [(shot, self._followed(shot)) for shot in self.shots]
        placed = [(shot, tracklet) for shot, followed in by_shot for tracklet in followed]
        tracklets = [tracklet for _, tracklet in placed]
        looks = [people.look([self._values(row)["patch"] for row in _some(tracklet.rows)]) for tracklet in tracklets]
        resumed = {(i, k) for (i, one), (k, other) in combinations(enumerate(placed), 2) if _resumes(*one, *other)}
        return people.join(tracklets, np.array(looks), resumed)

    def _followed(self, shot: Shot) -> list[Tracklet]:
        """The faces followed through a shot; where none of its frames has more than one, they are one face."""
        tracklets: list[Tracklet] = []
        for frame in range(shot.start, shot.end):
            owners = follow(tracklets, frame, [self.face(row).landmarks for row in self.rows[frame]])
            for owner, row in zip(owners, self.rows[frame], strict=True):
                tracklets[owner].rows.append(row)
        single = all(len(rows) < 2 for rows in self.rows[shot.start : shot.end])
        return [joined(tracklets)] if single and tracklets else tracklets

    def _values(self, row: int) -> np.ndarray:
        self.file.seek(row)
        return np.frombuffer(self.file.read(ROW.itemsize), ROW)[0]


def _resumes(shot: Shot, tracklet: Tracklet, later_shot: Shot, later: Tracklet) -> bool:
    """Whether a later shot of the same camera shows a face where a tracklet ended."""
    moved = float(np.linalg.norm(later.start - tracklet.centre))
    return moved < REACH * tracklet.sides[-1] and later_shot.resumes(shot)


def _some(rows: list[int]) -> list[int]:
    """At most COMPARED rows, evenly spaced."""
    return rows[:: -(-len(rows) // COMPARED)]
