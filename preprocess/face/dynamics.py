"""How a face moves, from what was found in each frame: blendshapes, head pose, and how the mouth goes with the sound.

Each frame gets what is seen around it: WINDOW seconds before and after, for blinks BLINKS seconds. Frames without the face
count for nothing.
"""

import numpy as np

WINDOW = 1.0  # seconds
BLINKS = 10.0  # seconds; people blink about every four
EYES = (9, 10)  # places of eyeBlinkLeft and eyeBlinkRight among MediaPipe's blendshapes
SHUT, OPEN = 0.5, 0.3  # an eye shuts where it comes above the one, after it was below the other
GAP = 0.35  # seconds; across a longer gap between frames there is no speed


def encode(times: np.ndarray, features: np.ndarray, correlation: float) -> np.ndarray:
    """(T, 62) of T frames with the face, in order: their times (T,) in seconds, and features (T, 58), which are blendshapes,
    the head's angles in radians and its place in centimetres.

    The columns: the deviation of each feature, the head's mean speed in radians and in centimetres a second, blinks a
    minute, and the correlation of the mouth with the sound, which is the whole clip's.
    """
    times, features = times.astype(np.float64), features.astype(np.float64)
    near = _around(times, WINDOW)
    centred = features - features.mean(axis=0) if len(features) else features  # else squares of large means lose digits
    mean = _mean(centred, near)
    deviation = np.sqrt(np.maximum(_mean(centred**2, near) - mean**2, 0))
    turn, place = features[:, -6:-3], features[:, -3:]
    steps, known = _steps(times)
    distances = np.stack([np.linalg.norm(np.diff(x, axis=0, prepend=x[:1]), axis=1) for x in (turn, place)], axis=1)
    speeds = _mean(distances / steps[:, None] * known, near) / np.maximum(_mean(known, near), 1e-6)
    blinks = _blinks(times, features[:, EYES].mean(axis=1))
    same = np.full(len(times), correlation)
    return np.column_stack([deviation, speeds, blinks, same]).astype(np.float32)


def _around(times: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """For each frame the first one that is not earlier than `reach` seconds before it, and the first that is later."""
    slack = 1e-6  # times are float32
    return np.searchsorted(times, times - reach - slack), np.searchsorted(times, times + reach + slack)


def _mean(x: np.ndarray, near: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Mean of x (T, D) over the frames around each frame."""
    sums = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])
    first, last = near
    return (sums[last] - sums[first]) / np.maximum(last - first, 1)[:, None]


def _steps(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seconds (T,) since the frame before, and whether there is one that is near enough to speak of a speed, (T, 1)."""
    steps = np.diff(times, prepend=-np.inf)
    return np.where(steps > 0, steps, 1), ((steps > 0) & (steps <= GAP))[:, None].astype(float)


def _blinks(times: np.ndarray, shut: np.ndarray) -> np.ndarray:
    """Blinks a minute around each frame, of how far the eyes are shut (T,), 0 to 1."""
    begins, is_open = np.zeros(len(shut)), True
    for i, value in enumerate(shut):
        if is_open and value > SHUT:
            begins[i], is_open = 1, False
        elif value < OPEN:
            is_open = True
    near = _around(times, BLINKS)
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else 1.0
    seconds = (near[1] - near[0]) * usual  # that the face was seen
    counted = _mean(begins[:, None], near)[:, 0] * (near[1] - near[0])
    return 60 * counted / np.maximum(seconds, 1e-6)
