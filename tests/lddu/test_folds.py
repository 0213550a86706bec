"""Folds of clips by speaker."""

import numpy as np

from lddu import folds


def test_no_speaker_is_judged_by_what_was_learned_from_him() -> None:
    people = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    for learned, judged in folds.of_people(people):
        assert not set(people[learned]) & set(people[judged])
    assert sum(len(judged) for _, judged in folds.of_people(np.zeros(8))) == 8
