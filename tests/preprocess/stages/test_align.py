from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from safetensors.numpy import load_file

from contract import UNKNOWN_TIME
from params import Align
from preprocess.clips import Label
from preprocess.encoders import clip_rows, splits, sums
from preprocess.encoders.pooling import Rows
from preprocess.encoders.speakers import Speakers
from preprocess.encoders.states import TimedStates, WordStates
from preprocess.speech.words import Word
from preprocess.stages import align
from preprocess.stages.align import Clip
from preprocess.store.entries import Store

WORDS = Align(mode="words", max_rows=64, hop=0.1, pooling="mean", context="none", normalise=[])


def said(*spans: tuple[float | None, float | None]) -> list[Word]:
    return [Word(f"w{i}", start, end, 1.0) for i, (start, end) in enumerate(spans)]


def grid(duration: float, step: float, observed: Callable[[float], bool] = lambda _: True) -> TimedStates:
    """States that say when they are: one feature, the middle of their span."""
    edges = np.arange(0, duration + 1e-9, step, dtype=np.float32)
    times = np.stack([edges[:-1], edges[1:]], 1)
    middle = times.mean(1)
    return TimedStates(middle[:, None], times, np.array([observed(float(t)) for t in middle]))


def tokens(*owners: int) -> WordStates:
    """Token states with one feature, their place."""
    return WordStates(np.arange(len(owners), dtype=np.float32)[:, None], np.array(owners, np.int32))


def clip(words: list[Word], duration: float = 2.0, **modalities: object) -> Clip:
    return Clip("a", duration, words, *(modalities.get(name) for name in ("text", "audio", "vision")))


def test_row_i_of_every_modality_is_the_same_word() -> None:
    rows = align.rows(clip(said((0.2, 0.6), (1.0, 1.4)), text=tokens(0, 0, 1), audio=grid(2, 0.02), vision=grid(2, 0.1)), WORDS)
    assert rows["text"].states[:, 0].tolist() == [0.5, 2.0]
    assert rows["audio"].states[:, 0] == pytest.approx([0.4, 1.2], abs=1e-4)
    assert rows["vision"].states[:, 0] == pytest.approx([0.4, 1.2], abs=1e-4)
    for found in rows.values():
        assert found.mask.all()
        assert found.times.tolist() == pytest.approx(np.array([[0.2, 0.6], [1.0, 1.4]]))


def test_a_state_counts_by_the_time_that_it_shares_with_the_word() -> None:
    rows = align.rows(clip(said((0.05, 0.2)), audio=grid(2, 0.1)), WORDS)
    assert rows["audio"].states[0, 0] == pytest.approx((0.05 * 0.05 + 0.10 * 0.15) / 0.15, abs=1e-5)


def test_a_word_shorter_than_the_grid_takes_the_state_around_it() -> None:
    rows = align.rows(clip(said((0.52, 0.52), (0.61, 0.64)), vision=grid(2, 0.1)), WORDS)
    assert rows["vision"].states[:, 0] == pytest.approx([0.55, 0.65], abs=1e-4)


def test_a_word_without_length_at_the_end_of_the_clip_takes_the_last_state() -> None:
    rows = align.rows(clip(said((0.2, 0.6), (2.001, 2.001)), audio=grid(2, 0.02), vision=grid(2, 0.1, lambda t: t < 1)), WORDS)
    assert rows["audio"].states[:, 0] == pytest.approx([0.4, 1.99], abs=1e-4)
    assert rows["vision"].mask.tolist() == [True, False]


def test_a_word_during_which_no_face_was_seen_is_masked_and_zero() -> None:
    rows = align.rows(clip(said((0.2, 0.6), (1.0, 1.4)), vision=grid(2, 0.1, lambda t: t < 0.9)), WORDS)
    assert rows["vision"].mask.tolist() == [True, False]
    assert rows["vision"].states[1].tolist() == [0.0]


def test_frames_without_a_face_do_not_dilute_a_word() -> None:
    rows = align.rows(clip(said((0.0, 1.0)), vision=grid(2, 0.1, lambda t: t < 0.2)), WORDS)
    assert rows["vision"].states[0, 0] == pytest.approx(0.1, abs=1e-5)


