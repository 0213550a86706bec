"""Small pictures of the speaker's face through a recording, for its page."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from lddu.formats.document import Document, Glimpse, Recording
from lddu.page.footage import FOLDER, jpeg, thumbnails
from preprocess import recording
from preprocess.face.track import read_track
from preprocess.media import film
from preprocess.store.shards import Shards

EVERY = 0.5  # seconds between two pictures
ENDING = ".html"  # of the files that need them


def wanted(outputs: list[str]) -> bool:
    return any(output.lower().endswith(ENDING) for output in outputs)


def glimpses_of(faces: Shards, clip_id: str, start: float) -> Iterator[Glimpse]:
    """Of a clip of the stage faces, where the speaker was seen; the clip begins `start` seconds into the recording."""
    track = read_track(faces, clip_id)
    with faces.open(clip_id, film.FILE) as pictures:
        for seconds, picture in thumbnails(pictures, EVERY):
            if track.present[np.abs(track.times - seconds).argmin()]:
                yield Glimpse(round(start + seconds, 3), jpeg(picture))


class Glimpses:
    """Kept while recordings are predicted, since their files are deleted part by part. `watch` is given to the predictor."""

    def __init__(self) -> None:
        self._found: list[Glimpse] = []

    def watch(self, clip: recording.Clip) -> None:
        if clip.has("faces"):
            self._found += glimpses_of(clip.shards("faces"), recording.CLIP, clip.start)

    def given(self, predicted: Recording) -> Recording:
        """The recording with the pictures that were kept since the last one."""
        found, self._found = self._found, []
        return replace(predicted, glimpses=tuple(found))


def added(document: Document) -> Document:
    """The document with the pictures that the stage faces keeps of its clips, where they are on this machine."""
    folder = Path(FOLDER / "faces")
    if not (folder / "index.csv").is_file():
        return document
    faces = Shards(folder)
    recordings = []
    for part in document.recordings:
        clips = [(item.clip_id, item.start) for item in part.utterances if item.clip_id in faces.digests]
        found = [glimpse for clip_id, start in clips for glimpse in glimpses_of(faces, clip_id, start)]
        recordings.append(replace(part, glimpses=tuple(found)))
    return replace(document, recordings=tuple(recordings))
