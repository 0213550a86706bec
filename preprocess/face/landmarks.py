"""MediaPipe's networks for faces: a detector, and the landmarker in films and in single pictures.

In video mode the landmarker tracks a face from frame to frame, and its state changes the numbers. So each clip gets a new
landmarker whose clock starts at the clip's start: the same clip then gives the same numbers, whatever came before it. A
landmarker for one face is faster and steadier, so several faces are looked for only where the detector, run on one frame a
second, finds more than one.
"""

import zipfile
from functools import cache
from pathlib import Path
from typing import IO

import mediapipe as mp
import numpy as np
from mediapipe.tasks import python as tasks
from mediapipe.tasks.python import vision

import params
from preprocess.face.track import Face
from preprocess.media import film

TASK = "face_landmarker.task"
CHECK_EVERY = 1.0  # seconds between the frames that are searched for more than one face


def landmarker(
    model: Path, settings: params.Faces, faces: int = 1, mode: vision.RunningMode = vision.RunningMode.VIDEO
) -> vision.FaceLandmarker:
    """A landmarker for at most so many faces a frame, for the frames of one clip."""
    return vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(model / TASK)),
            running_mode=mode,
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
    return any(len(detect(image(picture)).detections) > 1 for _, picture in film.read(frames, CHECK_EVERY))


def image(picture: np.ndarray) -> mp.Image:
    return mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))


def see(network: vision.FaceLandmarker, seconds: float, picture: np.ndarray) -> list[Face]:
    """The faces in a picture (height, width, 3) uint8 RGB of a film, `seconds` from the clip's start."""
    return _faces(network.detect_for_video(image(picture), round(seconds * 1000)), picture)


def see_still(network: vision.FaceLandmarker, picture: np.ndarray) -> list[Face]:
    """The faces in a single picture (height, width, 3) uint8 RGB; the landmarker is one in image mode."""
    return _faces(network.detect(image(picture)), picture)


def _faces(result: vision.FaceLandmarkerResult, picture: np.ndarray) -> list[Face]:
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
