"""How old a row's picture is."""

import numpy as np

from preprocess.encoders import ages
from preprocess.encoders.states import TimedStates
from preprocess.stages.encode_vision import spans


def vision(times: np.ndarray, rate: float, observed: bool = True) -> TimedStates:
    return TimedStates(np.zeros((len(times), 2), np.float32), spans(times, rate), np.full(len(times), observed))


def test_in_a_film_of_a_picture_a_second_rows_late_in_the_second_are_listed_with_their_age() -> None:
    rows = np.array([[0.0, 0.4], [0.5, 1.0], [1.6, 1.8], [2.2, 3.6]], np.float32)
    listed = ages.of_rows("clip", vision(np.arange(3.0), 10), rows)
    assert [(age.row, age.age) for age in listed] == [(1, 0.75), (2, 0.7), (3, 0.9)]
    assert (listed[0].clip_id, listed[0].start, listed[0].end) == ("clip", 0.5, 1.0)


def test_with_ten_pictures_a_second_none_is_old() -> None:
    rows = np.linspace(0, 2.95, 40)
    assert not ages.of_rows("clip", vision(np.arange(30) / 10, 10), np.stack([rows, rows + 0.05], 1))


def test_where_no_face_was_seen_nothing_is_old() -> None:
    assert not ages.of_rows("clip", vision(np.arange(3.0), 10, observed=False), np.array([[0.5, 1.0]], np.float32))
