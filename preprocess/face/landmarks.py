"""Seeing faces: MediaPipe's landmarker on the frames of a clip, the speaker's track through them, and its crops.

In video mode the landmarker follows a face from frame to frame, so each clip gets a new one whose clock starts with the
clip: the same clip then gives the same numbers, whatever was seen before it. It is faster and steadier when it looks for
one face, so several are looked for only where a glance every second finds them.
"""

import zipfile
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import IO

import cv2
import mediapipe as mp
import numpy as np
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import vision

import params
from preprocess.clips import Task
from preprocess.face import speaker
from preprocess.face.track import BLENDSHAPES, LANDMARKS, Face, SpeakerChoice
from preprocess.media import film, sound
from preprocess.refusals import Code, Refusal
from preprocess.store.shards import Shards

TASK = "face_landmarker.task"
GLANCE = 1.0  # seconds between glances for further faces
ROW = np.dtype([("landmarks", "<f4", (LANDMARKS, 3)), ("blendshapes", "<f4", BLENDSHAPES), ("pose", "<f4", (4, 4))])


def landmarker(model: Path, settings: params.Faces, faces: int = 1) -> vision.FaceLandmarker:
    """A landmarker for so many faces, of the frames of one film."""
    return vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(model / TASK)),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=faces,
            min_face_detection_confidence=settings.min_confidence,
            min_face_presence_confidence=settings.min_confidence,
            min_tracking_confidence=settings.min_confidence,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
    )


@cache
def detector(model: Path, min_confidence: float) -> vision.FaceDetector:
    """The landmarker's own detector of faces in single pictures, which remembers nothing and serves all clips."""
    with zipfile.ZipFile(model / TASK) as networks:
        network = networks.read("face_detector.tflite")
    return vision.FaceDetector.create_from_options(
        vision.FaceDetectorOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=network),
            running_mode=vision.RunningMode.IMAGE,
            min_detection_confidence=min_confidence,
        )
    )


def several(frames: IO[bytes], model: Path, settings: params.Faces) -> bool:
    """Is there more than one face at once in any of a film's frames a second apart?"""
    glance = detector(model, settings.min_confidence).detect
    return any(len(glance(_image(picture)).detections) > 1 for _, picture in film.read(frames, GLANCE))


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
) -> SpeakerChoice:
    """See a clip's faces, choose the speaker's, and write the film of its crops; Refusal where there is none."""
    cv2.setNumThreads(1)
    with frames.open(task.clip_id, film.FILE) as pictures:
        crowd = settings.max_faces > 1 and several(pictures, model, settings)
    seen = watch(frames, task.clip_id, sightings, settings, model, settings.max_faces if crowd else 1)
    if crowd:
        deque(seen, maxlen=0)
    else:
        film.write(target, seen, settings.crop_size)
        sightings.only()
    if not sightings.tracks:
        raise Refusal(Code.NO_FACE, f"none in {len(sightings.times)} frames")
    energy = sound.level(sounds, task.clip_id, np.array(sightings.times)) if task.content["sound"] else None
    chosen = speaker.choose(sightings.tracks, energy)
    if crowd:
        film.write(target, crops(frames, task.clip_id, sightings.of(chosen.track), settings), settings.crop_size)
    return chosen
