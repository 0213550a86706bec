"""Stage faces: the speaker's face, a row for every frame, missing where no face was found."""

import csv
import json
from dataclasses import fields
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile

import params
from preprocess.clips import Task, durations
from preprocess.face.track import CHOICE, TABLE, SpeakerChoice, read_choice, track_of
from preprocess.media import film
from preprocess.run.stage import Stage, fill
from preprocess.store import tables
from preprocess.store.shards import Shards

MODEL = Path("data/models/face")
SPEAKERS = "speakers.csv"


def faces_of(task: Task, folder: Path, settings: params.Faces, model: Path, sounds: Path) -> None:
    """One clip's table of the speaker's face, film of crops, and the choice of the speaker."""
    from preprocess.face import landmarks  # needs MediaPipe, OpenCV and scipy, which tables of faces do not

    with TemporaryFile(dir=folder) as file:
        sightings = landmarks.Sightings(file)
        choice = landmarks.find(Shards(Path(task.source)), Shards(sounds), task, sightings, settings, model, folder / film.FILE)
        rows = zip(sightings.times, sightings.of(choice.track), strict=True)
        with tables.Writer(folder / TABLE) as table:
            while piece := list(islice(rows, tables.ROWS)):
                table.append(vars(track_of(piece)))
    (folder / CHOICE).write_text(json.dumps(choice.to_dict(), indent=1), encoding="utf-8")


def summarise(tracks: Shards) -> None:
    """Write a table of the clips with several faces, and print its summary."""
    choices = {clip_id: choice for clip_id in sorted(tracks.digests) if (choice := read_choice(tracks, clip_id)).faces > 1}
    with (tracks.folder / SPEAKERS).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["clip_id", *(f.name for f in fields(SpeakerChoice))])
        table.writerows([clip_id, *choice.to_dict().values()] for clip_id, choice in choices.items())
    if choices:
        by_sound = sum(choice.by == "sound" for choice in choices.values())
        print(
            f"  several faces in {len(choices)} clips: {by_sound} speakers found by sound, {len(choices) - by_sound} by size; "
            f"each choice and its margin: {tracks.folder / SPEAKERS}"
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
