"""What a corruption of sound does is what was asked for: measured on known waves."""

import numpy as np
import pytest

from robustness import sound
from robustness.kinds import KINDS

RATE = 16000
SECONDS = 2.0
VOICE = (0.2 * np.sin(2 * np.pi * 440 * np.arange(int(SECONDS * RATE)) / RATE)).astype(np.float32)
OTHERS = [np.random.default_rng(i).standard_normal(9000).astype(np.float32) * 0.1 * (i + 1) for i in range(4)]
FIXED = ("telephone", "clipping")  # have nothing to draw
SOUNDS = [name for name, kind in KINDS.items() if kind.modality == "audio"]


def power(wave: np.ndarray) -> float:
    return float(np.mean(np.square(wave, dtype=np.float64)))


def corrupted(kind: str, strength: float, wave: np.ndarray = VOICE, seed: int = 0) -> np.ndarray:
    return sound.corrupted(wave, RATE, kind, strength, np.random.default_rng(seed), OTHERS)


@pytest.mark.parametrize("kind", SOUNDS)
@pytest.mark.parametrize("level", [1, 5])
def test_a_corruption_keeps_the_length_repeats_and_depends_on_the_seed(kind: str, level: int) -> None:
    strength = KINDS[kind].strength(level)
    first = corrupted(kind, strength)
    assert first.shape == VOICE.shape
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert not np.array_equal(first, VOICE)
    assert np.array_equal(first, corrupted(kind, strength))
    assert np.array_equal(first, corrupted(kind, strength, seed=1)) == (kind in FIXED)


@pytest.mark.parametrize("kind", SOUNDS)
def test_silence_stays_silent(kind: str) -> None:
    assert not corrupted(kind, KINDS[kind].strength(5), np.zeros_like(VOICE)).any()


@pytest.mark.parametrize("kind", ["noise", "babble"])
@pytest.mark.parametrize("ratio", KINDS["noise"].strengths)
def test_noise_is_as_loud_as_was_asked(kind: str, ratio: float) -> None:
    added = corrupted(kind, ratio).astype(np.float64) - VOICE
    assert 10 * np.log10(power(VOICE) / power(added)) == pytest.approx(ratio, abs=0.05)


def test_each_voice_of_babble_is_equally_loud() -> None:
    total = sound.babble(OTHERS, len(VOICE), np.random.default_rng(0))
    assert power(total) == pytest.approx(len(OTHERS), rel=0.05)


def test_an_echo_fades_by_60_decibels_in_the_seconds_that_were_asked_for() -> None:
    click = np.zeros(int(SECONDS * RATE), np.float32)
    click[0] = 1.0
    room = corrupted("reverberation", 1.0, click)
    assert room.argmax() == 0
    early, late = power(room[100 : RATE // 10]), power(room[RATE // 2 : RATE // 2 + RATE // 10])
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=3)
    assert power(room) == pytest.approx(power(click), rel=1e-3)


@pytest.mark.parametrize(("hertz", "stays"), [(100, False), (1000, True), (6000, False)])
def test_a_telephone_lets_voices_through_and_nothing_else(hertz: int, stays: bool) -> None:
    tone = (0.2 * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)).astype(np.float32)
    left = power(corrupted("telephone", 3400.0, tone)[RATE // 4 :]) / power(tone)
    assert (left > 0.9) if stays else (left < 1e-3)


def test_a_telephone_of_more_hertz_than_the_sound_has_takes_low_ones_alone() -> None:
    assert np.isfinite(sound.corrupted(VOICE, 4000, "telephone", 3400.0, np.random.default_rng(0))).all()


def test_clipping_cuts_at_a_share_of_the_peak_and_keeps_the_loudness() -> None:
    wave = VOICE * np.linspace(0, 1, len(VOICE), dtype=np.float32)
    cut = corrupted("clipping", 0.1, wave)
    assert power(cut) == pytest.approx(power(wave), rel=1e-4)
    flat = np.abs(cut) >= np.abs(cut).max() * 0.9999
    assert flat.mean() == pytest.approx((np.abs(wave) >= 0.1 * np.abs(wave).max()).mean(), abs=0.01)


@pytest.mark.parametrize("share", KINDS["dropouts"].strengths)
def test_so_much_of_the_time_is_silent(share: float) -> None:
    assert (corrupted("dropouts", share, np.ones_like(VOICE)) == 0).mean() == pytest.approx(share, abs=0.001)


def test_a_wave_at_another_rate_keeps_its_seconds() -> None:
    assert sound.at_rate(VOICE, RATE, 24000).shape == (48000,)
    assert sound.at_rate(VOICE, RATE, RATE) is VOICE
