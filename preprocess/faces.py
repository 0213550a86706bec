"""Stage faces: the speaker's face, a row for every frame, missing where no face was seen.

MediaPipe's landmarker in video mode follows a face from frame to frame, so each clip gets a new one whose clock starts
with the clip: the same clip then gives the same numbers, whatever was seen before it. It is faster and steadier when it
looks for one face, so several are looked for only where a glance every second finds them.
"""

import csv
import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cache, partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import cv2
import mediapipe as mp
import numpy as np
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import vision
from safetensors.numpy import load

import params
from preprocess import film, sound, speaker, tables
from preprocess.clips import durations
from preprocess.refusals import Code, Refusal
from preprocess.shards import Shards
from preprocess.stage import Stage, Task, fill

MODEL = Path("data/models/face")
TABLE = "safetensors"
CHOICE = "speaker.json"
SPEAKERS = "speakers.csv"
LANDMARKS, BLENDSHAPES = 478, 52
GLANCE = 1.0  # seconds between glances for further faces
ROW = np.dtype([("landmarks", "<f4", (LANDMARKS, 3)), ("blendshapes", "<f4", BLENDSHAPES), ("pose", "<f4", (4, 4))])


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
class Track:
    """A clip's faces: row i is frame i."""

    times: np.ndarray  # (T,) seconds from the clip's start
    present: np.ndarray  # (T,) bool: a face was seen
    landmarks: np.ndarray  # (T, 478, 3), NaN where missing
    blendshapes: np.ndarray  # (T, 52)
    pose: np.ndarray  # (T, 4, 4)


def landmarker(model: Path, settings: params.Faces, faces: int = 1, video: bool = True) -> vision.FaceLandmarker:
    """A landmarker for so many faces, of the frames of one film or, with less to tell, of single pictures."""
    return vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(model / "face_landmarker.task")),
            running_mode=vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE,
            num_faces=faces,
            min_face_detection_confidence=settings.min_confidence,
            min_face_presence_confidence=settings.min_confidence,
            min_tracking_confidence=settings.min_confidence,
            output_face_blendshapes=video,
            output_facial_transformation_matrixes=video,
        )
    )


@cache
def glancer(model: Path, settings: params.Faces) -> vision.FaceLandmarker:
    """A landmarker of single pictures, which remembers nothing and serves all clips."""
    return landmarker(model, settings, settings.max_faces, video=False)


def glance(frames: IO[bytes], model: Path, settings: params.Faces) -> int:
    """How many faces there are at once, at most, in a film's frames a second apart."""
    most, detector = 1, glancer(model, settings)
    for _, picture in film.read(frames, GLANCE):
        most = max(most, len(detector.detect(_image(picture)).face_landmarks))
        if most == settings.max_faces:
            break
    return most


def _image(picture: np.ndarray) -> mp.Image:
    return mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))


def see(detector: vision.FaceLandmarker, seconds: float, picture: np.ndarray) -> list[Face]:
    """The faces of a picture (height, width, 3)."""
    result = detector.detect_for_video(_image(picture), round(seconds * 1000))
    height, width = picture.shape[:2]
    return [
        Face(
            landmarks=np.array([(p.x * width, p.y * height, p.z * width) for p in points], np.float32),
            blendshapes=np.array([shape.score for shape in shapes], np.float32),
            pose=np.asarray(pose, np.float32),
        )
        for points, shapes, pose in zip(
            result.face_landmarks, result.face_blendshapes, result.facial_transformation_matrixes, strict=True
        )
    ]


