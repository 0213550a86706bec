"""Forced alignment by a network with a CTC head: words that it can spell, words that it cannot, and Chinese."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from transformers import AutoTokenizer

import params
from preprocess.encoders import ctc
from preprocess.speech.words import INTERPOLATED, OPEN, STRICT, split
from preprocess.stages import transcripts
from tests.preprocess import networks, voice

BY_CTC, BY_POCKETSPHINX = (
    params.Transcripts(language="auto", aligner=kind, characters="as_written", silence=10.0, tokens_per_second=10.0)
    for kind in ("ctc", "pocketsphinx")
)
BLANK, H, E, Y, BAR = 0, 1, 2, 3, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return networks.seeded(networks.ctc, tmp_path_factory.mktemp("aligner") / "aligner")


def heard(*spans: tuple[int, int, int], frames: int = 20, sure: float = 0.9) -> torch.Tensor:
    """Log-probabilities (T, 5) of a network that hears each (token, first frame, frame behind the last), and else nothing."""
    probs = torch.full((frames, 5), (1 - sure) / 4)
    probs[:, BLANK] = sure
    for token, begin, end in spans:
        probs[begin:end] = (1 - sure) / 4
        probs[begin:end, token] = sure
    return probs.log()


def test_a_word_is_where_its_letters_are_heard() -> None:
    found = ctc.place(heard((H, 2, 4), (E, 5, 7), (Y, 11, 13)), [[H, E], [Y]], [None, None], BLANK)
    assert [word[:2] for word in found] == [(2, 7), (11, 13)]
    assert [word[2] for word in found] == pytest.approx([0.9, 0.9])


def test_a_delimiter_between_words_belongs_to_neither() -> None:
    found = ctc.place(heard((H, 2, 4), (BAR, 6, 8), (Y, 11, 13)), [[H], [Y]], [None, BAR], BLANK)
    assert [word[:2] for word in found] == [(2, 4), (11, 13)]


def test_a_letter_that_is_written_twice_is_heard_twice() -> None:
    found = ctc.place(heard((H, 2, 4), (E, 5, 7), (E, 9, 11)), [[H, E, E]], [None], BLANK)
    assert found[0][:2] == (2, 11)


def test_a_word_that_is_not_said_is_unlikely() -> None:
    (said, not_said) = ctc.place(heard((H, 2, 4), (E, 5, 7)), [[H, E], [Y]], [None, None], BLANK)
    assert ctc.confidence(said) == STRICT
    assert ctc.confidence(not_said) == OPEN


def test_a_word_without_letters_has_no_place_and_costs_the_others_nothing() -> None:
    with_it = ctc.place(heard((H, 2, 4), (Y, 11, 13)), [[H], [], [Y]], [None, BAR, None], BLANK)
    assert [word and word[:2] for word in with_it] == [(2, 4), None, (11, 13)]
    assert ctc.place(heard(), [[]], [None], BLANK) == [None]


def test_more_letters_than_frames_have_no_place() -> None:
    assert ctc.place(heard(frames=3), [[H, E], [H, E]], [None, None], BLANK) == [None, None]
    assert ctc.place(heard(frames=3), [[H, H]], [None], BLANK) != [None]
    assert ctc.place(heard(frames=2), [[H, H]], [None], BLANK) == [None]  # twice the same needs a blank between


def test_a_word_is_spelled_in_the_case_and_with_the_letters_that_the_network_has(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    spelled = ctc.spell(["Café,", "don't", "5", "🙂", "高", "|"], tokenizer)
    assert [tokenizer.convert_ids_to_tokens(tokens) for tokens in spelled] == [list("CAFE"), list("DON'T"), [], [], ["高"], []]


def test_no_delimiter_stands_between_characters_of_scripts_without_spaces() -> None:
    assert ctc.gaps(["我", "很", "OK", "吗"], BAR) == [None, None, BAR, BAR]
    assert ctc.gaps(["เขา", "ที่", "", "OK"], BAR) == [None, None, BAR, BAR]


def test_a_word_without_a_place_keeps_the_pause_that_it_has_to_be_in() -> None:
    widened = ctc.widen([(1.0, 2.0), None, (2.4, 3.0), (3.1, 3.9), None], 4.0)
    assert widened[0] == pytest.approx((0.9, 2.0))
    assert widened[2] == pytest.approx((2.4, 3.05))
    assert widened[3] == pytest.approx((3.05, 3.9))


SPANS = some.lists(some.one_of(some.none(), some.tuples(some.floats(0, 0.4), some.floats(0.01, 0.4))), min_size=1)


@given(SPANS)
def test_words_widen_into_pauses_and_never_into_each_other(found: list) -> None:
    spans, clock = [], 0.0
    for span in found:  # spans in order, each a pause and a length after the one before
        spans.append(None if span is None else (clock + span[0], clock + span[0] + span[1]))
        clock = spans[-1][1] if span else clock
    widened = ctc.widen(spans, clock + 1)
    assert [span is None for span in widened] == [span is None for span in spans]
    known = [(old, new) for old, new in zip(spans, widened, strict=True) if old]
    assert all(0 <= old[0] - new[0] <= 0.1 + 1e-9 and -1e-9 <= new[1] - old[1] <= 0.1 + 1e-9 for old, new in known)
    assert all(before[1] <= after[0] + 1e-9 for before, after in pairwise(new for _, new in known))


@pytest.mark.parametrize("text", ["I am glad", "我很高兴,5吗?", "🙂 5", "Né 100 % 高 ok", "word " * 300])
@pytest.mark.parametrize("samples", [0, 800, 32000, 31 * 16000])
def test_every_word_of_any_text_has_a_place_in_order_within_the_clip(folder: Path, text: str, samples: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    found = ctc.align(wave, split(text), folder, "cpu")
    assert [word.word for word in found] == split(text)
    assert all(0 <= word.start <= word.end <= samples / 16000 + 1e-3 for word in found)
    assert all(before.end <= after.start + 1e-3 for before, after in pairwise(found))


def test_a_text_whose_search_would_take_too_much_memory_is_not_sought() -> None:
    long = torch.full((30_000, 3), -1.0)
    assert ctc.place(long, [[H]] * 7_000, [None] * 7_000, BLANK) == [None] * 7_000


def test_digits_and_symbols_are_marked_as_interpolated_and_chinese_is_not(folder: Path) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32)
    found = {word.word: word.confidence for word in ctc.align(wave, split("我很 5 高兴 🙂 %"), folder, "cpu")}
    assert {word for word, confidence in found.items() if confidence == INTERPOLATED} == {"5", "🙂", "%"}


def test_a_transcript_is_timed_by_the_network_where_there_is_one(folder: Path) -> None:
    wave = voice.say("We were walking home when it started to rain.")
    found = transcripts.align(wave, "我很高兴", BY_CTC, folder, "cpu")
    assert [word.word for word in found] == list("我很高兴")
    assert {word.confidence for word in found} <= {STRICT, OPEN}
    by_hand = transcripts.align(wave, "我很高兴", BY_POCKETSPHINX, Path(), "cpu")
    assert {word.confidence for word in by_hand} == {INTERPOLATED}  # pocketsphinx knows English alone


def test_what_is_not_said_is_not_spelled_and_stands_between_its_neighbours(folder: Path) -> None:
    found = transcripts.align(voice.say("We were walking home."), "<i>我</i> [laughter] 很", BY_CTC, folder, "cpu")
    assert [word.word for word in found] == ["<i>", "我</", "i>", "[laughter]", "很"]
    assert [word.spoken for word in found] == [False, True, False, False, True]
    assert [word.confidence > INTERPOLATED for word in found] == [False, True, False, False, True]
    assert all(before.end <= after.start + 1e-3 for before, after in pairwise(found))
