"""A long recording becomes utterances: all that is said, in pieces of 1 to 15 seconds, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import params
from preprocess.media import probe
from preprocess.speech import pauses
from preprocess.speech.activity import HOP
from preprocess.speech.pauses import Activity
from tests.preprocess import voice
from tests.preprocess.voice import RATE

SENTENCES = [
    "I have had enough of this.",
    "They do it every week.",
    "It was around noon.",
    "She laughed and danced.",
    "Go home now.",
]


def activity(speech: np.ndarray, power: np.ndarray | None = None) -> Activity:
    return Activity(speech, np.zeros(len(speech)) if power is None else power, len(speech) * HOP)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 800), st.booleans()), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_utterances_last_1_to_15_seconds_and_lose_no_speech(parts: list[tuple[int, bool]], seed: int) -> None:
    speech = np.concatenate([np.full(length, 0.9 if spoken else 0.1) for length, spoken in parts])
    speech += np.random.default_rng(seed).normal(0, 0.02, len(speech))
    spans = pauses.utterances(activity(speech))
    edges = np.array([time for span in spans for time in span])
    assert (np.diff(edges) >= 0).all()
    assert not len(edges) or (edges[0] >= 0 and edges[-1] <= len(speech) * HOP + 1e-6)
    for start, end in spans:
        assert min(pauses.SHORTEST, len(speech) * HOP) - 1e-3 <= end - start <= pauses.LONGEST + 1e-3
    runs = np.split(np.arange(len(speech)), np.flatnonzero(np.diff(speech > 0.5)) + 1)
    for run in runs:
        if speech[run[0]] > 0.5 and len(run) * HOP >= pauses.LEAST:
            assert all(any(start - 1e-3 <= frame * HOP < end + 1e-3 for start, end in spans) for frame in run)


def test_where_nobody_speaks_there_is_no_utterance() -> None:
    assert pauses.utterances(activity(np.full(3000, 0.2))) == []
    assert pauses.utterances(activity(np.zeros(0))) == []


def test_long_speech_is_cut_where_it_pauses_and_else_where_it_is_quietest() -> None:
    speech, power = np.ones(800), np.ones(800)
    power[300] = 0.1
    assert pauses.utterances(activity(speech, power))[0][1] == pytest.approx(300 * HOP, abs=1e-3)
    speech[400] = 0.5
    assert pauses.utterances(activity(speech, power))[0][1] == pytest.approx(400 * HOP, abs=1e-3)


@pytest.mark.slow
def test_five_sentences_in_a_noisy_hour_are_five_utterances(tmp_path: Path) -> None:
    """Five minutes here stand for the hour: noise and music louder than the speech between them."""
    wave = np.concatenate([voice.noise(100, 0.003, 1), 0.5 * voice.music(20), voice.hum(30), voice.noise(150, 0.003, 1)])
    begins = [int(seconds * RATE) for seconds in (5, 30, 90, 200, 280)]
    for begin, sentence in zip(begins, SENTENCES, strict=True):
        said = voice.say(sentence)
        wave[begin : begin + len(said)] += said
    soundfile.write(tmp_path / "long.flac", np.clip(wave, -1, 1), RATE)
    spans = pauses.utterances(pauses.activity_of(tmp_path / "long.flac", len(wave) / RATE, params.load().decoder))
    assert len(spans) == len(SENTENCES)
    for (start, end), begin, sentence in zip(spans, begins, SENTENCES, strict=True):
        assert start == pytest.approx(begin / RATE, abs=0.6)
        assert end == pytest.approx((begin + len(voice.say(sentence))) / RATE, abs=0.8)


def test_a_long_recording_whose_sides_cancel_is_cut_all_the_same(tmp_path: Path) -> None:
    wave = np.zeros(40 * RATE, np.float32)
    for begin in (3, 30):
        said = voice.say(SENTENCES[0])
        wave[begin * RATE : begin * RATE + len(said)] += said
    source = tmp_path / "inverted.flac"
    soundfile.write(source, np.stack([wave, -wave], axis=1), RATE)
    streams = probe.streams_of(source)
    activity = pauses.activity_of(source, streams.duration, params.load().decoder, streams.reading)
    assert [start for start, _ in pauses.utterances(activity)] == pytest.approx([3, 30], abs=0.6)
