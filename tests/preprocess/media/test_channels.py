"""Which sound is heard: the default track that can be decoded, and a mix of its channels that loses none."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from preprocess.media import probe
from preprocess.media.notes import About
from tests import clock
from tests.preprocess.media.test_parts import heard

RATE = 16000
LAYOUTS = ["stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1"]


def level(samples: np.ndarray) -> float:
    """Decibels of full scale."""
    return float(20 * np.log10(np.sqrt(np.square(samples).mean()) + 1e-9))


def codes(path: Path) -> list[str]:
    return [code for code, _ in probe.streams_of(path).notes]


def write(path: Path, channels: list[np.ndarray], layout: str = "") -> Path:
    """A sound of some channels, whose places the file names where there is a layout."""
    bare = path.with_name("bare.wav")
    soundfile.write(bare, np.stack(channels, axis=1), RATE, subtype="FLOAT")
    clock.ffmpeg(*(["-channel_layout", layout] if layout else []), "-i", bare, "-c:a", "pcm_f32le", path)
    return bare if not layout else path


@pytest.mark.parametrize("layout", ["", "stereo"])
def test_a_side_that_is_inverted_does_not_silence_the_other(tmp_path: Path, layout: str) -> None:
    wave = clock.wave(3.0, RATE)
    source = write(tmp_path / "a.wav", [wave, -wave], layout)
    samples = heard(source, 0.0, 3.0, tmp_path / "a.flac")
    assert level(samples) == pytest.approx(level(wave), abs=0.5)
    assert clock.drift(samples, 0.0) < 0.01
    assert codes(source) == [About.SOUND_CHANNEL]


@pytest.mark.parametrize("count", [2, 3, 4, 6, 8, 10, 12])
def test_no_channel_is_lost_where_the_file_does_not_say_which_is_which(tmp_path: Path, count: int) -> None:
    wave = clock.wave(1.0, RATE)
    for speaking in range(count) if count < 6 else (0, 3, count // 2, count - 1):
        source = write(tmp_path / "a.wav", [wave * (i == speaking) for i in range(count)])
        samples = heard(source, 0.0, 1.0, tmp_path / "a.flac")
        assert level(samples) > level(wave) - 6.5
        assert codes(source) == [About.SOUND_CHANNEL]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_channel_is_lost_where_the_file_says_which_is_which(tmp_path: Path, layout: str) -> None:
    """The one of low frequencies, which a standard mix leaves out, included."""
    wave, count = clock.wave(1.0, RATE), clock.CHANNELS[layout]
    for speaking in range(count):
        source = write(tmp_path / "a.wav", [wave * (i == speaking) for i in range(count)], layout)
        assert level(heard(source, 0.0, 1.0, tmp_path / "a.flac")) > level(wave) - 6.5


@pytest.mark.parametrize("count", [2, 3, 4, 6, 8, 10, 12])
def test_channels_that_say_the_same_are_mixed(tmp_path: Path, count: int) -> None:
    wave = clock.wave(1.0, RATE)
    source = write(tmp_path / "a.wav", [wave] * count)
    assert level(heard(source, 0.0, 1.0, tmp_path / "a.flac")) == pytest.approx(level(wave), abs=0.5)
    assert codes(source) == []


def test_two_voices_on_two_sides_are_both_heard(tmp_path: Path) -> None:
    left, right = clock.wave(3.0, RATE), clock.wave(3.0, RATE)
    left[RATE:], right[: 2 * RATE] = 0, 0
    source = write(tmp_path / "a.wav", [left, right], "stereo")
    samples = heard(source, 0.0, 3.0, tmp_path / "a.flac")
    assert [clock.moment(samples, at) for at in (0.5, 2.5)] == pytest.approx([0.5, 2.5], abs=0.01)


def test_a_voice_late_in_a_long_sound_decides_on_its_channel(tmp_path: Path) -> None:
    wave = np.zeros(1300 * 1000, np.float32)
    wave[1200 * 1000 :] = np.sin(np.arange(100 * 1000) * 0.8)
    soundfile.write(tmp_path / "a.flac", np.stack([wave, -wave], axis=1), 1000)
    assert codes(tmp_path / "a.flac") == [About.SOUND_CHANNEL]


def tracks(path: Path, default: int) -> Path:
    """A film of two sound tracks, of which the first says 100 s and later, the second 0 s and later."""
    for i, begin in enumerate((100.0, 0.0)):
        soundfile.write(path.with_name(f"{i}.wav"), clock.wave(3.0, 48000, begin), 48000)
    inputs = ["-f", "lavfi", "-i", "testsrc=d=3", "-i", path.with_name("0.wav"), "-i", path.with_name("1.wav")]
    flags = ["-disposition:a:0", "default" if default == 0 else "0", "-disposition:a:1", "default" if default else "0"]
    clock.ffmpeg(*inputs, "-map", "0", "-map", "1", "-map", "2", "-c:a:0", "aac", "-c:a:1", "flac", *flags, path)
    return path


@pytest.mark.parametrize(("default", "begin"), [(0, 100.0), (1, 0.0)])
def test_the_default_track_is_heard(tmp_path: Path, default: int, begin: float) -> None:
    source = tracks(tmp_path / "a.mkv", default)
    assert clock.drift(heard(source, 0.0, 3.0, tmp_path / "a.flac"), begin) < 0.05
    assert codes(source) == []


@pytest.mark.parametrize("codec", [b"A_XXX", b"A_AC3"])
def test_where_the_default_track_cannot_be_decoded_the_next_one_is_heard_and_noted(tmp_path: Path, codec: bytes) -> None:
    """One codec that nobody knows, and one that the packets are not of."""
    source = tracks(tmp_path / "a.mkv", 0)
    source.write_bytes(source.read_bytes().replace(b"A_AAC", codec))
    assert clock.drift(heard(source, 0.0, 3.0, tmp_path / "a.flac"), 0.0) < 0.05
    assert codes(source) == [About.SOUND_TRACK]
