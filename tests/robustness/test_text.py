"""What a corruption of words does is what was asked for."""

import numpy as np
import pytest

from preprocess.speech.words import Word
from robustness import text
from robustness.kinds import KINDS

WORDS = [
    Word(word, float(i), i + 0.9, 1.0)
    for i, word in enumerate(["I", "a", "never", "saw", "such", "lovely", "flowers", ",", "before", "today"])
]


def corrupted(kind: str, share: float, words: list[Word] = WORDS) -> list[Word]:
    return text.corrupted(words, kind, share, np.random.default_rng(3))


@pytest.mark.parametrize("share", KINDS["lost_words"].strengths)
def test_so_many_words_are_lost_and_the_others_keep_their_times(share: float) -> None:
    left = corrupted("lost_words", share)
    assert len(left) == len(WORDS) - max(1, round(share * len(WORDS)))
    assert left == [word for word in WORDS if word in left]


@pytest.mark.parametrize("share", KINDS["misspelt"].strengths)
def test_so_many_words_are_misspelt_and_all_keep_their_times(share: float) -> None:
    found = corrupted("misspelt", share)
    assert [(word.start, word.end) for word in found] == [(word.start, word.end) for word in WORDS]
    changed = sum(a.word != b.word for a, b in zip(found, WORDS, strict=True))
    assert changed <= max(1, round(share * len(WORDS)))
    assert changed >= round(0.8 * share * len(WORDS))  # two slips may undo each other
    assert all(word.word and not word.word.isspace() for word in found)


def test_no_words_stay_no_words() -> None:
    assert corrupted("lost_words", 1.0, []) == corrupted("misspelt", 1.0, []) == []
