"""Stage faces: the speaker's face, a row for every frame, missing where no face was found."""

import json
from collections import Counter
from dataclasses import fields
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

import csv_table
import params
from preprocess.clips import Medium, Task
from preprocess.face.original import Original
from preprocess.face.track import CHOICE, TABLE, SpeakerChoice, read_choice, track_of
from preprocess.media import film, sound
from preprocess.media.decoder import ffmpeg_version, limits_of
from preprocess.media.probe import Reading
from preprocess.run.inputs import Inputs
from preprocess.run.stage import Job, Stage, fill
from preprocess.store import tables
from preprocess.store.shards import Shards

FOLDER = Path("data/faces")
MODEL = Path("data/models/face")
SPEAKERS = "speakers.csv"


def faces_of(task: Task, folder: Path, settings: params.Preparation, model: Path, frames: Path, sounds: Path) -> None:
    """Write one clip's table of the speaker's face, film of crops, and the choice of the speaker into a folder.

    `frames` and `sounds` are the outputs of those stages. The task's source is the clip's medium where its pictures are
    larger than the frames; `content` then has its part under "original".
    """
    from preprocess.face.finder import Finder  # needs MediaPipe, OpenCV and scipy, which tables of faces do not
    from preprocess.face.sightings import Sightings

    original = task.content.get("original")
    finder = Finder(Shards(frames), task.clip_id, original and original_of(task, settings), settings.faces, model)
    with TemporaryFile(dir=folder) as file:
        sightings = Sightings(file)
        people = finder.find(sightings, folder / film.FILE)
        energy = sound.level(Shards(sounds), task.clip_id, np.array(sightings.times)) if task.content["sound"] else None
        people = finder.find_hidden(sightings, people, energy, folder)
        choice, rows = finder.choose(sightings, people, energy, folder / film.FILE)
        with tables.Writer(folder / TABLE) as table:
            for start in range(0, len(sightings.times), tables.ROWS):
                table.append(vars(track_of(sightings.seen(start, start + tables.ROWS, rows))))
    (folder / CHOICE).write_text(json.dumps(choice.to_dict(), indent=1), encoding="utf-8")


def original_of(task: Task, settings: params.Preparation) -> Original:
    """The part of a medium that a task's clip is."""
    content = task.content["original"]
    part = content["start"], content["end"], Reading(**content["reading"])
    return Original(Path(task.source), *part, settings.frames, settings.decoder)


def original_content(medium: Medium, settings: params.Preparation, decoder: str) -> dict[str, Any]:
    """What a task says of a medium whose pictures are larger than the frames, nothing of another; `decoder`: its version."""
    if max(medium.width, medium.height) <= settings.frames.max_side:
        return {}
    return {"original": medium.decoding(Path()).content | {"rate": settings.frames.rate, "decoder": decoder}}


def summarise(tracks: Shards) -> None:
    """Write a table of the clips with several people, and print its summary."""
    choices = {clip_id: choice for clip_id in sorted(tracks.digests) if (choice := read_choice(tracks, clip_id)).faces > 1}
    columns = ["clip_id", *(f.name for f in fields(SpeakerChoice))]
    csv_table.write(tracks.folder / SPEAKERS, columns, ([clip_id, *of.to_dict().values()] for clip_id, of in choices.items()))
    if choices:
        counts = ", ".join(f"{count} {by}" for by, count in sorted(Counter(choice.by for choice in choices.values()).items()))
        print(
            f"  several people in {len(choices)} clips; by what each speaker was chosen: {counts}; "
            f"each choice and its margin: {tracks.folder / SPEAKERS}"
        )


def job(settings: params.Params, inputs: Inputs) -> Job:
    root, frames, sounds = Path(settings.corpus.root), inputs.output("frames"), inputs.output("audio")
    decoder = ffmpeg_version(settings.decoder.ffmpeg)
    media = {medium.clip_id: medium for medium in inputs.media()}
    stage = Stage(
        name="faces",
        module="preprocess.stages.faces",
        work=partial(faces_of, settings=settings, model=MODEL, frames=frames.folder, sounds=sounds.folder),
        parameters=settings.faces.model_dump(),
        limits=limits_of(settings.decoder),
        models=[MODEL],
        preload=["preprocess.face.finder"],
    )
    tasks = []
    for clip_id, digest in frames.digests.items():
        medium = media[clip_id]
        content = {"frames": digest, "sound": sounds.digests.get(clip_id, "")} | original_content(medium, settings, decoder)
        tasks.append(Task(clip_id, content, medium.duration, str(root / medium.media)))
    return Job(stage, tasks)


def main() -> None:
    settings = params.load()
    fill(job(settings, Inputs()), settings.run)
    summarise(Shards(FOLDER))
