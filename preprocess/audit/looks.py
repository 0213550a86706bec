"""What a clip shows of its speaker's face."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from preprocess.face.people import look, patch
from preprocess.face.track import TABLE, Face, read_choice
from preprocess.media import film
from preprocess.store import tables
from preprocess.store.shards import Shards

PICTURES = 8  # of a clip, evenly spread over those with a face, by which it is compared


@dataclass(frozen=True)
class Look:
    """What a clip shows of its speaker's face."""

    share: float  # of the pictures in which it is
    people: int
    chosen_by: str  # of several people, as SpeakerChoice.by
    margin: float
    correlation: float  # of the mouth with the sound
    colours: list[float]  # (6 * 6 * 3,) CIELAB of eyes, forehead and hair; none without a face


def of_clip(frames: Shards, faces: Shards, clip_id: str) -> Look:
    """The look of a clip, from the stages' pictures and faces."""
    choice = read_choice(faces, clip_id)
    columns = ("present", "landmarks")
    parts = [{key: rows[key] for key in columns} for rows in tables.read(partial(faces.open, clip_id, TABLE))]
    present = np.concatenate([rows["present"] for rows in parts])
    seen = np.flatnonzero(present)
    chosen = (
        set(seen[np.linspace(0, len(seen) - 1, min(PICTURES, len(seen))).astype(int)].tolist()) if len(seen) else set[int]()
    )
    landmarks = np.concatenate([rows["landmarks"] for rows in parts]) if chosen else np.zeros((0, 478, 3))
    patches = []
    with frames.open(clip_id, film.FILE) as stream:
        for i, (_, picture) in enumerate(film.read(stream) if chosen else ()):
            if i in chosen:
                patches.append(patch(picture, Face(landmarks[i], np.zeros(52), np.eye(4))))
    colours = look(patches).reshape(-1).round(1).tolist() if patches else []
    share = round(float(present.mean()), 3)
    return Look(share, choice.faces, choice.by, choice.margin, choice.correlation, colours)
