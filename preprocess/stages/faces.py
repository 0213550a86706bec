"""Stage faces: the speaker's face, a row for every frame, missing where no face was seen."""

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from safetensors.numpy import load

import params
from preprocess.clips import durations
from preprocess.media import film
from preprocess.run.stage import Stage, Task, fill
from preprocess.store import tables
from preprocess.store.shards import Shards

MODEL = Path("data/models/face")
TABLE = "safetensors"
CHOICE = "speaker.json"
SPEAKERS = "speakers.csv"
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


@dataclass(frozen=True)
class Choice:
    """Which of a clip's faces is the speaker's, and how sure that is."""

    faces: int  # tracks
    track: int  # the one chosen, -1 where there is none
    by: str  # only: there is one; sound: its mouth moves with it; size: nobody's does, and it is the largest
    correlation: float  # of the chosen mouth with the sound
    margin: float  # between its score and the next one's: of correlations for sound, of shares of the sizes for size

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def faces_of(task: Task, folder: Path, settings: params.Faces, model: Path, sounds: Path) -> None:
    """One clip's table of the speaker's face, film of crops, and the choice of the speaker."""
    from preprocess.face import landmarks  # needs MediaPipe, OpenCV and scipy, which tables of faces do not

    with TemporaryFile(dir=folder) as file:
        sightings = landmarks.Sightings(file)
        chosen = landmarks.find(Shards(Path(task.source)), Shards(sounds), task, sightings, settings, model, folder / film.FILE)
        rows = zip(sightings.times, sightings.of(chosen.track), strict=True)
        with tables.Writer(folder / TABLE) as table:
            while part := list(islice(rows, tables.ROWS)):
                table.append(vars(track(part)))
    (folder / CHOICE).write_text(json.dumps(chosen.to_dict(), indent=1), encoding="utf-8")


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
    """A clip's whole table; a long one is better read in pieces."""
    return Track(**load(shards.read(clip_id, TABLE)))


def pieces(shards: Shards, clip_id: str) -> Iterator[Track]:
    """A clip's table, a bounded number of frames at a time."""
    for rows in tables.read(partial(shards.open, clip_id, TABLE)):
        yield Track(**rows)


def choice(shards: Shards, clip_id: str) -> Choice:
    """Whose face was taken, and how sure that is."""
    return Choice(**json.loads(shards.read(clip_id, CHOICE)))


def summarise(found: Shards) -> None:
    """A table of the clips with several faces, and the same in words."""
    chosen = {clip_id: picked for clip_id in sorted(found.digests) if (picked := choice(found, clip_id)).faces > 1}
    with (found.folder / SPEAKERS).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["clip_id", *(f.name for f in fields(Choice))])
        table.writerows([clip_id, *picked.to_dict().values()] for clip_id, picked in chosen.items())
    if chosen:
        heard = sum(picked.by == "sound" for picked in chosen.values())
        print(
            f"  several faces in {len(chosen)} clips: {heard} speakers found by sound, {len(chosen) - heard} by size; "
            f"each choice and its margin: {found.folder / SPEAKERS}"
        )


def main() -> None:
    settings = params.load()
    frames, sounds = Shards(Path("data/frames")), Shards(Path("data/audio"))
    seconds = durations()
    stage = Stage(
        name="faces",
        module="preprocess.stages.faces",
        work=partial(faces_of, settings=settings.faces, model=MODEL, sounds=sounds.folder),
        parameters=settings.faces.model_dump(),
        models=[MODEL],
        preload=["preprocess.face.landmarks"],
    )
    todo = [
        Task(clip_id, {"frames": digest, "sound": sounds.digests.get(clip_id, "")}, seconds[clip_id], str(frames.folder))
        for clip_id, digest in frames.digests.items()
    ]
    fill(stage, todo, settings.run)
    summarise(Shards(stage.folder))
