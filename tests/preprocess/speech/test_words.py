from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

import params
from preprocess.refusals import Code
from preprocess.speech import alignment, words
from preprocess.speech.words import INTERPOLATED, OPEN, STRICT, Transcript, Word
from preprocess.stages import transcripts
from preprocess.store import shards
from preprocess.store.entries import Store
from preprocess.store.shards import Shards
from tests.preprocess import voice

RATE = 16000
BY_POCKETSPHINX = params.Transcripts(
    language="en", aligner="pocketsphinx", characters="as_written", silence=10.0, tokens_per_second=10.0
)
TEXT = "I paid $5.50 for seventeen Zxorblat pencils 🙂 yesterday."


@pytest.fixture(scope="module")
def spoken() -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """A synthetic sentence at 16 kHz with a long pause in it."""
    import torch
    import torchaudio
    from hibari import Hibari

    voice = Hibari()
    said = [np.asarray(voice(text, seed=0), np.float32) for text in ("We were walking home", "when it started to rain")]
    loud = [np.flatnonzero(np.abs(wave) > 0.02)[[0, -1]] / voice.sample_rate for wave in said]
    silence = np.zeros(voice.sample_rate, np.float32)
    wave = torch.from_numpy(np.concatenate([silence, said[0], silence, said[1]]))
    second = 2 + len(said[0]) / voice.sample_rate
    marks = [("We", *(loud[0] + 1)), ("when", *(loud[1] + second))]
    return torchaudio.functional.resample(wave, voice.sample_rate, RATE).numpy(), marks


@given(some.text())
def test_every_character_that_is_no_space_is_in_exactly_one_word(text: str) -> None:
    assert "".join(words.split(text)) == "".join(text.split())


def test_a_word_is_what_stands_between_spaces_and_in_chinese_a_character() -> None:
    assert words.split("Don't  stop, well-known!") == ["Don't", "stop,", "well-known!"]
    assert words.split("我很高兴。OK吗?") == ["我", "很", "高", "兴。", "OK", "吗?"]


@given(some.lists(some.sampled_from(["hi", "there,", "我", "吗?", "5"]), min_size=1))
def test_a_text_joined_for_the_encoder_knows_the_word_of_each_character(spoken: list[str]) -> None:
    text, owner = words.join(spoken)
    assert len(text) == len(owner)
    for i, word in enumerate(spoken):
        assert "".join(letter for letter, of in zip(text, owner, strict=True) if of == i) == word


SPANS = some.lists(some.one_of(some.none(), some.tuples(some.floats(0, 0.4), some.floats(0.01, 0.4))), min_size=1)


@given(SPANS)
def test_interpolation_gives_every_word_a_place_in_order_and_moves_no_known_one(found: list) -> None:
    known, clock = [], 0.0
    for span in found:  # spans in order, each a pause and a length after the one before
        known.append(None if span is None else (clock + span[0], clock + span[0] + span[1]))
        clock = known[-1][1] if span else clock
    times = words.interpolate(known, clock + 1)
    assert all(start <= end for start, end in times)
    assert all(before[1] <= after[0] + 1e-9 for before, after in pairwise(times))
    assert all(time == pytest.approx(span) for time, span in zip(times, known, strict=True) if span)


def test_words_are_found_where_they_are_said(spoken: tuple[np.ndarray, list]) -> None:
    wave, marks = spoken
    found = alignment.align(wave, ["We", "were", "walking", "home", "when", "it", "started", "to", "rain"])
    assert {word.confidence for word in found} == {STRICT}
    by_word = {word.word: word for word in found}
    assert by_word["We"].start == pytest.approx(marks[0][1], abs=0.15)
    assert by_word["home"].end == pytest.approx(marks[0][2], abs=0.15)
    assert by_word["when"].start == pytest.approx(marks[1][1], abs=0.15)
    assert by_word["rain"].end == pytest.approx(marks[1][2], abs=0.15)


def test_the_same_clip_gives_the_same_times_after_another_one(spoken: tuple[np.ndarray, list]) -> None:
    wave, text = spoken[0], ["We", "were", "walking", "home", "when", "it", "started", "to", "rain"]
    first = alignment.align(wave, text)
    alignment.align(wave[::-1].copy(), ["something", "else"])
    assert alignment.align(wave, text) == first


def test_digits_symbols_and_unknown_words_are_pronounced_and_an_emoji_is_interpolated() -> None:
    import torch
    import torchaudio
    from hibari import Hibari

    voice = Hibari()
    said = torch.from_numpy(np.asarray(voice(TEXT.replace("🙂 ", ""), seed=0), np.float32))
    wave = torchaudio.functional.resample(said, voice.sample_rate, RATE).numpy()
    found = {word.word: word for word in alignment.align(wave, words.split(TEXT))}
    assert found["$5.50"].confidence == STRICT
    assert found["Zxorblat"].confidence == STRICT
    assert found["$5.50"].end - found["$5.50"].start > 0.6
    assert found["🙂"].confidence == INTERPOLATED
    assert found["pencils"].end <= found["🙂"].start <= found["🙂"].end <= found["yesterday."].start


def test_a_text_that_is_not_what_is_said_gets_less_confidence(spoken: tuple[np.ndarray, list]) -> None:
    text = ["Seven", "purple", "elephants", "juggle", "enormous", "watermelons", "beneath", "shimmering", "chandeliers"]
    found = alignment.align(spoken[0], text)
    assert [word.word for word in found] == text
    assert {word.confidence for word in found} <= {OPEN, INTERPOLATED}