def crop(picture: np.ndarray, face: Face | None, settings: params.Faces) -> np.ndarray:
    """The square around a face, scaled to (crop_size, crop_size, 3); black where there is none, and outside the picture."""
    size = settings.crop_size
    if face is None:
        return np.zeros((size, size, 3), np.uint8)
    low, high = face.box
    side = float((high - low).max()) * (1 + 2 * settings.crop_margin)
    left, top = (low + high - side) / 2
    scale = size / side
    move = np.array([[scale, 0, -scale * left], [0, scale, -scale * top]])
    return cv2.warpAffine(picture, move, (size, size), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


class Sightings:
    """All faces of a film, kept on the disk: an hour of two people takes half a gigabyte."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.times: list[float] = []  # of the frames, seconds
        self.tracks: list[speaker.Track] = []
        self.places: list[dict[int, int]] = []  # of each frame: the row on the disk by track
        self._count = 0

    def add(self, seconds: float, faces: list[Face]) -> None:
        owners = speaker.follow(self.tracks, len(self.times), [face.landmarks for face in faces])
        for face in faces:
            self.file.write(np.array((face.landmarks, face.blendshapes, face.pose), ROW).tobytes())
        self.places.append({owner: self._count + i for i, owner in enumerate(owners)})
        self._count += len(faces)
        self.times.append(seconds)

    def of(self, track: int) -> Iterator[Face | None]:
        """A track's face in every frame."""
        for places in self.places:
            yield self._read(places[track]) if track in places else None

    def only(self) -> None:
        """Take all faces for one, since there is never more than one at a time."""
        whole = speaker.Track()
        for track in self.tracks:
            whole.frames += track.frames
            whole.openings += track.openings
            whole.sides += track.sides
        order = np.argsort(whole.frames)
        for values in (whole.frames, whole.openings, whole.sides):
            values[:] = [values[i] for i in order]
        self.tracks = [whole] if whole.frames else []
        self.places = [dict.fromkeys([0], next(iter(places.values()))) if places else {} for places in self.places]

    def _read(self, row: int) -> Face:
        self.file.seek(row * ROW.itemsize)
        found = np.frombuffer(self.file.read(ROW.itemsize), ROW)[0]
        return Face(found["landmarks"], found["blendshapes"], found["pose"])


def watch(
    frames: Shards, clip_id: str, sightings: Sightings, settings: params.Faces, model: Path, count: int
) -> Iterator[tuple[float, np.ndarray]]:
    """See up to `count` faces in every frame of a clip; passes on the time and the crop of the first one."""
    with landmarker(model, settings, count) as detector, frames.open(clip_id, film.FILE) as pictures:
        for seconds, picture in film.read(pictures):
            faces = see(detector, seconds, picture)
            sightings.add(seconds, faces)
            yield seconds, crop(picture, faces[0] if faces else None, settings)


def crops(
    frames: Shards, clip_id: str, faces: Iterable[Face | None], settings: params.Faces
) -> Iterator[tuple[float, np.ndarray]]:
    with frames.open(clip_id, film.FILE) as pictures:
        for (seconds, picture), face in zip(film.read(pictures), faces, strict=True):
            yield seconds, crop(picture, face, settings)


def find(
    frames: Shards, sounds: Shards, task: Task, sightings: Sightings, settings: params.Faces, model: Path, target: Path
) -> speaker.Choice:
    """See a clip's faces, choose the speaker's, and write the film of its crops; Refusal where there is none."""
    with frames.open(task.clip_id, film.FILE) as pictures:
        several = settings.max_faces > 1 and glance(pictures, model, settings) > 1
    seen = watch(frames, task.clip_id, sightings, settings, model, settings.max_faces if several else 1)
    if several:
        deque(seen, maxlen=0)
    else:
        film.write(target, seen, settings.crop_size)
        sightings.only()
    if not sightings.tracks:
        raise Refusal(Code.NO_FACE, f"none in {len(sightings.times)} frames")
    energy = sound.level(sounds, task.clip_id, np.array(sightings.times)) if task.content["sound"] else None
    chosen = speaker.choose(sightings.tracks, energy)
    if several:
        film.write(target, crops(frames, task.clip_id, sightings.of(chosen.track), settings), settings.crop_size)
    return chosen


def faces_of(task: Task, folder: Path, settings: params.Faces, model: Path, sounds: Path) -> None:
    """One clip's table of the speaker's face, film of crops, and the choice of the speaker."""
    cv2.setNumThreads(1)
    with TemporaryFile(dir=folder) as file:
        sightings = Sightings(file)
        chosen = find(Shards(Path(task.source)), Shards(sounds), task, sightings, settings, model, folder / film.FILE)
        rows = zip(sightings.times, sightings.of(chosen.track), strict=True)
        with tables.Writer(folder / TABLE) as table:
            while part := list(islice(rows, tables.ROWS)):
                table.append(vars(track(part)))
    (folder / CHOICE).write_text(json.dumps(chosen.to_dict(), indent=1), encoding="utf-8")


def track(seen: list[tuple[float, Face | None]]) -> Track:
    faces = [face for _, face in seen]
    shapes = {"landmarks": (LANDMARKS, 3), "blendshapes": (BLENDSHAPES,), "pose": (4, 4)}
    return Track(
        times=np.array([seconds for seconds, _ in seen], np.float32),
        present=np.array([face is not None for face in faces]),
        **{
            name: np.stack([getattr(face, name) if face else np.full(shape, np.nan, np.float32) for face in faces])
            for name, shape in shapes.items()
        },
    )


def read(shards: Shards, clip_id: str) -> Track:
    """A clip's whole table; a long one is better read in pieces."""
    return Track(**load(shards.read(clip_id, TABLE)))


def pieces(shards: Shards, clip_id: str) -> Iterator[Track]:
    """A clip's table, a bounded number of frames at a time."""
    for rows in tables.read(partial(shards.open, clip_id, TABLE)):
        yield Track(**rows)


def choice(shards: Shards, clip_id: str) -> speaker.Choice:
    """Whose face was taken, and how sure that is."""
    return speaker.Choice(**json.loads(shards.read(clip_id, CHOICE)))


def summarise(found: Shards) -> None:
    """A table of the clips with several faces, and the same in words."""
    chosen = {clip_id: picked for clip_id in sorted(found.digests) if (picked := choice(found, clip_id)).faces > 1}
    with (found.folder / SPEAKERS).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["clip_id", *(f.name for f in fields(speaker.Choice))])
        table.writerows([clip_id, *picked.to_dict().values()] for clip_id, picked in chosen.items())
    if chosen:
        heard = sum(picked.by == "sound" for picked in chosen.values())
        print(
            f"  several faces in {len(chosen)} clips: {heard} speakers found by sound, {len(chosen) - heard} by size; "
            f"each choice and its margin: {found.folder / SPEAKERS}"
        )


def main() -> None:
    settings = params.load()
    frames, sounds = Shards(Path("data/frames")), Shards(Path("data/audio"))
    seconds = durations()
    stage = Stage(
        name="faces",
        module="preprocess.faces",
        work=partial(faces_of, settings=settings.faces, model=MODEL, sounds=sounds.folder),
        parameters=settings.faces.model_dump(),
        models=[MODEL],
    )
    todo = [
        Task(clip_id, {"frames": digest, "sound": sounds.digests.get(clip_id, "")}, seconds[clip_id], str(frames.folder))
        for clip_id, digest in frames.digests.items()
    ]
    fill(stage, todo, settings.run)
    summarise(Shards(stage.folder))
