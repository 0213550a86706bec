"""Stage faces: the speaker's face, a row for every frame, missing where no face was seen.

MediaPipe's landmarker in video mode follows a face from frame to frame, so each clip gets a new one whose clock starts
with the clip: the same clip then gives the same numbers, whatever was seen before it.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import mediapipe as mp
import numpy as np
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import vision
from safetensors.numpy import load, save_file

import params
from preprocess import film
from preprocess.clips import durations
from preprocess.refusals import Code, Refusal
from preprocess.shards import Shards
from preprocess.stage import Stage, Task, fill

MODEL = Path("data/models/face")
TABLE = "safetensors"
LANDMARKS, BLENDSHAPES = 478, 52


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


def landmarker(model: Path, settings: params.Faces) -> vision.FaceLandmarker:
    return vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(model / "face_landmarker.task")),
            running_mode=vision.RunningMode.VIDEO,
            num_faces=settings.max_faces,
            min_face_detection_confidence=settings.min_confidence,
            min_face_presence_confidence=settings.min_confidence,
            min_tracking_confidence=settings.min_confidence,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
    )


def see(detector: vision.FaceLandmarker, seconds: float, picture: np.ndarray) -> Face | None:
    """The largest face of a picture (height, width, 3), or None."""
    image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
    result = detector.detect_for_video(image, round(seconds * 1000))
    height, width = picture.shape[:2]
    faces = [
        Face(
            landmarks=np.array([(p.x * width, p.y * height, p.z * width) for p in points], np.float32),
            blendshapes=np.array([shape.score for shape in shapes], np.float32),
            pose=np.asarray(pose, np.float32),
        )
        for points, shapes, pose in zip(
            result.face_landmarks, result.face_blendshapes, result.facial_transformation_matrixes, strict=True
        )
    ]
    return max(faces, key=lambda face: float(np.prod(face.box[1] - face.box[0])), default=None)


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


def faces_of(task: Task, folder: Path, settings: params.Faces, model: Path) -> None:
    """One clip's table of faces and film of crops."""
    cv2.setNumThreads(1)
    seen: list[tuple[float, Face | None]] = []

    def crops() -> Any:
        with landmarker(model, settings) as detector, Shards(Path(task.source)).open(task.clip_id, film.FILE) as frames:
            for seconds, picture in film.read(frames):
                face = see(detector, seconds, picture)
                seen.append((seconds, face))
                yield seconds, crop(picture, face, settings)

    film.write(folder / film.FILE, crops(), settings.crop_size)
    if not any(face for _, face in seen):
        raise Refusal(Code.NO_FACE, f"none in {len(seen)} frames")
    # safetensors writes memory as it lies, and MediaPipe's matrices lie column by column.
    save_file({name: np.ascontiguousarray(values) for name, values in vars(track(seen)).items()}, folder / TABLE)


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
    return Track(**load(shards.read(clip_id, TABLE)))


def main() -> None:
    settings = params.load()
    frames = Shards(Path("data/frames"))
    seconds = durations()
    stage = Stage(
        name="faces",
        module="preprocess.faces",
        work=partial(faces_of, settings=settings.faces, model=MODEL),
        parameters=settings.faces.model_dump(),
        models=[MODEL],
    )
    todo = [
        Task(clip_id, {"frames": digest}, seconds[clip_id], str(frames.folder)) for clip_id, digest in frames.digests.items()
    ]
    fill(stage, todo, settings.run)
