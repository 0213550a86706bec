"""Stage encode_vision: what each frame's face says – 52 blendshapes and the head's pose."""

from functools import partial
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

import params
from preprocess import faces, states
from preprocess.clips import durations
from preprocess.faces import Track
from preprocess.shards import Shards
from preprocess.stage import Stage, Task, fill
from preprocess.states import TimedStates


def head(pose: np.ndarray) -> np.ndarray:
    """Pitch, yaw and roll (radians) and translation (centimetres) (T, 6) of head-to-camera matrices (T, 4, 4)."""
    turn = Rotation.from_matrix(pose[:, :3, :3]).as_euler("xyz")
    return np.concatenate([turn, pose[:, :3, 3]], 1).astype(np.float32)


def encode(track: Track) -> tuple[np.ndarray, np.ndarray]:
    """States (T, 58), zeros where no face was seen, and where one was (T,)."""
    found = np.zeros((len(track.times), faces.BLENDSHAPES + 6), np.float32)
    seen = track.present
    if seen.any():
        found[seen] = np.concatenate([track.blendshapes[seen], head(track.pose[seen])], 1)
    return found, seen


def spans(times: np.ndarray, rate: float) -> np.ndarray:
    """The time (T, 2) that each frame covers: until the next one, at most 1 / rate seconds."""
    following = np.append(times[1:], np.inf)
    # Times are rounded to a millisecond, and the last frame of a bin may come late in it: two bins at most.
    ends = np.minimum(following, times + 2 / rate)
    ends[-1] = times[-1] + 1 / rate
    return np.stack([times, ends], 1).astype(np.float32)


def states_of(task: Task, folder: Path, rate: float) -> None:
    """One clip's states of the face."""
    shards = Shards(Path(task.source))
    parts = [(track.times, *encode(track)) for track in faces.pieces(shards, task.clip_id)]
    times, found, seen = (np.concatenate(values) for values in zip(*parts, strict=True))
    states.write(folder, TimedStates(found, spans(times, rate), seen))


def main() -> None:
    settings = params.load()
    tracks = Shards(Path("data/faces"))
    seconds = durations()
    stage = Stage(
        name="encode_vision",
        module="preprocess.encode_vision",
        work=partial(states_of, rate=settings.frames.rate),
        parameters=settings.encode.vision.model_dump() | {"rate": settings.frames.rate},
    )
    todo = [
        Task(clip_id, {"faces": digest}, seconds[clip_id], str(tracks.folder)) for clip_id, digest in tracks.digests.items()
    ]
    fill(stage, todo, settings.run)
