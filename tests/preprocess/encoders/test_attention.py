"""Word times from Whisper's attention: the path, words of any script, long sounds, and real speech."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

import params
from preprocess.encoders import aligners, attention
from preprocess.encoders.attention import Reading, Text
from preprocess.speech.words import INTERPOLATED, OPEN, STRICT, Word, split
from preprocess.stages import transcripts
from tests.preprocess import networks, voice

RATE = 16000
BY_ATTENTION = params.Transcripts(
    language="en", aligner="attention", characters="as_written", silence=10.0, tokens_per_second=10.0
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights, for texts in all scripts."""
    return networks.seeded(networks.whisper_of_bytes, tmp_path_factory.mktemp("asr") / "asr")


def test_the_path_follows_what_was_looked_at() -> None:
    looked = np.zeros((3, 10))
    for row, (begin, end) in enumerate([(0, 4), (4, 5), (5, 10)]):
        looked[row, begin:end] = 1
    assert attention.path(looked) == [(0, 4), (4, 5), (5, 10)]


def test_every_row_of_a_path_has_a_state_and_too_few_are_shared() -> None:
    looked = np.random.default_rng(0).normal(size=(7, 9))
    spans = attention.path(looked)
    assert [spans[0][0], spans[-1][1]] == [0, 9]
    assert all(a < b for a, b in spans)
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert attention.path(looked[:, :3])[-1][1] == 3
    assert len(attention.path(looked[:, :3])) == 7


def test_a_text_is_cut_where_it_most_likely_ends_in_a_window() -> None:
    """Four tokens are said; the end is unlikely before them, and the fifth token is."""
    scores = np.log([0.9, 0.8, 0.9, 0.9, 0.001, 0.5])
    ends = np.log([0.001, 0.001, 0.01, 0.001, 0.9, 0.01, 0.1])
    reading = Reading(np.zeros((7, 3)), scores, ends)
    assert attention.until(reading, [0, 2, 4, 6], 4.0) == 4
    assert attention.until(reading, [0, 2, 4, 6], 6.0) == 4
    assert attention.until(reading, [0, 2, 6], 2.0) == 2


def test_a_text_that_repeats_itself_is_cut_by_the_time_that_is_spoken() -> None:
    repeated = Reading(np.zeros((31, 3)), np.full(30, -0.1), np.full(31, -1.0))
    assert attention.until(repeated, list(range(0, 31, 5)), 14.0) == 15
    speech = np.array([0.0] * 10 + [0.9] * 30 + [0.0] * 20 + [0.9] * 60)
    assert attention.share(speech, 0.0, 50 * 0.032) == pytest.approx(1 / 3)
    assert attention.share(speech, 50 * 0.032, 90 * 0.032) == pytest.approx(30 / 60)


def test_characters_of_one_token_share_its_time_and_tokens_of_one_character_are_joined() -> None:
    """我们 is one token, 鑫 three; the space before ok belongs to no word."""
    text = Text([1, 2, 3, 4, 5], [(0, 2), (2, 3), (2, 3), (2, 3), (3, 6)], [0, 1, 2, -1, 3, 3], [0, 1, 4, 5])
    times = [(0.0, 1.0), (1.0, 1.2), (1.2, 1.4), (1.4, 2.0), (2.0, 3.0)]
    found = attention.of_words(["我", "们", "鑫", "ok"], text, times, [-0.1, -0.1, -0.1, -0.1, -9.0], 3.0)
    assert [(word.start, word.end) for word in found] == [(0.0, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 3.0)]
    assert [word.confidence for word in found] == [STRICT, STRICT, STRICT, OPEN]


TEXTS = ["I am glad", "我很高兴,5吗?", "🙂 5", "สวัสดีครับ", "مرحبا بالعالم", "שלום עולם", "word " * 300]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("samples", [800, 31 * RATE])
def test_every_word_of_any_text_has_a_place_in_order_within_the_clip(folder: Path, text: str, samples: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    found, language = attention.align(wave, split(text), np.ones(samples // 512 + 1), folder, "cpu", "auto")
    assert language in ("en", "zh")
    assert [word.word for word in found] == split(text)
    assert all(0 <= word.start <= word.end <= samples / RATE + 1e-3 for word in found)
    assert all(before.end <= after.start + 1e-3 for before, after in pairwise(found))


def test_tokens_of_a_text_cover_its_words_in_their_order(folder: Path) -> None:
    """Hebrew is kept in the order in which it is read. What is not said has no token, and a comma takes no time of a word."""
    words = ["שלום", "", "עולם,", "我", "很", "ok"]
    text = attention.spell(words, preparer(folder))
    assert [owner for owner in text.owners if owner >= 0] == [0] * 4 + [2] * 4 + [3] + [4] + [5] * 2
    assert preparer(folder).decode(text.tokens) == " שלום עולם, 我很 ok"
    assert text.cuts[0] == 0
    assert text.cuts[-1] == len(text.tokens)


def preparer(folder: Path) -> AutoTokenizer:
    return AutoTokenizer.from_pretrained(folder)


def test_words_that_two_aligners_find_elsewhere_are_doubtful() -> None:
    here, there, nowhere = Word("a", 1.0, 1.2, STRICT), Word("a", 1.5, 1.7, STRICT), Word("a", 1.0, 1.2, INTERPOLATED)
    near = Word("a", 1.1, 1.4, OPEN)
    assert [word.confidence for word in aligners.confirmed([here] * 3, [near, there, nowhere])] == [STRICT, OPEN, OPEN]


def test_the_silence_around_a_word_is_no_part_of_it() -> None:
    speech = np.array([0.0] * 20 + [0.9] * 10 + [0.0] * 20)
    assert attention.voiced(Word("a", 0.0, 1.6, STRICT), speech) == Word("a", 0.64, 0.96, STRICT)
    silent = Word("a", 0.0, 0.5, STRICT)
    assert attention.voiced(silent, speech) == silent


def test_words_of_a_long_recording_are_found_in_their_windows(models: Path) -> None:
    """Sentences of 42 s, which is two windows; each is followed by a second of silence."""
    sentences = ["We were walking home when it started to rain.", "My sister lost the key of the old house."] * 6
    waves = [voice.say(sentence) for sentence in sentences]
    pause = np.zeros(RATE, np.float32)
    begins = np.cumsum([0, *(len(wave) + len(pause) for wave in waves)]) / RATE
    long = np.concatenate([part for wave in waves for part in (wave, pause)])
    assert len(long) > 30 * RATE
    found = transcripts.align(long, " ".join(sentences), BY_ATTENTION, models / "asr", "cpu")
    starts = [word for word in found if word.word in ("We", "My")]
    assert len(starts) == len(sentences)
    onsets = [
        begin + np.flatnonzero(np.abs(wave) > 0.02)[0] / RATE for begin, wave in zip(begins[:-1].tolist(), waves, strict=True)
    ]
    apart = np.abs(np.array([word.start for word in starts]) - onsets)
    assert np.median(apart) < 0.1
    assert apart.max() < 1.0  # the attention of one word in ten strays into the pause before it
    assert np.mean([word.confidence == STRICT for word in found]) > 0.5


def test_a_text_that_is_not_what_is_said_gets_less_confidence(models: Path) -> None:
    wave = voice.say("We were walking home when it started to rain.")
    other = transcripts.align(wave, "Nobody ate the purple elephant yesterday.", BY_ATTENTION, models / "asr", "cpu")
    assert np.mean([word.confidence <= OPEN for word in other]) > 0.5