def test_what_the_pronouncer_stumbles_over_is_interpolated(spoken: tuple[np.ndarray, list]) -> None:
    text = ["We", "were", "1" * 40, "walking", "¹a", "home", '⁴"', "when", "①x", "it", "started", "to", "rain"]
    found = {word.word: word.confidence for word in alignment.align(spoken[0], text)}
    assert found["walking"] == found["rain"] == STRICT
    assert {found[word] for word in ("1" * 40, "¹a", "①x")} <= {STRICT, OPEN, INTERPOLATED}


def test_more_words_than_fit_are_all_kept() -> None:
    found = alignment.align(np.zeros(2 * RATE, np.float32), ["word"] * 300)
    assert len(found) == 300
    assert all(0 <= word.start <= word.end <= 2 for word in found)


def test_a_text_too_long_to_be_sought_in_its_sound_shares_the_time_evenly() -> None:
    found = alignment.align(np.zeros(600 * RATE, np.float32), ["word"] * 30_000)
    assert {word.confidence for word in found} == {INTERPOLATED}
    assert [word.start for word in found[::50]] == pytest.approx(range(600))


def test_a_text_that_is_found_nowhere_in_its_sound_is_noted_and_nothing_of_it_missing() -> None:
    words = [Word("one", 0.0, 0.5, INTERPOLATED), Word("two", 0.5, 1.0, INTERPOLATED)]
    noted = transcripts.unplaced("clip", 1.0, Transcript("one two", False, words))
    assert noted
    assert noted.code == Code.TEXT_UNPLACED
    for place in (Word("one", 0.0, 0.5, OPEN), Word("one", None, None, INTERPOLATED)):
        assert transcripts.unplaced("clip", 1.0, Transcript("one two", False, [place, words[1]])) is None


def test_a_transcript_reads_back_as_written(tmp_path: Path) -> None:
    unsaid = Word("[笑]", None, None, INTERPOLATED, spoken=False)
    transcript = Transcript("Né 我[笑]", True, [Word("Né", 0.5, 1.0, STRICT), unsaid], [(0.0, 2.5)])
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / words.FILE).write_text(transcript.to_json(), encoding="utf-8")
    store = Store(tmp_path / "store")
    store.add("clip", tmp_path / "entry")
    shards.write(tmp_path / "transcripts", {"clip": store.path("clip")})
    assert words.read(Shards(tmp_path / "transcripts"), "clip") == transcript


def test_what_is_written_and_not_said_takes_no_time_from_the_words(spoken: tuple[np.ndarray, list]) -> None:
    plain = transcripts.align(spoken[0], "We were walking home when it started to rain", BY_POCKETSPHINX, Path(), "cpu")
    marked = transcripts.align(
        spoken[0],
        "Mary: <i>We were</i> walking home [a door slams] when it started (laughs) to rain ♪",
        BY_POCKETSPHINX,
        Path(),
        "cpu",
    )
    said = [word for word in marked if word.spoken]
    assert [(word.start, word.end, word.confidence) for word in said] == [
        (word.start, word.end, word.confidence) for word in plain
    ]
    assert [word.word for word in marked if not word.spoken] == ["Mary:", "[a", "door", "slams]", "(laughs)", "♪"]
    assert {word.confidence for word in marked if not word.spoken} == {INTERPOLATED}
    assert all(before.end <= after.start + 1e-6 for before, after in pairwise(marked))
    door = next(word for word in marked if word.word == "door")
    assert plain[3].end <= door.start < door.end <= plain[4].start


def test_a_word_without_sound_is_marked_in_a_text_without_sound_too() -> None:
    found = transcripts.without_sound("Mary: no [sighs]")
    assert [(word.word, word.spoken, word.start) for word in found] == [
        ("Mary:", False, None),
        ("no", True, None),
        ("[sighs]", False, None),
    ]


@pytest.mark.parametrize("kind", ["digital silence", "hum", "music"])
def test_a_text_of_a_sound_in_which_nobody_speaks_is_not_found_in_it(kind: str) -> None:
    wave = voice.SILENT[kind]()
    found = transcripts.align(wave, "We were walking home", BY_POCKETSPHINX, Path(), "cpu")
    assert {word.confidence for word in found} == {INTERPOLATED}
    assert [word.start for word in found] == pytest.approx([len(wave) / RATE * i / 4 for i in range(4)], abs=0.01)
    assert transcripts.unplaced("clip", 1.0, Transcript("We were walking home", False, found))


def test_a_word_at_a_time_at_which_nobody_speaks_is_less_sure() -> None:
    speech = np.array([0.0] * 30 + [1.0] * 30)
    silent, loud = Word("silent", 0.1, 0.5, STRICT), Word("loud", 0.9, 1.5, STRICT)
    assert transcripts.placed(silent, speech).confidence == OPEN
    assert transcripts.placed(loud, speech) == loud


def test_parts_that_were_not_recognised_are_noted() -> None:
    noted = transcripts.incomplete("clip", Transcript("hi", True, [Word("hi", 0.0, 0.5, STRICT)], [(20.0, 38.5)]))
    assert noted
    assert noted.code == Code.UNSURE_TEXT
    assert "20.0 to 38.5 s" in noted.detail
    assert transcripts.incomplete("clip", Transcript("hi", True, [])) is None


def test_a_broken_installation_of_the_g2p_is_no_missing_pronunciation(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise FileNotFoundError("lexicon.json")

    monkeypatch.setattr(alignment, "G2P", broken)
    alignment.pronouncer.cache_clear()
    with pytest.raises(FileNotFoundError, match=r"lexicon\.json"):
        alignment.pronunciation("Zxorblat")
    alignment.pronouncer.cache_clear()
