"""A clip's faces from beginning to end: seen frame by frame, looked for where none was seen, and the speaker's chosen."""

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import params
from preprocess.face import crops, landmarks, speaker
from preprocess.face.original import Original
from preprocess.face.people import patch
from preprocess.face.search import Search, is_wide
from preprocess.face.sightings import Sightings
from preprocess.face.speaker import Person
from preprocess.face.track import Face, SpeakerChoice
from preprocess.media import film
from preprocess.refusals import Code, Refusal
from preprocess.store.shards import Shards

TOGETHER = 10  # frames of which one is searched, and the others are followed from it
STRETCH = 100  # frames that are decoded again at once


@dataclass(frozen=True)
class Finder:
    """Finds the faces of one clip, and the speaker's among them."""

    frames: Shards
    clip_id: str
    original: Original | None  # where the medium has larger pictures than the frames
    settings: params.Faces
    model: Path  # the folder of MediaPipe's task

    def find(self, sightings: Sightings, target: Path) -> list[Person]:
        """Add the faces of the clip to the sightings, and write the film of the first face of each frame; returns the people.

        Small faces are looked for where none was seen, and lost ones round their last places. Refusal where no frame has a
        face.
        """
        with self.frames.open(self.clip_id, film.FILE) as pictures:
            crowded = self.settings.max_faces > 1 and landmarks.several(pictures, self.model, self.settings)
        first_crops = self._watch(sightings, self.settings.max_faces if crowded else 1)
        if crowded:
            deque(first_crops, maxlen=0)
        else:
            film.write(target, first_crops, self.settings.crop_size)
        self._look_closer(sightings, [frame for frame, rows in enumerate(sightings.rows) if not rows], target.parent)
        if crowded:
            self._look_again(sightings, target.parent)
        people = sightings.people()
        if not people:
            raise Refusal(Code.NO_FACE, f"none in {len(sightings.times)} frames")
        return people

    def find_hidden(self, sightings: Sightings, people: list[Person], energy: np.ndarray | None, folder: Path) -> list[Person]:
        """Add small faces beside large ones that do not speak; returns all people of the clip.

        They are looked for in all frames where no mouth moves, as in a portrait beside a speaker who is far away. Where mouths
        move and none goes with the sound, they are looked for in the shots of which the frame in the middle has one.
        `energy` (T,) is the sound's level at every frame, None where there is no sound. Files in the folder are temporary.
        """
        if self.settings.max_faces == 1 or not self._has_room(sightings):
            return people
        if not any(map(speaker.moves, people)):
            frames = list(range(len(sightings.times)))
        elif energy is None or speaker.is_heard(people, energy):
            return people
        else:
            frames = self._frames_of_others(sightings, folder)
        self._look_closer(sightings, frames, folder)
        return sightings.people() if frames else people

    def choose(
        self, sightings: Sightings, people: list[Person], energy: np.ndarray | None, target: Path
    ) -> tuple[SpeakerChoice, dict[int, int]]:
        """The choice of the speaker, and by frame the row of their face; writes the film of its crops where there are others.

        `energy` (T,) is the sound's level at every frame, None where there is no sound.
        """
        choice = speaker.choose(people, energy)
        rows = {
            frame: row for tracklet in people[choice.track] for frame, row in zip(tracklet.frames, tracklet.rows, strict=True)
        }
        others_alone = sum(bool(seen) and frame not in rows for frame, seen in enumerate(sightings.rows))
        if sightings.has_crops or sum(map(len, sightings.rows)) > len(rows) or not target.exists():
            film.write(target, self._crops(sightings, rows), self.settings.crop_size)
        return replace(choice, shots=len(sightings.shots), others_alone=others_alone), rows

    def _watch(self, sightings: Sightings, count: int) -> Iterator[tuple[float, np.ndarray]]:
        """Add up to `count` faces of every frame to the sightings; yields each frame's time and its first face's crop.

        Each shot gets a new landmarker, whose clock starts with the shot: one that tracked a face across a cut would mix it
        with the next one's.
        """
        with ExitStack() as networks:
            for seconds, picture in self._pictures():
                if sightings.add_frame(seconds, picture):
                    start = seconds if len(sightings.times) > 1 else 0.0
                    networks.close()
                    network = networks.enter_context(landmarks.landmarker(self.model, self.settings, count))
                faces = landmarks.see(network, seconds - start, picture)
                for face in faces:
                    sightings.add_face(len(sightings.times) - 1, face, patch(picture, face))
                yield seconds, self._crop(picture, faces[0] if faces else None)

    def _look_closer(self, sightings: Sightings, frames: list[int], folder: Path) -> None:
        """Add small faces of these frames to the sightings, if the pictures are large enough to have any."""
        if not self._has_room(sightings):
            return
        search = Search(self.model, self.settings)
        for piece in _pieces(self._closer(sightings, frames, folder)):
            pictures, scale = [picture for _, picture in piece], piece[0][1].shape[1] / sightings.shape[1]
            known = [sightings.faces(frame, scale) for frame, _ in piece]
            before = [] if known[0] else sightings.faces(piece[0][0] - 1, scale)
            for (frame, picture), faces in zip(piece, search.faces(pictures, known, before), strict=True):
                for face in faces:
                    sightings.add_face(frame, face.scaled(1 / scale), patch(picture, face), self._crop(picture, face))

    def _look_again(self, sightings: Sightings, folder: Path) -> None:
        """Add faces that were lost in frames which show others to the sightings, if they are still near their last places."""
        search = Search(self.model, self.settings)
        for row, frames in sightings.lost():
            last = sightings.face(row)
            for piece in _pieces(self._closer(sightings, frames, folder)):
                pictures, scale = [picture for _, picture in piece], piece[0][1].shape[1] / sightings.shape[1]
                known = [sightings.faces(frame, scale) for frame, _ in piece]
                for (frame, picture), faces in zip(piece, search.again(pictures, known, last.scaled(scale)), strict=True):
                    for face in faces:
                        last = face.scaled(1 / scale)
                        sightings.add_face(frame, last, patch(picture, face), self._crop(picture, face))

    def _frames_of_others(self, sightings: Sightings, folder: Path) -> list[int]:
        """The frames of the shots of which the one in the middle has faces in its tiles that were not seen yet."""
        shots = {(shot.start + shot.end) // 2: shot for shot in sightings.shots}
        search, frames = Search(self.model, self.settings), list[int]()
        for frame, picture in self._closer(sightings, list(shots), folder):
            if search.discover(picture, sightings.faces(frame, picture.shape[1] / sightings.shape[1])):
                frames += range(shots[frame].start, shots[frame].end)
        return frames

    def _has_room(self, sightings: Sightings) -> bool:
        """Whether the clip's pictures are large enough to have small faces."""
        return self.original is not None or is_wide(*sightings.shape)

    def _closer(self, sightings: Sightings, frames: list[int], folder: Path) -> Iterator[tuple[int, np.ndarray]]:
        """(frame, picture) of these frames, as large as the medium has them."""
        if self.original is None:
            wanted = set(frames)
            yield from ((frame, picture) for frame, (_, picture) in enumerate(self._pictures()) if frame in wanted)
            return
        for stretch in _stretches(frames):
            times = [sightings.times[frame] for frame in stretch]
            yield from ((stretch[i], picture) for i, picture in self.original.read(times, folder))

    def _crops(self, sightings: Sightings, rows: dict[int, int]) -> Iterator[tuple[float, np.ndarray]]:
        """The time and the crop of every frame of the clip; `rows` are those of the faces."""
        for frame, (seconds, picture) in enumerate(self._pictures()):
            face = sightings.face(rows[frame]) if frame in rows else None
            stored = sightings.crop(rows[frame], self.settings.crop_size) if face else None
            yield seconds, self._crop(picture, face) if stored is None else stored

    def _pictures(self) -> Iterator[tuple[float, np.ndarray]]:
        with self.frames.open(self.clip_id, film.FILE) as pictures:
            yield from film.read(pictures)

    def _crop(self, picture: np.ndarray, face: Face | None) -> np.ndarray:
        return crops.crop(picture, face, self.settings)


def _stretches(frames: list[int]) -> list[list[int]]:
    """Frames, in order, as lists of at most STRETCH that follow one another."""
    stretches: list[list[int]] = []
    for frame in frames:
        if not stretches or frame != stretches[-1][-1] + 1 or len(stretches[-1]) == STRETCH:
            stretches.append([])
        stretches[-1].append(frame)
    return stretches


def _pieces(pictures: Iterator[tuple[int, np.ndarray]]) -> Iterator[list[tuple[int, np.ndarray]]]:
    """Frames with their pictures, in order, as lists of at most TOGETHER that follow one another."""
    piece: list[tuple[int, np.ndarray]] = []
    for frame, picture in pictures:
        if piece and (frame != piece[-1][0] + 1 or len(piece) == TOGETHER):
            yield piece
            piece = []
        piece.append((frame, picture))
    if piece:
        yield piece
