"""The one photograph that every face of the corpus is made from, cut out and measured.

It is scikit-image's astronaut: Eileen Collins, photographed by NASA, in the public domain.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sample.landmark import BROWS, CHIN, OVAL

WIDTH, HEIGHT = 320, 240  # pixels of a film; all positions are in these
MARGIN = 24  # pixels around the picture, so that a moving head uncovers no edge
DETAIL = 2  # pixels of the cut-out for each pixel of the film
ZOOM = 1.23  # pixels of the film for each pixel of the photograph
LEFT = 95  # column of the photograph at the left edge of the film; its top row is the film's
# The suit's outline, in pixels of the photograph.
SUIT = [(60, 256), (95, 222), (117, 208), (122, 190), (134, 170), (150, 156), (177, 148), (200, 152), (252, 172)]
SUIT += [(268, 178), (285, 195), (298, 215), (304, 236), (330, 250), (345, 262), (345, 300), (60, 300)]


@dataclass(frozen=True)
class Photograph:
    """A person cut out of a photograph.

    image: (H, W, 3) uint8, BGR; person, skin, hair: (H, W) float32 in 0 to 1, how much of each pixel belongs to it;
    H and W are DETAIL times the film's with its margins. landmarks: (478, 3) pixels of the film, depth towards the viewer
    negative.
    """

    image: NDArray[np.uint8]
    person: NDArray[np.float32]
    skin: NDArray[np.float32]
    hair: NDArray[np.float32]
    landmarks: NDArray[np.float64]

    def save(self, path: Path) -> None:
        np.savez_compressed(path, **vars(self))

    @classmethod
    def load(cls, path: Path) -> "Photograph":
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**arrays)


def to_detail(points: NDArray) -> NDArray:
    """Pixels of the film to pixels of the cut-out."""
    return ((points + MARGIN) * DETAIL + (DETAIL - 1) / 2).astype(np.float32)


def take(model: Path) -> Photograph:
    """Cut the person out; `model` is MediaPipe's face landmarker task."""
    import skimage.data

    photograph = np.ascontiguousarray(skimage.data.astronaut()[..., ::-1])
    scale, shift = ZOOM * DETAIL, np.array([MARGIN - LEFT * ZOOM, MARGIN]) * DETAIL
    onto = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    size = ((WIDTH + 2 * MARGIN) * DETAIL, (HEIGHT + 2 * MARGIN) * DETAIL)
    image = cv2.warpAffine(photograph, onto, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    landmarks = _landmarks(model, image)
    person = _person(image, to_detail(landmarks[:, :2]))
    skin, hair = _skin_and_hair(image, to_detail(landmarks[:, :2]))
    return Photograph(image, person, skin, hair, landmarks)


def _landmarks(model: Path, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    import mediapipe as mp
    from mediapipe.tasks import python as tasks
    from mediapipe.tasks.python import vision

    options = vision.FaceLandmarkerOptions(base_options=tasks.BaseOptions(model_asset_path=str(model)))
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        result = landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image[..., ::-1])))
    height, width = image.shape[:2]
    points = np.array([[p.x * width, p.y * height, p.z * width] for p in result.face_landmarks[0]])
    return points / DETAIL - [MARGIN, MARGIN, 0]


def _person(image: NDArray[np.uint8], face: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of each pixel is the person: the head is cut out by GrabCut, the suit by its outline SUIT."""
    (left, top), (right, bottom) = face.min(0).astype(int), face.max(0).astype(int)
    wide, high = right - left, bottom - top
    marks = np.full(image.shape[:2], cv2.GC_PR_BGD, np.uint8)
    marks[: max(0, top - high // 2)] = cv2.GC_BGD
    marks[max(0, top - high // 2) : bottom - high // 4, left - wide // 2 : right + wide // 2] = cv2.GC_PR_FGD
    cv2.fillConvexPoly(marks, cv2.convexHull(face.astype(np.int32)), cv2.GC_FGD)
    cv2.setRNGSeed(1)
    cv2.grabCut(image, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    head = marks & 1
    cv2.fillPoly(head, [to_detail((np.array(SUIT) - [LEFT, 0]) * ZOOM).astype(np.int32)], 1)
    cut = cv2.erode(head.astype(np.float32), np.ones((3, 3), np.uint8))
    return _largest(cv2.GaussianBlur(cut, (0, 0), 1.5))


def _largest(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mask with its largest connected component alone."""
    _, parts, statistics, _ = cv2.connectedComponentsWithStats((mask > 0.1).astype(np.uint8))
    return mask * (parts == 1 + statistics[1:, cv2.CC_STAT_AREA].argmax())


def _skin_and_hair(image: NDArray[np.uint8], face: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """How much of each pixel is skin, and how much is hair; the wall behind does not matter."""
    size, chin = np.ptp(face, axis=0), face[CHIN]
    neck = chin + np.array([[-0.35, 0.0], [0.35, 0.0], [0.35, 0.2], [-0.35, 0.2]]) * size
    hull = np.zeros(image.shape[:2], np.float32)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.concatenate([face, neck]).astype(np.int32)), 1.0)
    hull = cv2.dilate(hull, np.ones((17, 17), np.uint8))
    brightness, red, _ = np.moveaxis(cv2.cvtColor(image, cv2.COLOR_BGR2YCrCb).astype(np.float32), 2, 0)
    brows = face[BROWS, 1].min() - 4 * DETAIL
    dim = np.where(np.arange(len(image)) < brows, 150, 90)[:, None]  # the fringe is as red as skin, but darker
    skin = cv2.GaussianBlur(hull * ((brightness > dim) & (red > 138)), (0, 0), 3.0)
    skin = np.clip(np.maximum(skin, cv2.GaussianBlur(_inside(face, image.shape[:2]), (0, 0), 6.0)), 0, 1)
    above = np.zeros(image.shape[:2], np.float32)
    above[: int(chin[1] - 0.35 * size[1])] = 1
    hair = (1 - skin) * cv2.GaussianBlur(above, (0, 0), 4.0)
    return skin, hair.astype(np.float32)


def _inside(face: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """1 in the inner part of the face's oval below the brows. All of it counts as skin: eyes and mouth get the tone too."""
    mask = np.zeros(shape, np.float32)
    centre = face[OVAL].mean(0)
    cv2.fillConvexPoly(mask, cv2.convexHull((centre + 0.8 * (face[OVAL] - centre)).astype(np.int32)), 1.0)
    mask[: int(face[BROWS, 1].min())] = 0
    return mask
