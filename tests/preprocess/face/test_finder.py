"""The stage faces on films whose truth is known: who speaks, who is shown, and where small faces are."""

from pathlib import Path

import numpy as np
import pytest

from preprocess.face import landmarks
from preprocess.face.track import Face
from preprocess.media import film
from preprocess.refusals import Refusal
from tests.preprocess.face.conftest import Person
from tests.preprocess.face.films import RATE, SETTINGS, Watched, paste, watch, write_film

TIMES = np.arange(24) / RATE
SPEECH = np.clip(np.sin(TIMES * 7) + 0.6 * np.sin(TIMES * 17 + 1), 0, 1)  # of every frame, how far the speaker's mouth is open
WALL = np.full((720, 1280, 3), (120, 130, 125), np.uint8)


def voice(loudness: np.ndarray) -> np.ndarray:
    """A hum whose amplitude is that of each frame."""
    samples = np.arange(len(loudness) * 16000 // RATE)
    return 0.4 * np.interp(samples, (np.arange(len(loudness)) + 0.5) * 1600, loudness) * np.sin(samples * 0.06)


def face_height(person: Person, model: Path) -> float:
    """Pixels of a person's face in the picture (240, 320) that shows it."""
    with landmarks.landmarker(model, SETTINGS.faces) as network:
        return landmarks.see(network, 0.0, person(0.0))[0].height


def wide(
    person: Person, model: Path, height: int, place: tuple[float, float], shape: tuple[int, int]
) -> tuple[np.ndarray, float]:
    """A picture of some height and width with a face of so many pixels somewhere in it, and the column of its middle."""
    tall = round(height * 240 / face_height(person, model))
    wall = np.full((*shape, 3), (120, 130, 125), np.uint8)
    left, top = (
        round(share * (length - side)) for share, length, side in zip(place, shape[::-1], (tall * 4 // 3, tall), strict=True)
    )
    return paste(wall, person(0.3), left, top, tall), left + tall * 2 / 3


@pytest.mark.parametrize("heard", [True, False])
def test_a_mouth_that_does_not_move_is_not_the_speaker_however_large_its_face(
    persons: list[Person], model: Path, tmp_path: Path, heard: bool
) -> None:
    """A frozen tile, twice as large, beside the speaker; with the speaker's voice, and without any sound."""
    tile = persons[1](0.4)
    frames = [paste(paste(WALL[:240, :640], tile, 0, 0, 240), persons[0](opening), 400, 60, 150) for opening in SPEECH]
    write_film(tmp_path / "film.mp4", frames, voice(SPEECH) if heard else None)
    watched = watch(tmp_path / "film.mp4", 2.4, model, tmp_path, heard)
    assert watched.choice["faces"] == 2
    assert watched.choice["by"] == ("sound" if heard else "movement")
    assert np.nanmin(watched.track.landmarks[..., 0]) > 400
    assert (watched.track.others == 1).mean() > 0.9


def test_a_speaker_who_is_far_away_beside_a_large_still_face_is_found(
    persons: list[Person], model: Path, tmp_path: Path
) -> None:
    portrait = paste(WALL, persons[1](0.4), 0, 0, 720)
    write_film(
        tmp_path / "film.mp4", [paste(portrait, persons[0](opening), 1050, 400, 150) for opening in SPEECH], voice(SPEECH)
    )
    watched = watch(tmp_path / "film.mp4", 2.4, model, tmp_path, heard=True)
    assert watched.track.present.mean() > 0.95
    assert np.nanmin(watched.track.landmarks[..., 0]) > 1050 / 2
    assert (watched.track.others == 1).mean() > 0.9


def test_a_small_speaker_beside_a_large_face_whose_mouth_moves_without_the_sound_is_found(
    persons: list[Person], model: Path, tmp_path: Path
) -> None:
    """Somebody large eats while somebody small speaks, who is not seen in the frames as wide as they are kept."""
    chewing = 0.5 + 0.5 * np.sin(TIMES * 11 + 2)
    frames = [
        paste(paste(WALL, persons[1](eaten), 0, 0, 720), persons[0](opening), 1050, 400, 150)
        for eaten, opening in zip(chewing, SPEECH, strict=True)
    ]
    write_film(tmp_path / "film.mp4", frames, voice(SPEECH))
    watched = watch(tmp_path / "film.mp4", 2.4, model, tmp_path, heard=True)
    assert watched.choice["by"] == "sound"
    assert watched.track.present.mean() > 0.95
    assert np.nanmin(watched.track.landmarks[..., 0]) > 1050 / 2
    assert (watched.track.others == 1).mean() > 0.9


def test_a_speaker_who_goes_away_and_is_hidden_for_a_moment_is_found_again_beside_somebody_who_stays(
    persons: list[Person], model: Path, tmp_path: Path
) -> None:
    """From half of the picture's height to a seventh of it, below what is seen anew in a frame as a whole."""
    chewing = 0.5 + 0.5 * np.sin(TIMES * 11 + 2)
    listeners = [paste(WALL, persons[1](eaten), 0, 120, 480) for eaten in chewing]
    hidden = (TIMES > 1.15) & (TIMES < 1.45)
    heights = np.interp(TIMES, [0, 1.1], [480, 150]).round().astype(int)
    frames = [
        listener if gone else paste(listener, persons[0](opening), 960 - tall * 2 // 3, 360 - tall // 2, tall)
        for listener, opening, tall, gone in zip(listeners, SPEECH, heights, hidden, strict=True)
    ]
    write_film(tmp_path / "film.mp4", frames, voice(SPEECH))
    watched = watch(tmp_path / "film.mp4", 2.4, model, tmp_path, heard=True)
    assert watched.track.present.tolist() == (~hidden).tolist()
    assert np.nanmin(watched.track.landmarks[..., 0]) > 640 / 2


def shot_and_reverse_shot(persons: list[Person], model: Path, folder: Path) -> tuple[Watched, np.ndarray]:
    """A speaker and a listener in turns, eight frames each, each before another wall; and where the speaker is shown."""
    shown = np.arange(len(TIMES)) // 8 % 2 == 0
    frames = [persons[0](opening) if speaks else persons[2](0.1) for opening, speaks in zip(SPEECH, shown, strict=True)]
    write_film(folder / "film.mp4", frames, voice(SPEECH))
    return watch(folder / "film.mp4", 2.4, model, folder, heard=True), shown


def test_over_cuts_the_speaker_stays_one_and_pictures_of_others_are_told_apart(
    persons: list[Person], model: Path, tmp_path: Path
) -> None:
    watched, shown = shot_and_reverse_shot(persons, model, tmp_path)
    assert (watched.choice["faces"], watched.choice["shots"], watched.choice["others_alone"]) == (2, 3, (~shown).sum())
    assert watched.track.present.tolist() == shown.tolist()
    assert watched.track.others.tolist() == (~shown).astype(int).tolist()
    assert [bool(crop.any()) for crop in watched.crops] == shown.tolist()


def test_a_shot_has_the_numbers_of_a_new_landmarker(persons: list[Person], model: Path, tmp_path: Path) -> None:
    """One that tracked the face before a cut mixes it into the next one's."""
    write_film(tmp_path / "film.mp4", [*[persons[2](0.1)] * 8, *[persons[0](opening) for opening in SPEECH[:8]]])
    watched = watch(tmp_path / "film.mp4", 1.6, model, tmp_path)
    seen = expected(tmp_path, model, 8)
    assert watched.track.present.tolist() == [False] * 8 + [True] * 8  # the one whose mouth moves
    assert watched.track.landmarks[8:].tobytes() == np.stack([face.landmarks for face in seen]).tobytes()


def expected(folder: Path, model: Path, first: int) -> list[Face]:
    """The faces of a new landmarker that sees a film's frames from one on, which may be the first frame of a shot."""
    with (folder / "frames" / film.FILE).open("rb") as file:
        frames = list(film.read(file))[first:]
    start = frames[0][0] if first else 0.0
    with landmarks.landmarker(model, SETTINGS.faces) as network:
        return [landmarks.see(network, seconds - start, picture)[0] for seconds, picture in frames]


@pytest.mark.parametrize("seed", range(6))
def test_a_face_in_a_wide_shot_is_found_where_it_is_and_as_high_as_it_was(
    persons: list[Person], model: Path, tmp_path: Path, seed: int
) -> None:
    """A third to a fifteenth of the picture's height, anywhere, and 50 pixels or more."""
    rng = np.random.default_rng([seed, 14])
    shape = [(720, 1280), (1080, 1920), (360, 640)][seed % 3]
    height = max(50, round(shape[0] / rng.uniform(3, 15)))
    picture, middle = wide(persons[seed % 3], model, height, (rng.uniform(), rng.uniform()), shape)
    write_film(tmp_path / "film.mp4", [np.roll(picture, i, axis=1) for i in range(10)])
    watched = watch(tmp_path / "film.mp4", 1.0, model, tmp_path)
    assert watched.track.present.mean() >= 0.95
    scale = shape[1] / 640
    in_tiles = np.nanmedian(watched.track.height) > 1.2 * height / scale or scale == 1
    assert np.nanmedian(watched.track.height) == pytest.approx(height if in_tiles else height / scale, rel=0.12)
    places = watched.track.landmarks[..., 0].mean(1) * scale - np.arange(10)
    assert np.nanmax(np.abs(places - middle)) < height / 4


def test_the_crop_of_a_small_face_comes_from_the_larger_picture(persons: list[Person], model: Path, tmp_path: Path) -> None:
    """Of frames of 640 pixels it would have a third of the points, so hardly any contrast between neighbours."""
    picture, _ = wide(persons[0], model, 80, (0.3, 0.6), (1080, 1920))
    write_film(tmp_path / "film.mp4", [picture] * 5)
    watched = watch(tmp_path / "film.mp4", 0.5, model, tmp_path)
    frames_alone = watched.track.height[0] / 3
    assert watched.track.height[0] == pytest.approx(80, rel=0.12)
    assert np.ptp(watched.track.landmarks[0, :, 1]) == pytest.approx(frames_alone, rel=0.01)
    sharp = np.abs(np.diff(watched.crops[0].astype(float), axis=0)).mean()
    assert sharp > 4


def test_a_face_of_usual_size_has_the_landmarkers_own_numbers(persons: list[Person], model: Path, tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4", [paste(WALL, persons[1](opening), 200, 0, 720) for opening in SPEECH[:10]])
    watched = watch(tmp_path / "film.mp4", 1.0, model, tmp_path)
    seen = expected(tmp_path, model, 0)
    assert watched.track.landmarks.tobytes() == np.stack([face.landmarks for face in seen]).tobytes()
    assert watched.track.blendshapes.tobytes() == np.stack([face.blendshapes for face in seen]).tobytes()
    assert watched.track.height == pytest.approx([face.height for face in seen])


def test_what_is_no_face_is_not_taken_for_one(model: Path, tmp_path: Path) -> None:
    """A cup of coffee that MediaPipe takes for a face at some sizes."""
    import skimage.data

    coffee = paste(WALL, skimage.data.coffee(), 100, 0, 720)
    write_film(tmp_path / "film.mp4", [coffee] * 10)
    with pytest.raises(Refusal, match="none in 10 frames"):
        watch(tmp_path / "film.mp4", 1.0, model, tmp_path)


def test_a_wide_shot_gives_the_same_bytes_again(persons: list[Person], model: Path, tmp_path: Path) -> None:
    picture, _ = wide(persons[0], model, 60, (0.7, 0.2), (720, 1280))
    write_film(tmp_path / "film.mp4", [np.roll(picture, 3 * i, axis=1) for i in range(12)])
    first, second = (watch(tmp_path / "film.mp4", 1.2, model, tmp_path / name).track for name in ("a", "b"))
    assert all(one.tobytes() == other.tobytes() for one, other in zip(vars(first).values(), vars(second).values(), strict=True))
