import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.audit import marks, signal
from preprocess.audit.audit import CLIPPED, DENSE
from preprocess.media.sound import SAMPLE_RATE


def noise(seed: int, seconds: float = 3.0) -> np.ndarray:
    """Noise whose loudness changes as that of speech does."""
    rng = np.random.default_rng(seed)
    count = int(seconds * SAMPLE_RATE)
    knots = np.arange(0, count + 2000, 2000)
    swell = np.interp(np.arange(count), knots, rng.uniform(0.3, 1, len(knots)))
    return (0.1 * swell * rng.standard_normal(count)).astype(np.float32)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.floats(0.05, 1.0))
def test_peaks_that_are_cut_off_are_seen_at_every_level(seed: int, level: float) -> None:
    wave = noise(seed)
    limit = float(np.quantile(np.abs(wave), 0.6))
    assert signal.of_wave(level * wave).clipped < CLIPPED
    assert signal.of_wave(level * np.clip(wave, -limit, limit)).clipped > CLIPPED


def test_peaks_are_seen_to_be_cut_off_when_a_codec_has_rounded_them() -> None:
    loud = np.random.default_rng(1).standard_normal(3 * SAMPLE_RATE)
    cut = np.clip(loud, -1, 1) * (1 + 0.15 * np.random.default_rng(2).standard_normal(len(loud)))
    assert signal.of_wave(loud.astype(np.float32)).dense < DENSE
    found = signal.of_wave(cut.astype(np.float32))
    assert found.dense > DENSE


def test_a_sound_that_breaks_off_softly_is_seen() -> None:
    """As a codec leaves it: what comes before the gap ends within 40 ms."""
    wave = noise(1)
    wave[SAMPLE_RATE : 2 * SAMPLE_RATE] = 0
    wave[SAMPLE_RATE - 640 : SAMPLE_RATE] *= np.linspace(1, 0, 640, dtype=np.float32)
    wave[2 * SAMPLE_RATE : 2 * SAMPLE_RATE + 640] *= np.linspace(0, 1, 640, dtype=np.float32)
    assert len(signal.of_wave(wave).gaps) == 1


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.floats(0.2, 2.0), st.floats(0.2, 1.0))
def test_a_sound_that_breaks_off_is_seen_where_it_does(seed: int, start: float, length: float) -> None:
    wave = noise(seed)
    assert signal.of_wave(wave).gaps == []
    wave[int(start * SAMPLE_RATE) : int((start + length) * SAMPLE_RATE)] = 0
    ((first, last),) = signal.of_wave(wave).gaps
    assert abs(first - start) <= 0.02
    assert abs(last - min(3.0, start + length)) <= 0.02


def test_silence_that_comes_slowly_is_no_fault() -> None:
    wave = noise(1)
    wave[SAMPLE_RATE:] *= np.exp(-np.arange(2 * SAMPLE_RATE) / 1000).astype(np.float32)
    assert signal.of_wave(wave).gaps == []


def test_an_empty_sound_has_a_signal() -> None:
    assert signal.of_wave(np.zeros(0, np.float32)).level == 0
    assert marks.of_wave(np.zeros(10, np.float32)) == []


def test_a_copy_at_another_level_from_a_later_start_is_found_and_another_sound_is_not() -> None:
    waves = {"a": noise(1), "b": noise(2), "copy": 0.3 * noise(1)[2100:], "c": noise(3)}
    found = marks.copies({name: marks.of_wave(wave.astype(np.float32)) for name, wave in waves.items()})
    assert [(first, second) for first, second, _ in found] == [("a", "copy")]
    assert abs(found[0][2] + 2100 / SAMPLE_RATE) <= 0.03
