"""Stage encode_vision: what each frame's face says – 52 blendshapes and the head's pose, a network's states, or both."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

import params
from preprocess.clips import Task, durations
from preprocess.encoders import states
from preprocess.encoders.networks import device as resolve
from preprocess.encoders.networks import require_layer
from preprocess.face.track import BLENDSHAPES, FaceTrack, read_track_pieces
from preprocess.media import film
from preprocess.run.stage import Stage, fill
from preprocess.store import tables
from preprocess.store.shards import Shards

MODEL = Path("data/models/vision")
NOTHING = np.zeros((0, BLENDSHAPES + 6), np.float32)


def head(pose: np.ndarray) -> np.ndarray:
    """Pitch, yaw and roll (radians) and translation (centimetres) (T, 6) of head-to-camera matrices (T, 4, 4)."""
    from scipy.spatial.transform import Rotation  # takes longer to import than all else here

    turn = Rotation.from_matrix(pose[:, :3, :3]).as_euler("xyz")
    return np.concatenate([turn, pose[:, :3, 3]], 1).astype(np.float32)


def encode(
    track: FaceTrack, crops: Iterator[np.ndarray], settings: params.EncodeVision, model: Path = MODEL, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """States (T, D) of a face in T frames, zeros where none was seen, and where one was (T,).

    From its track, and its crops (size, size, 3), of which T are taken. ParameterError for a layer that the network lacks.
    """
    seen = track.present
    parts = []
    if settings.features in ("blendshapes", "both"):
        parts.append(np.concatenate([track.blendshapes[seen], head(track.pose[seen])], 1) if seen.any() else NOTHING)
    if settings.features in ("network", "both"):
        from preprocess.encoders import image_encoder as images  # needs torch, which blendshapes do not

        require_layer("encode.vision.layer", settings.layer, model)
        own = islice(crops, len(seen))
        parts.append(images.encode((picture for picture, face in zip(own, seen, strict=True) if face), model, device, settings))
    found = np.zeros((len(seen), sum(part.shape[1] for part in parts)), np.float32)
    found[seen] = np.concatenate(parts, 1)
    return found, seen


def spans(times: np.ndarray, rate: float) -> np.ndarray:
    """The time (T, 2) that each frame covers: until the next one, at most 1 / rate seconds."""
    following = np.append(times[1:], np.inf)
    # Times are rounded to a millisecond, and the last frame of a bin may come late in it: two bins at most.
    ends = np.minimum(following, times + 2 / rate)
    ends[-1] = times[-1] + 1 / rate
    return np.stack([times, ends], 1).astype(np.float32)


def states_of(task: Task, folder: Path, rate: float, settings: params.EncodeVision, model: Path, device: str) -> None:
    """One clip's states of the face, written as they are made: those of a long film do not fit in memory."""
    shards = Shards(Path(task.source))
    left = spans(np.concatenate([track.times for track in read_track_pieces(shards, task.clip_id)]), rate)
    with shards.open(task.clip_id, film.FILE) as crops, tables.Writer(folder / states.FILE) as table:
        pictures = (picture for _, picture in film.read(crops))
        for track in read_track_pieces(shards, task.clip_id):
            found, seen = encode(track, pictures, settings, model, device)
            times, left = np.split(left, [len(seen)])
            table.append({"states": found, "times": times, "observed": seen})


def main() -> None:
    settings = params.load()
    models = [] if settings.encode.vision.features == "blendshapes" else [MODEL]
    device = resolve(settings.run.device) if models else "cpu"
    tracks = Shards(Path("data/faces"))
    seconds = durations()
    unused = set() if models else {"batch_size"}
    stage = Stage(
        name="encode_vision",
        module="preprocess.stages.encode_vision",
        work=partial(states_of, rate=settings.frames.rate, settings=settings.encode.vision, model=MODEL, device=device),
        parameters=settings.encode.vision.model_dump(exclude=unused) | {"rate": settings.frames.rate},
        models=models,
        environment=device,
        preload=["scipy.spatial.transform", *(["preprocess.encoders.image_encoder"] if models else [])],
    )
    todo = [
        Task(clip_id, {"faces": digest}, seconds[clip_id], str(tracks.folder)) for clip_id, digest in tracks.digests.items()
    ]
    fill(stage, todo, settings.run)
