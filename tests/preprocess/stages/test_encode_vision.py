"""Which time a frame stands for."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import params
from preprocess.clips import Task
from preprocess.encoders.pooling import of_times
from preprocess.encoders.states import FILE, TimedStates
from preprocess.face.track import CHOICE, TABLE, SpeakerChoice
from preprocess.media import film
from preprocess.stages.encode_vision import spans, states_of
from preprocess.store import shards, tables
from preprocess.store.entries import Store
from tests.conftest import ROOT


@pytest.mark.parametrize("rate", [1.0, 2.0])
def test_in_a_slow_film_a_words_face_is_the_one_that_was_on_the_screen(rate: float) -> None:
    times = np.arange(5) / rate
    vision = TimedStates(np.arange(5, dtype=np.float32)[:, None], spans(times, 10), np.ones(5, bool))
    begin = np.linspace(0, 5 / rate - 0.06, 60)
    words = np.stack([begin, begin + 0.05], 1).astype(np.float32)
    rows = of_times(vision, words)
    assert rows is not None
    assert rows.mask.all()
    inside = np.floor(begin * rate + 1e-6) == np.floor((begin + 0.05) * rate - 1e-6)
    assert rows.states[inside, 0].tolist() == np.floor(begin[inside] * rate + 1e-6).tolist()


def test_a_picture_stays_on_the_screen_while_none_follows() -> None:
    assert spans(np.array([0.0, 0.1, 0.9, 1.0]), 10)[1].tolist() == pytest.approx([0.1, 0.9])


@pytest.mark.parametrize("film_rate", [10, 12, 24, 25, 29.97, 30, 60])
def test_the_last_of_as_many_pictures_as_are_kept_stands_for_one_interval(film_rate: float) -> None:
    """The first picture of every tenth of a second, as the stage frames keeps them."""
    all_times = np.round(np.arange(round(3 * film_rate)) / film_rate, 3)
    times = all_times[np.unique(np.floor(all_times * 10 + 0.001), return_index=True)[1]]
    assert spans(times, 10)[-1].tolist() == pytest.approx([times[-1], times[-1] + 0.1], abs=1e-6)


def test_a_single_picture_stands_for_one_interval() -> None:
    assert spans(np.array([0.5]), 4).tolist() == [[0.5, 0.75]]


def test_a_face_that_moves_has_its_movement_beside_its_shape(tmp_path: Path) -> None:
    """Longer than a piece of its table; it is seen in all frames but some."""
    frames = tables.ROWS + 50
    present = np.arange(frames) % 40 != 7
    shut = np.where(np.arange(frames) % 10 == 0, 0.9, 0.1)  # a blink a second
    blendshapes = np.tile(shut[:, None], (1, 52)).astype(np.float32)
    pose = np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1))
    pose[:, 0, 3] = 0.2 * np.arange(frames)  # 2 cm a second
    entry = tmp_path / "entry"
    entry.mkdir()
    with tables.Writer(entry / TABLE) as table:
        table.append(
            {
                "times": (np.arange(frames) / 10).astype(np.float32),
                "present": present,
                "others": np.zeros(frames, np.int32),
                "height": np.where(present, 100, np.nan).astype(np.float32),
                "landmarks": np.zeros((frames, 478, 3), np.float32),
                "blendshapes": np.where(present[:, None], blendshapes, np.nan).astype(np.float32),
                "pose": np.where(present[:, None, None], pose, np.nan).astype(np.float32),
            }
        )
    choice = SpeakerChoice(faces=1, track=0, by="only", correlation=0.4, margin=1.0)
    (entry / CHOICE).write_text(json.dumps(choice.to_dict()))
    (entry / film.FILE).touch()  # crops, which no network is asked to read
    store = Store(tmp_path / "store")
    store.add("clip", entry)
    shards.write(tmp_path / "faces", {"clip": store.path("clip")})
    found = {}
    for moving in (False, True):
        settings = params.load(ROOT / "params.yaml").encode.vision.model_copy(update={"dynamics": moving})
        task = Task("clip", {}, frames / 10, str(tmp_path / "faces"))
        (tmp_path / str(moving)).mkdir()
        states_of(task, tmp_path / str(moving), 10.0, settings, Path(), "cpu")
        found[moving] = load_file(tmp_path / str(moving) / FILE)
    plain, moves = found[False]["states"], found[True]["states"]
    assert plain.shape == (frames, 58)
    assert np.array_equal(moves[:, :58], plain)
    assert np.array_equal(found[True]["times"], found[False]["times"])
    assert not moves[~present].any()
    assert moves[present, 58 + 60].mean() == pytest.approx(60, rel=0.05)
    assert moves[present, 58 + 59] == pytest.approx(np.full(present.sum(), 2.0), abs=0.01)
    assert set(moves[present, 58 + 61].round(4)) == {np.float32(0.4)}
