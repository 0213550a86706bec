"""What is decided before a clip is made, on the corpus as large as it is by default."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

import params
from sample.emotion import LABELS
from sample.plan import Clip, plan
from sample.speaker import CHANNELS
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def settings() -> params.Sample:
    return params.load(ROOT / "params.yaml").sample


@pytest.fixture(scope="module")
def clips(settings: params.Sample) -> list[Clip]:
    return plan(settings)


def present(clips: list[Clip]) -> np.ndarray:
    return np.array([clip.intensities for clip in clips]) > 0


def test_another_seed_is_another_corpus(settings: params.Sample, clips: list[Clip]) -> None:
    assert plan(settings) == clips
    assert plan(settings.model_copy(update={"seed": settings.seed + 1})) != clips


def test_a_speaker_has_one_split_and_everyone_speaks_equally_often(clips: list[Clip]) -> None:
    assert len({(clip.speaker.name, clip.speaker.split) for clip in clips}) == len({clip.speaker.name for clip in clips}) == 20
    assert len(set(Counter(clip.speaker.name for clip in clips).values())) == 1
    assert Counter(clip.speaker.split for clip in clips) == {"train": 360, "valid": 120, "test": 120}


def test_every_label_is_several_times_in_every_split(clips: list[Clip]) -> None:
    for split in ("train", "valid", "test"):
        assert present([clip for clip in clips if clip.speaker.split == split]).sum(0).min() >= 5


def test_labels_are_as_frequent_as_in_mosei(clips: list[Clip]) -> None:
    mosei = {"happy": 0.53, "sad": 0.26, "anger": 0.22, "surprise": 0.10, "disgust": 0.18, "fear": 0.08}
    shares = dict(zip(LABELS, present(clips).mean(0), strict=True))
    assert shares == pytest.approx(mosei, abs=0.05)


def test_labels_come_up_to_three_at_a_time_and_together_as_in_mosei(clips: list[Clip]) -> None:
    found = present(clips)
    assert set(found.sum(1)) == {0, 1, 2, 3}
    happy, anger, disgust = (found[:, LABELS.index(name)] for name in ("happy", "anger", "disgust"))
    assert disgust[anger].mean() > 1.5 * disgust.mean() > 3 * disgust[happy].mean()


def test_intensities_are_thirds_up_to_three(clips: list[Clip]) -> None:
    steps = np.array([clip.intensities for clip in clips]) * 3
    assert np.allclose(steps, np.rint(steps))
    assert steps.max() <= 9
    assert len(np.unique(np.rint(steps))) >= 6


def test_noise_is_often_absent_else_spread_and_of_every_kind(clips: list[Clip]) -> None:
    for channel in CHANNELS:
        levels = np.array([clip.noise[channel] for clip in clips])
        assert 0.3 < (levels == 0).mean() < 0.5
        assert levels.min() >= 0
        assert levels.max() <= 1
        assert np.histogram(levels[levels > 0], 4, (0, 1))[0].min() > 30
        assert min(Counter(clip.kind[channel] for clip in clips).values()) > 60


def test_noise_of_one_channel_says_nothing_of_another_or_of_the_labels(clips: list[Clip]) -> None:
    levels = np.array([[clip.noise[channel] for channel in CHANNELS] for clip in clips])
    found = present(clips)
    for one, other in combinations(range(3), 2):
        assert abs(np.corrcoef(levels[:, one], levels[:, other])[0, 1]) < 0.15
    assert np.abs(np.corrcoef(levels.T, found.T)[:3, 3:]).max() < 0.2


def test_a_quarter_of_the_texts_or_more_is_left_blank_in_every_split(clips: list[Clip]) -> None:
    for split in ("train", "valid", "test"):
        assert np.mean([clip.blank for clip in clips if clip.speaker.split == split]) >= 0.25


def test_a_clip_is_the_same_in_a_larger_corpus_but_for_its_labels(settings: params.Sample, clips: list[Clip]) -> None:
    larger = plan(settings.model_copy(update={"clips": 2 * settings.clips}))
    assert [clip.speaker for clip in larger[: len(clips)]] == [clip.speaker for clip in clips]


def test_people_look_and_sound_different(clips: list[Clip]) -> None:
    people = list({clip.speaker.name: clip.speaker for clip in clips}.values())
    pitches = sorted(person.voice.pitch for person in people)
    assert min(np.diff(pitches)) > 0.01
    assert pitches[-1] / pitches[0] > 1.7
    assert len({person.face.skin for person in people}) == len({person.background for person in people}) == len(people)