def test_a_clip_without_words_is_one_row_over_its_whole_length_with_its_text_absent() -> None:
    rows = align.rows(clip([], audio=grid(2, 0.02), vision=grid(2, 0.1)), WORDS)
    assert set(rows) == {"audio", "vision"}
    assert rows["audio"].times.tolist() == [[0, 2]]
    assert rows["audio"].states[0, 0] == pytest.approx(1.0, abs=1e-4)


def test_text_without_sound_has_unknown_times() -> None:
    rows = align.rows(clip(said((None, None), (None, None)), duration=0, text=tokens(0, 1)), WORDS)
    assert rows["text"].times.tolist() == [[UNKNOWN_TIME, UNKNOWN_TIME]] * 2
    assert rows["text"].mask.all()


def test_text_over_a_silent_film_is_spread_evenly() -> None:
    rows = align.rows(clip(said((None, None), (None, None)), text=tokens(0, 1), vision=grid(2, 0.1)), WORDS)
    assert rows["text"].times.tolist() == [[UNKNOWN_TIME, UNKNOWN_TIME]] * 2  # nobody knows when it was said
    assert rows["vision"].times.tolist() == [[0, 1], [1, 2]]
    assert rows["vision"].states[:, 0] == pytest.approx([0.5, 1.5], abs=1e-4)


@given(some.integers(1, 200), some.integers(1, 70))
def test_a_long_clip_is_merged_evenly_and_never_cut(count: int, max_rows: int) -> None:
    words = said(*((i * 0.1, i * 0.1 + 0.1) for i in range(count)))
    settings = Align(mode="words", max_rows=max_rows, hop=0.1, pooling="mean", context="none", normalise=[])
    times, groups = align.spans(clip(words, duration=count * 0.1), settings)
    assert len(groups) == len(times) == min(count, max_rows)
    assert np.concatenate(groups).tolist() == list(range(count))
    sizes = [len(group) for group in groups]
    assert max(sizes) - min(sizes) <= 1
    assert times[0, 0] == pytest.approx(0)
    assert times[-1, 1] == pytest.approx(count * 0.1, rel=1e-5)


@given(some.floats(0.05, 30), some.sampled_from([0.1, 0.25, 1.0]))
def test_without_alignment_the_hops_cover_the_clip(duration: float, hop: float) -> None:
    times = align.hops(
        clip([], duration=duration), Align(mode="none", max_rows=64, hop=hop, pooling="mean", context="none", normalise=[])
    )
    assert len(times) <= 64
    assert len(times) == 64 or (times[:-1, 1] - times[:-1, 0]) == pytest.approx(hop, abs=1e-4)
    assert times[0, 0] == 0
    assert times[-1, 1] == pytest.approx(duration, rel=1e-5)
    assert times[1:, 0] == pytest.approx(times[:-1, 1])


def test_hops_that_do_not_fit_are_merged_whole_and_counted() -> None:
    hopped = Align(mode="none", max_rows=64, hop=0.1, pooling="mean", context="none", normalise=[])
    fitting, longer, silent = clip([], 6.35, audio=grid(6, 0.1)), clip([], 10.0, audio=grid(10, 0.1)), clip([], 10.0)
    assert align.hops(fitting, hopped)[:, 0] == pytest.approx(0.1 * np.arange(64), abs=1e-6)
    steps = np.diff(align.hops(longer, hopped), axis=1)
    assert sorted({round(float(step), 3) for step in steps[:, 0]}) == [0.1, 0.2]
    assert [align.is_merged(one, hopped) for one in (fitting, longer, silent)] == [False, True, False]
    assert not align.is_merged(longer, WORDS)


def test_without_alignment_each_modality_keeps_its_own_pace() -> None:
    hopped = Align(mode="none", max_rows=64, hop=0.5, pooling="mean", context="none", normalise=[])
    rows = align.rows(clip(said((0.2, 0.6)), text=tokens(0, 0), audio=grid(2, 0.02)), hopped)
    assert rows["text"].states.shape == (1, 1)
    assert rows["audio"].states[:, 0] == pytest.approx([0.25, 0.75, 1.25, 1.75], abs=1e-4)


