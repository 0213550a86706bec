"""Small pictures of the speaker's face, kept while a recording is predicted: its files are deleted part by part."""

import numpy as np

from lddu.formats.document import Glimpse
from lddu.page.footage import jpeg, thumbnails
from preprocess import recording
from preprocess.face.track import read_track
from preprocess.media import film

EVERY = 0.5  # seconds between two pictures


class Glimpses:
    """`watch` is given to `Predictor.follow`, and fills `found`."""

    def __init__(self) -> None:
        self.found: list[Glimpse] = []

    def watch(self, clip: recording.Clip) -> None:
        stage = "faces" if clip.has("faces") else "frames"
        if not clip.has(stage):
            return
        shards = clip.shards(stage)
        with shards.open(recording.CLIP, film.FILE) as pictures:
            shown = list(thumbnails(pictures, EVERY))
        track = read_track(shards, recording.CLIP) if stage == "faces" else None
        for seconds, picture in shown:
            seen = bool(track and track.present[np.abs(track.times - seconds).argmin()])
            if seen or not track:
                self.found.append(Glimpse(round(clip.start + seconds, 3), jpeg(picture), seen))
