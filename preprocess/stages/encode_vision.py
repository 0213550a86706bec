"""Stage encode_vision: each frame's face as numbers: 52 blendshapes and the head's pose, an image network's states, or both,
and how the face moves."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

import params
from preprocess.clips import Task
from preprocess.encoders import states
from preprocess.encoders.networks import device as resolve
from preprocess.encoders.networks import require_layer
from preprocess.face import dynamics
from preprocess.face.track import BLENDSHAPES, FaceTrack, read_choice, read_track_pieces
from preprocess.media import film
from preprocess.run.inputs import Inputs
from preprocess.run.stage import Job, Stage, fill
from preprocess.store import tables
from preprocess.store.shards import Shards

MODEL = Path("data/models/vision")
NO_FACES = np.zeros((0, BLENDSHAPES + 6), np.float32)


def head(pose: np.ndarray) -> np.ndarray:
    """(T, 6): pitch, yaw and roll (radians) and translation (centimetres), of head-to-camera matrices (T, 4, 4)."""
    from scipy.spatial.transform import Rotation  # slow to import

    turn = Rotation.from_matrix(pose[:, :3, :3]).as_euler("xyz")
    return np.concatenate([turn, pose[:, :3, 3]], 1).astype(np.float32)


def shapes(track: FaceTrack) -> np.ndarray:
    """(n, 58): blendshapes and head of the n frames with the face."""
    present = track.present
    return np.concatenate([track.blendshapes[present], head(track.pose[present])], 1) if present.any() else NO_FACES


def movement(shards: Shards, clip_id: str) -> np.ndarray:
    """(T, 62) float32: how the face moves around each of the clip's T frames, zeros where it is missing."""
    pieces = [(track.times, track.present, shapes(track)) for track in read_track_pieces(shards, clip_id)]
    times, present, features = (np.concatenate(column) for column in zip(*pieces, strict=True))
    moving = dynamics.encode(times[present], features, read_choice(shards, clip_id).correlation)
    result = np.zeros((len(times), moving.shape[1]), np.float32)
    result[present] = moving
    return result


def encode(
    track: FaceTrack, crops: Iterator[np.ndarray], settings: params.EncodeVision, model: Path = MODEL, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """States (T, D) float32 of the face in T frames, zeros where it is missing, and where it is present (T,) bool.

    Made of the track's T rows, and of the next T of its crops (size, size, 3). ParameterError for a layer that the network
    does not have.
    """
    present = track.present
    features = []
    if settings.features in ("blendshapes", "both"):
        features.append(shapes(track))
    if settings.features in ("network", "both"):
        from preprocess.encoders import image_encoder as images  # needs torch, which blendshapes do not

        require_layer("encode.vision.layer", settings.layer, model)
        pictures = zip(islice(crops, len(present)), present, strict=True)
        features.append(images.encode((picture for picture, has_face in pictures if has_face), model, device, settings))
    encoded = np.zeros((len(present), sum(feature.shape[1] for feature in features)), np.float32)
    encoded[present] = np.concatenate(features, 1)
    return encoded, present


def spans(times: np.ndarray, rate: float) -> np.ndarray:
    """The time (T, 2), seconds, that each frame was on the screen: until the next one, the last one for 1 / rate.

    The last one of a film with fewer frames than `rate` a second stays as long as its others do.
    """
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    slow = usual > 1.5 / rate  # frames come early or late in their 1 / rate seconds, but on average in time
    ends = np.append(times[1:], times[-1] + (usual if slow else 1 / rate))
    return np.stack([times, ends], 1).astype(np.float32)


def states_of(task: Task, folder: Path, rate: float, settings: params.EncodeVision, model: Path, device: str) -> None:
    """One clip's states of the face, written piece by piece: those of a long film do not fit in memory."""
    shards = Shards(Path(task.source))
    remaining = spans(np.concatenate([track.times for track in read_track_pieces(shards, task.clip_id)]), rate)
    with shards.open(task.clip_id, film.FILE) as crops, tables.Writer(folder / states.FILE) as table:
        pictures = (picture for _, picture in film.read(crops))
        moving = movement(shards, task.clip_id) if settings.dynamics else np.zeros((len(remaining), 0), np.float32)
        for track in read_track_pieces(shards, task.clip_id):
            encoded, present = encode(track, pictures, settings, model, device)
            times, remaining = np.split(remaining, [len(present)])
            moves, moving = np.split(moving, [len(present)])
            table.append({"states": np.concatenate([encoded, moves], 1), "times": times, "observed": present})


def job(settings: params.Params, inputs: Inputs) -> Job:
    models = [] if settings.encode.vision.features == "blendshapes" else [MODEL]
    device = resolve(settings.run.device, settings.run.engine == "ray") if models else "cpu"
    tracks = inputs.output("faces")
    seconds = inputs.durations()
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
    return Job(stage, todo)


def main() -> None:
    settings = params.load()
    fill(job(settings, Inputs()), settings.run)
