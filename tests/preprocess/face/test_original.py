"""A clip's pictures as large as its medium has them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from preprocess.clips import Medium
from preprocess.face.original import Original
from preprocess.media import film, pictures
from preprocess.media.probe import ORDINARY, Reading
from preprocess.stages.faces import original_content
from tests.preprocess.face.films import SETTINGS

WIDTH, HEIGHT = 800, 450


def write_greys(path: Path, rate: Fraction, count: int, jump: int = 0) -> None:
    """A film of which every picture has a grey of its own; behind a second its clock jumps by so many pictures' time."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "10", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(count):
            grey = np.full((HEIGHT, WIDTH, 3), 20 + number * 37 % 215, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = number + (jump if number >= rate else 0), 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("film_rate", "rate", "start"),
    [(Fraction(30000, 1001), 10.0, 0.0), (Fraction(25), 10.0, 0.37), (Fraction(25), 7.0, 1.3), (Fraction(3), 10.0, 0.0)],
)
def test_a_stretch_has_the_pictures_that_the_frames_have_at_its_times(
    tmp_path: Path, film_rate: Fraction, rate: float, start: float
) -> None:
    medium, stored = tmp_path / "film.mp4", tmp_path / "frames.mkv"
    write_greys(medium, film_rate, round(4 * film_rate))
    frames = SETTINGS.frames.model_copy(update={"rate": rate})
    pictures.write(medium, start, 3.9, frames, SETTINGS.decoder, stored)
    with stored.open("rb") as file:
        expected = list(film.read(file))
    original = Original(medium, start, 3.9, ORDINARY, frames, SETTINGS.decoder)
    for first, last in ((0, len(expected)), (2, 5), (len(expected) - 3, len(expected)), (4, 5)):
        seen = list(original.read([seconds for seconds, _ in expected[first:last]], tmp_path))
        assert [i for i, _ in seen] == list(range(last - first))
        for i, picture in seen:
            assert picture.shape == (HEIGHT, WIDTH, 3)
            assert abs(picture.mean() - expected[first + i][1].mean()) < 4


def test_a_stretch_behind_a_gap_has_its_own_pictures(tmp_path: Path) -> None:
    """The clip's clock stands still over what is skipped of the medium."""
    medium, stored = tmp_path / "film.mp4", tmp_path / "frames.mkv"
    write_greys(medium, Fraction(25), 75, jump=30)
    reading = Reading(gaps=((1.0, 2.2),))
    pictures.write(medium, 0.4, 3.9, SETTINGS.frames, SETTINGS.decoder, stored, reading)
    with stored.open("rb") as file:
        expected = list(film.read(file))
    original = Original(medium, 0.4, 3.9, reading, SETTINGS.frames, SETTINGS.decoder)
    for first, last in ((12, 20), (3, 9)):
        seen = list(original.read([seconds for seconds, _ in expected[first:last]], tmp_path))
        assert [i for i, _ in seen] == list(range(last - first))
        assert all(abs(picture.mean() - expected[first + i][1].mean()) < 4 for i, picture in seen)


def medium_of(width: int, height: int) -> Medium:
    return Medium("a", "a.mp4", "digest", 1.0, 3.0, True, False, width, height, 25.0, 0, 0)


def test_only_a_medium_that_is_larger_than_its_frames_counts_by_itself() -> None:
    """Of another one the frames say all; the key of its faces must not change with its other bytes, such as its sound."""
    assert original_content(medium_of(640, 480), SETTINGS, "6.0") == {}
    larger = original_content(medium_of(480, 1280), SETTINGS, "6.0")["original"]
    assert (larger["digest"], larger["start"], larger["end"], larger["decoder"]) == ("digest", 1.0, 3.0, "6.0")