@settings(deadline=None, max_examples=50)  # a hop of a millisecond makes many rows
@given(
    some.floats(0.001, 1e300),
    some.one_of(some.integers(1, 100), some.just(10**30)),
    some.floats(0.01, 20),
    some.sampled_from(["words", "none"]),
)
def test_hops_and_rows_of_any_size_cover_the_clip_in_order(hop: float, most: int, duration: float, mode: str) -> None:
    aligned = Align(mode=mode, max_rows=most, hop=hop, pooling="mean", context="none", normalise=[])
    found = align.rows(clip([], duration, audio=grid(duration, duration / 7)), aligned)["audio"]
    assert len(found.mask) <= most
    assert found.times[0, 0] == 0
    assert found.times[-1, 1] == pytest.approx(duration)
    assert (found.times[1:, 0] == found.times[:-1, 1]).all()
    assert found.mask.all()


def test_a_row_may_take_the_highest_state_of_its_time_instead_of_their_mean() -> None:
    found = clip(said((0.2, 0.6), (1.0, 1.4)), audio=grid(2, 0.02), vision=grid(2, 0.1, lambda t: t < 0.5))
    rows = align.rows(found, WORDS.model_copy(update={"pooling": "max"}))
    assert rows["audio"].states[:, 0] == pytest.approx([0.59, 1.39], abs=1e-3)
    assert rows["vision"].states[:, 0] == pytest.approx([0.45, 0.0], abs=1e-3)  # not of a frame without a face
    assert rows["vision"].mask.tolist() == [True, False]


def test_a_row_may_have_the_mean_and_the_deviation_of_its_states() -> None:
    """Planted: the first feature is its time; the second one changes between 3 and 5; the third one never changes."""
    times = grid(2, 0.1).times
    middle = times.mean(1)
    values = np.stack([middle, 4 + np.resize([-1.0, 1.0], len(middle)), np.full(len(middle), 7.0)], 1).astype(np.float32)
    audio = TimedStates(values, times, np.ones(len(middle), bool))
    vision = TimedStates(values, times, middle < 0.5)
    settings = WORDS.model_copy(update={"pooling": "mean_deviation"})
    rows = align.rows(
        clip(said((0.2, 0.6), (1.0, 1.4), (1.42, 1.48)), text=tokens(0, 1, 2), audio=audio, vision=vision), settings
    )
    spread = np.std([0.25, 0.35, 0.45, 0.55])
    assert rows["audio"].states == pytest.approx(
        np.array([[0.4, 4, 7, spread, 1, 0], [1.2, 4, 7, spread, 1, 0], [1.45, 3, 7, 0, 0, 0]]), abs=1e-5
    )
    assert rows["vision"].states[0] == pytest.approx(
        [0.35, 11 / 3, 7, np.std([0.25, 0.35, 0.45]), np.std([3, 5, 3]), 0], abs=1e-5
    )
    assert rows["vision"].mask.tolist() == [True, False, False]
    assert not rows["vision"].states[1:].any()
    assert rows["text"].states.shape == (3, 1)  # words have a mean alone


def test_the_deviation_weighs_a_state_by_its_time_and_hops_have_one_too() -> None:
    hopped = Align(mode="none", max_rows=64, hop=0.25, pooling="mean_deviation", context="none", normalise=[])
    rows = align.rows(clip([], duration=0.5, audio=grid(0.5, 0.1)), hopped)["audio"]
    centre = (0.05 * 0.1 + 0.15 * 0.1 + 0.25 * 0.05) / 0.25
    variance = (0.1 * (0.05 - centre) ** 2 + 0.1 * (0.15 - centre) ** 2 + 0.05 * (0.25 - centre) ** 2) / 0.25
    assert rows.states[0] == pytest.approx([centre, variance**0.5], abs=1e-5)


