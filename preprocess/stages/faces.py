"""Stage faces: the speaker's face, a row for every frame, missing where no face was seen."""

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
        chosen = landmarks.find(Shards(Path(task.source)), Shards(sounds), task, sightings, settings, model, folder / film.FILE)
        rows = zip(sightings.times, sightings.of(chosen.track), strict=True)
        with tables.Writer(folder / TABLE) as table:
            while part := list(islice(rows, tables.ROWS)):
                table.append(vars(track_of(part)))
    (folder / CHOICE).write_text(json.dumps(chosen.to_dict(), indent=1), encoding="utf-8")


def summarise(found: Shards) -> None:
    """A table of the clips with several faces, and the same in words."""
    chosen = {clip_id: picked for clip_id in sorted(found.digests) if (picked := read_choice(found, clip_id)).faces > 1}
    with (found.folder / SPEAKERS).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["clip_id", *(f.name for f in fields(SpeakerChoice))])
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
