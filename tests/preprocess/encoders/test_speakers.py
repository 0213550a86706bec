"""Features relative to what is usual for its speaker: planted offsets vanish, and nobody's clips count for anybody else."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from preprocess.encoders import speakers, sums
from preprocess.encoders.pooling import Rows
from preprocess.encoders.speakers import Speakers, Voice

Clips = dict[str, Rows]


def rows(states: np.ndarray) -> Rows:
    """Rows of which the last one was not observed."""
    states = np.vstack([states, np.zeros((1, states.shape[1]))]).astype(np.float32)
    mask = np.arange(len(states)) < len(states) - 1
    return Rows(states, mask, np.zeros((len(states), 2), np.float32))


def spoken(speaker: int, clips: int, what: int = 0) -> Clips:
    """What is said is the same for everybody; the speaker's voice stretches and moves it."""
    said = [np.random.default_rng(100 * what + i).normal(size=(4, 3)) for i in range(clips)]
    return {f"{speaker}-{what}-{i}": rows((1 + speaker) * x + 10 * speaker) for i, x in enumerate(said)}


def of(clips: Clips, voices: dict[str, Voice]) -> Speakers:
    return Speakers(voices, lambda: ((clip_id, sums.of(x)) for clip_id, x in clips.items()))


def everyone(split: str = "train") -> tuple[Clips, dict[str, Voice]]:
    clips = spoken(0, 6) | spoken(1, 6) | spoken(2, 6)
    return clips, {clip_id: (split, f"s{clip_id[0]}") for clip_id in clips}


def test_a_speakers_offset_and_scale_vanish() -> None:
    clips, voices = everyone()
    found = of(clips, voices)
    for i in range(6):
        first, *others = (found.apply(f"{speaker}-0-{i}", clips[f"{speaker}-0-{i}"]) for speaker in range(3))
        assert first.states.std() > 0.3
        assert not first.states[~first.mask].any()
        for other in others:
            assert other.states == pytest.approx(first.states, abs=1e-4)
    joined = np.concatenate([found.apply(clip_id, clips[clip_id]).states[:-1] for clip_id in clips if clip_id[0] == "2"])
    assert joined.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-5)
    assert joined.std(axis=0) == pytest.approx(np.ones(3), abs=1e-5)


def test_clips_of_other_speakers_and_of_another_split_change_nothing() -> None:
    clips, voices = everyone()
    alone = of(clips, voices)
    others = spoken(3, 6) | {f"again-{clip_id}": rows(1000 + x.states[:-1]) for clip_id, x in clips.items()}
    more = of(clips | others, voices | {clip_id: ("valid", f"s{clip_id.removeprefix('again-')[0]}") for clip_id in others})
    for clip_id, x in clips.items():
        assert np.array_equal(alone.apply(clip_id, x).states, more.apply(clip_id, x).states)
    shifted = more.apply("again-0-0-1", others["again-0-0-1"]).states
    assert shifted == pytest.approx(alone.apply("0-0-1", clips["0-0-1"]).states, abs=1e-3)


@pytest.mark.parametrize("voice", [("train", ""), ("valid", ""), ("valid", "rare")])
def test_an_unknown_or_rare_speaker_is_measured_by_the_training_split(tmp_path: Path, voice: Voice) -> None:
    clips, voices = everyone()
    few = spoken(5, speakers.LEAST_CLIPS - 1, what=1)
    found = of(clips | few, voices | dict.fromkeys(few, voice))
    counted = clips | (few if voice[0] == "train" else {})
    x = np.concatenate([one.states[:-1] for one in counted.values()]).astype(float)
    clip = next(iter(few))
    expected = (few[clip].states[:-1] - x.mean(axis=0)) / x.std(axis=0)
    assert found.apply(clip, few[clip]).states[:-1] == pytest.approx(expected, abs=1e-4)
    save_file(found.tensors("audio"), tmp_path / speakers.FILE)
    assert speakers.read_usual(tmp_path, ["audio"])["audio"].apply(few[clip]).states[:-1] == pytest.approx(expected, abs=1e-4)


def test_what_hardly_varies_in_a_speaker_is_not_blown_up() -> None:
    clips, voices = everyone()
    flat = {f"4-0-{i}": rows(np.full((4, 3), 7 + 1e-4 * i)) for i in range(6)}
    found = of(clips | flat, voices | dict.fromkeys(flat, ("train", "s4")))
    assert max(np.abs(found.apply(clip_id, x).states).max() for clip_id, x in flat.items()) < 0.01


def test_without_sound_in_training_nothing_is_usual() -> None:
    clips = spoken(1, 2)
    found = of(clips, dict.fromkeys(clips, ("test", "s1")))
    assert all(np.array_equal(found.apply(clip_id, x).states, x.states) for clip_id, x in clips.items())


def test_names_that_differ_in_their_capitals_are_one_speaker(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("clip_id,split,speaker,happy\na,train,Zoé,1\nb,train,ZOÉ,1\nc,,,1\n", encoding="utf-8")
    assert speakers.read_voices(path) == {"a": ("train", "zoé"), "b": ("train", "zoé"), "c": ("other", "")}
