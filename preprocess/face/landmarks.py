"""MediaPipe's face landmarker on the frames of a clip, the choice of the speaker's face, and the film of its crops.

In video mode the landmarker tracks a face from frame to frame, and its state changes the numbers. So each clip gets a new
landmarker whose clock starts at the clip's start: the same clip then gives the same numbers, whatever came before it. A
landmarker for one face is faster and steadier, so several faces are looked for only where a detector, run on one frame a
second, finds more than one.
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
CHECK_EVERY = 1.0  # seconds between the frames that are searched for more than one face
ROW = np.dtype([("landmarks", "<f4", (LANDMARKS, 3)), ("blendshapes", "<f4", BLENDSHAPES), ("pose", "<f4", (4, 4))])


def landmarker(model: Path, settings: params.Faces, faces: int = 1) -> vision.FaceLandmarker:
    """A landmarker for at most so many faces a frame, for the frames of one clip."""
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
    """The landmarker's face detector, on single pictures: it keeps no state, so all clips can share it."""
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
    """Whether any of a film's frames, one a second, shows more than one face."""
    detect = detector(model, settings.min_confidence).detect
    return any(len(detect(_image(picture)).detections) > 1 for _, picture in film.read(frames, CHECK_EVERY))


def _image(picture: np.ndarray) -> mp.Image:
    return mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))


def see(network: vision.FaceLandmarker, seconds: float, picture: np.ndarray) -> list[Face]:
    """The faces in a picture (height, width, 3) uint8 RGB, `seconds` from the clip's start."""
    result = network.detect_for_video(_image(picture), round(seconds * 1000))
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
    """The square around a face, scaled to (crop_size, crop_size, 3) uint8; black where there is no face or no picture."""
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
    """All faces of a clip, kept on the disk: an hour of two people takes half a gigabyte."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.times: list[float] = []  # of the frames, seconds
        self.tracklets: list[speaker.Tracklet] = []
        self.places: list[dict[int, int]] = []  # for each frame: the row on the disk, by tracklet
        self._count = 0

    def add(self, seconds: float, faces: list[Face]) -> None:
        """The faces of the next frame, at so many seconds."""
        owners = speaker.follow(self.tracklets, len(self.times), [face.landmarks for face in faces])
        for face in faces:
            self.file.write(np.array((face.landmarks, face.blendshapes, face.pose), ROW).tobytes())
        self.places.append({owner: self._count + i for i, owner in enumerate(owners)})
        self._count += len(faces)
        self.times.append(seconds)

    def of(self, tracklet: int) -> Iterator[Face | None]:
        """The face of a tracklet in every frame, None where it is missing."""
        for places in self.places:
            yield self._read(places[tracklet]) if tracklet in places else None

    def join_all(self) -> None:
        """Join all tracklets into one, where a frame never shows more than one face."""
        whole = speaker.Tracklet()
        for tracklet in self.tracklets:
            whole.frames += tracklet.frames
            whole.openings += tracklet.openings
            whole.sides += tracklet.sides
        order = np.argsort(whole.frames)
        for values in (whole.frames, whole.openings, whole.sides):
            values[:] = [values[i] for i in order]
        self.tracklets = [whole] if whole.frames else []
        self.places = [dict.fromkeys([0], next(iter(places.values()))) if places else {} for places in self.places]

    def _read(self, row: int) -> Face:
        self.file.seek(row * ROW.itemsize)
        values = np.frombuffer(self.file.read(ROW.itemsize), ROW)[0]
        return Face(values["landmarks"], values["blendshapes"], values["pose"])


def watch(
    frames: Shards, clip_id: str, sightings: Sightings, settings: params.Faces, model: Path, count: int
) -> Iterator[tuple[float, np.ndarray]]:
    """Add up to `count` faces of every frame of a clip to the sightings; yields each frame's time and its first face's crop."""
    with landmarker(model, settings, count) as network, frames.open(clip_id, film.FILE) as pictures:
        for seconds, picture in film.read(pictures):
            faces = see(network, seconds, picture)
            sightings.add(seconds, faces)
            yield seconds, crop(picture, faces[0] if faces else None, settings)


def crops(
    frames: Shards, clip_id: str, faces: Iterable[Face | None], settings: params.Faces
) -> Iterator[tuple[float, np.ndarray]]:
    """The time and the crop of every frame of a clip, whose faces are `faces`."""
    with frames.open(clip_id, film.FILE) as pictures:
        for (seconds, picture), face in zip(film.read(pictures), faces, strict=True):
            yield seconds, crop(picture, face, settings)


def find(
    frames: Shards, sounds: Shards, task: Task, sightings: Sightings, settings: params.Faces, model: Path, target: Path
) -> SpeakerChoice:
    """Find a clip's faces, choose the speaker's, and write the film of its crops; Refusal where no frame has a face."""
    with frames.open(task.clip_id, film.FILE) as pictures:
        crowded = settings.max_faces > 1 and several(pictures, model, settings)
    first_crops = watch(frames, task.clip_id, sightings, settings, model, settings.max_faces if crowded else 1)
    if crowded:
        deque(first_crops, maxlen=0)
    else:
        film.write(target, first_crops, settings.crop_size)
        sightings.join_all()
    if not sightings.tracklets:
        raise Refusal(Code.NO_FACE, f"none in {len(sightings.times)} frames")
    energy = sound.level(sounds, task.clip_id, np.array(sightings.times)) if task.content["sound"] else None
    choice = speaker.choose(sightings.tracklets, energy)
    if crowded:
        film.write(target, crops(frames, task.clip_id, sightings.of(choice.track), settings), settings.crop_size)
    return choice
