"""Which time a frame stands for."""

import numpy as np
import pytest

from preprocess.encoders.pooling import of_times
from preprocess.encoders.states import TimedStates
from preprocess.stages.encode_vision import spans


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