def test_beside_each_row_of_sound_may_stand_the_sound_of_the_whole_clip() -> None:
    found = clip(
        said((0.2, 0.6), (1.0, 1.4), (2.5, 2.6)), duration=3, text=tokens(0, 1, 2), audio=grid(2, 0.1), vision=grid(3, 0.1)
    )
    rows = align.rows(found, WORDS.model_copy(update={"context": "mean_deviation"}))
    spread = np.std(grid(2, 0.1).states)
    assert rows["audio"].states == pytest.approx(np.array([[x, 1, spread] for x in (0.4, 1.2, 1.95)]), abs=1e-4)
    assert rows["vision"].states.shape == rows["text"].states.shape == (3, 1)
    rows = align.rows(found, WORDS.model_copy(update={"context": "max", "pooling": "mean_deviation"}))
    assert rows["audio"].states[0] == pytest.approx([0.4, np.std([0.25, 0.35, 0.45, 0.55]), 1.95], abs=1e-4)


def test_what_is_masked_has_no_context_and_what_was_not_observed_is_none() -> None:
    audio = grid(2, 0.1, lambda t: t < 0.9)
    rows = align.rows(clip(said((0.2, 0.6), (1.0, 1.4)), audio=audio), WORDS.model_copy(update={"context": "mean"}))["audio"]
    assert rows.mask.tolist() == [True, False]
    assert rows.states == pytest.approx(np.array([[0.4, 0.45], [0, 0]]), abs=1e-4)
    silent = TimedStates(audio.states, audio.times, np.zeros(len(audio.times), bool))
    assert "audio" not in align.rows(clip(said((0.2, 0.6)), audio=silent), WORDS.model_copy(update={"context": "mean"}))


def labelled(*clip_ids: str) -> list[Label]:
    return [Label(clip_id, "train", [1.0]) for clip_id in clip_ids]


def written(path: Path, clips: list[dict[str, Rows]], widths: dict[str, int]) -> dict[str, np.ndarray]:
    """The tensors of some clips."""
    shapes = [{m: found.states.shape for m, found in one.items()} for one in clips]
    length = splits.lengths(shapes, widths, "words")
    splits.write(path, clips, labelled(*map(str, range(len(clips)))), ["happy"], splits.Sizes(widths, length))
    return load_file(path)


def test_padding_is_zero_masked_and_without_time(tmp_path: Path) -> None:
    long = align.rows(clip(said((0, 1), (1, 2)), text=tokens(0, 1), audio=grid(2, 0.1)), WORDS)
    short = align.rows(clip(said((0, 1)), text=tokens(0)), WORDS)
    found = written(tmp_path / "a", [long, short], {"text": 1, "audio": 1})
    assert found["text_mask"].tolist() == [[True, True], [True, False]]
    assert found["audio_mask"].tolist() == [[True, True], [False, False]]
    assert found["text"][1, 1].tolist() == [0]
    assert found["text_time"][1, 1].tolist() == [UNKNOWN_TIME, UNKNOWN_TIME]
    assert (found["audio_time"][1] == UNKNOWN_TIME).all()
    assert found["audio"][0] == pytest.approx(long["audio"].states)
    assert found["audio_time"][0].tolist() == long["audio"].times.tolist()


def test_a_split_without_clips_has_tensors_of_its_widths(tmp_path: Path) -> None:
    found = written(tmp_path / "a", [], {"text": 384, "vision": 58})
    assert found["text"].shape == (0, 1, 384)
    assert found["vision_mask"].shape == (0, 1)


def test_statistics_are_those_of_the_observed_rows_of_the_clips() -> None:
    values = np.random.default_rng(0).normal(3, 2, (50, 7, 4)).astype(np.float32)
    mask = np.random.default_rng(1).random((50, 7)) < 0.5
    mask[:, 0] = True  # each clip has a row
    clips = [Rows(*pair, np.zeros((7, 2), np.float32)) for pair in zip(values, mask, strict=True)]
    statistics = splits.Statistics({"text": 4, "audio": 2})
    passed = list(statistics.counted({"text": (rows, sums.of(rows))} for rows in clips))
    assert [one["text"] for one in passed] == clips
    found = statistics.tensors()
    assert found["text_mean"] == pytest.approx(values[mask].mean(0), abs=1e-5)
    assert found["text_deviation"] == pytest.approx(values[mask].std(0), abs=1e-5)
    assert found["audio_mean"].tolist() == [0, 0]
    assert found["audio_deviation"].tolist() == [1, 1]


