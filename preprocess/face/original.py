"""A clip's pictures as its medium has them, where the stored frames are smaller: decoded again, a stretch at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import params
from preprocess.media import failure, film, pictures
from preprocess.media.probe import Reading
from preprocess.refusals import Code

MAX_SIDE = 1920  # pixels; larger pictures are scaled down to this: a fifteenth of their height then still has 70 pixels


@dataclass(frozen=True)
class Original:
    """The part of a medium that a clip is, and how its frames were chosen from it."""

    path: Path
    start: float  # seconds into the medium
    end: float
    reading: Reading
    frames: params.Frames
    decoder: params.Decoder

    def read(self, times: list[float], folder: Path) -> Iterator[tuple[int, np.ndarray]]:
        """(i, picture (height, width, 3) uint8 RGB) of the frames at some consecutive times, seconds from the clip's start.

        A temporary file in the folder holds the pictures meanwhile. Refusal where the medium cannot be decoded.
        """
        rate = self.frames.rate
        # The stretch begins where one of the intervals does of which each gives its first picture: it has the same pictures.
        first, last = (int(np.floor(time * rate + 0.001)) for time in (times[0], times[-1]))
        begin, end = self._at(first / rate), min(self.end, self._at((last + 1) / rate))
        larger = self.frames.model_copy(update={"max_side": MAX_SIDE})
        with TemporaryDirectory(dir=folder) as temporary:
            path = Path(temporary) / film.FILE
            with failure.refused(Code.NO_FRAMES):
                pictures.write(self.path, begin, end, larger, self.decoder, path, self.reading)
            with path.open("rb") as file:
                for seconds, picture in film.read(file):
                    differences = np.abs(np.array(times) - (seconds + first / rate))
                    if differences.min() < 0.5 / rate:
                        yield int(differences.argmin()), picture

    def _at(self, seconds: float) -> float:
        """The time in the medium of a moment of the clip, whose clock stands still over gaps."""
        moment = self.start + seconds
        for begin, end in sorted(self.reading.gaps):
            if end > self.start and moment >= begin:
                moment += end - max(begin, self.start)
        return moment
