"""Square crops around faces."""

import cv2
import numpy as np

import params
from preprocess.face.track import Face


def crop(picture: np.ndarray, face: Face | None, settings: params.Faces) -> np.ndarray:
    """The square around a face, scaled to (crop_size, crop_size, 3) uint8; black where there is no face or no picture.

    Every pixel is the mean of the area that it covers in the picture (height, width, 3) uint8; the face's landmarks are in
    pixels of that picture.
    """
    size = settings.crop_size
    if face is None:
        return np.zeros((size, size, 3), np.uint8)
    low, high = face.box
    side = max(float((high - low).max()) * (1 + 2 * settings.crop_margin), 1.0)
    left, top = (low + high - side) / 2
    # OpenCV's warp takes single points whatever its flags say. So it takes a point or more for each pixel of the picture, on
    # a grid that is a whole number of times finer than the crop, and the means of its squares are the crop.
    finer = max(1, int(np.ceil(side / size)))
    scale = size * finer / side
    move = np.array([[scale, 0, scale * (0.5 - left) - 0.5], [0, scale, scale * (0.5 - top) - 0.5]])
    points = cv2.warpAffine(picture, move, (size * finer, size * finer), flags=cv2.INTER_LINEAR)
    return points if finer == 1 else cv2.resize(points, (size, size), interpolation=cv2.INTER_AREA)