@given(some.integers(1, 200), some.floats(-1e4, 1e4), some.integers(0, 2**32 - 1))
def test_sums_of_clips_added_up_are_the_sums_of_all_rows(count: int, centre: float, seed: int) -> None:
    """Also far from 0, where sums of plain squares would lose the deviation."""
    generator = np.random.default_rng(seed)
    states = generator.normal(centre, 1, (count, 3)).astype(np.float32)
    cuts = np.sort(generator.choice(np.arange(1, count), min(count - 1, 5), replace=False)) if count > 1 else []
    clips = [Rows(part, np.ones(len(part), bool), np.zeros((len(part), 2), np.float32)) for part in np.split(states, cuts)]
    total = sums.total(map(sums.of, clips), 3)
    assert total.count == count
    assert total.mean == pytest.approx(states.astype(float).mean(0), rel=1e-12)
    assert total.deviation == pytest.approx(states.astype(float).std(0), rel=1e-9, abs=1e-12)


def kept(folder: Path, clips: dict[str, dict[str, Rows]]) -> splits.Kept:
    """Clips in the store, one by one."""
    store = Store(folder)
    for clip_id, found in clips.items():
        with store.workplace() as workplace:
            files = Path(workplace) / "entry"
            files.mkdir()
            clip_rows.write(files, found, False, [])
            store.add(clip_id, files)
    return splits.Kept({clip_id: store.path(clip_id) for clip_id in clips})


def test_of_the_modalities_that_are_asked_for_what_is_usual_for_the_speaker_is_taken_away(tmp_path: Path) -> None:
    voices = {f"{speaker}{i}": ("train", speaker) for speaker in "ab" for i in range(6)}
    clips = {}
    for i, clip_id in enumerate(voices):
        audio = grid(2, 0.1)
        moved = TimedStates(audio.states * (1 + i % 6) + 100 * (clip_id[0] == "b"), audio.times, audio.observed)
        found = clip(said((0.2, 0.6), (1.0, 1.4)), text=tokens(0, 1), audio=moved)
        clips[clip_id] = align.rows(found, WORDS) if i % 6 else {"text": align.rows(found, WORDS)["text"]}
    corpus = kept(tmp_path, clips)
    before = {clip_id: corpus.read(clip_id) for clip_id in voices}
    corpus.speakers = {"audio": Speakers(voices, partial(corpus.sums_of, "audio"))}
    after = {clip_id: corpus.read(clip_id) for clip_id in voices}
    assert all(np.array_equal(after[clip_id]["text"][0].states, before[clip_id]["text"][0].states) for clip_id in voices)
    assert set(after["a0"]) == {"text"}
    for speaker in "ab":
        own = np.concatenate([after[f"{speaker}{i}"]["audio"][0].states for i in range(1, 6)])
        assert own.mean() == pytest.approx(0, abs=1e-5)
        assert own.std() == pytest.approx(1, abs=1e-5)
    assert after["b3"]["audio"][0].states == pytest.approx(after["a3"]["audio"][0].states, abs=1e-4)
    for rows, of_rows in (found["audio"] for found in after.values() if "audio" in found):
        assert of_rows.mean == pytest.approx(rows.states.mean(0), abs=1e-5)
        assert of_rows.deviation == pytest.approx(rows.states.std(0), abs=1e-5)


def test_rows_in_the_store_are_read_as_they_were(tmp_path: Path) -> None:
    first = align.rows(clip(said((0.2, 0.6), (1.0, 1.4)), text=tokens(0, 0, 1), audio=grid(2, 0.02)), WORDS)
    second = align.rows(clip(said((0, 1), (1, 1.5)), vision=grid(2, 0.1, lambda t: t < 1)), WORDS)
    corpus = kept(tmp_path, {"a": first, "b": second})
    for clip_id, expected in {"b": second, "a": first}.items():
        found = corpus.read(clip_id)
        assert found.keys() == expected.keys()
        for name, (rows, of_rows) in found.items():
            assert all(np.array_equal(vars(rows)[key], value) for key, value in vars(expected[name]).items())
            assert all(np.array_equal(vars(of_rows)[key], value) for key, value in vars(sums.of(expected[name])).items())
    assert [note.shapes for note in corpus.notes.values()] == [{"text": (2, 1), "audio": (2, 1)}, {"vision": (2, 1)}]
