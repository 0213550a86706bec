"""Voice activity: voices are heard, low and high, and nothing else is."""

import subprocess
import sys

import numpy as np
import pytest

from preprocess.speech import activity
from tests.conftest import ROOT
from tests.preprocess import voice
from tests.preprocess.voice import RATE

SENTENCE = "I paid for seventeen pencils yesterday."


@pytest.mark.parametrize("kind", voice.SILENT)
def test_nobody_speaks_in_noise_music_and_silence(kind: str) -> None:
    assert not activity.is_spoken(activity.of_wave(voice.SILENT[kind]()))


@pytest.mark.parametrize("level", [1.0, 0.05])
@pytest.mark.parametrize("speed", [0.8, 1.0, 2.2])
def test_a_voice_is_heard_low_and_high_loud_and_quiet(level: float, speed: float) -> None:
    assert activity.is_spoken(activity.of_wave(level * voice.say(SENTENCE, speed)))


def test_a_single_word_is_speech_and_a_click_is_none() -> None:
    click = np.zeros(RATE, np.float32)
    click[5000] = 1
    assert activity.is_spoken(activity.of_wave(voice.say("No!")))
    assert not activity.is_spoken(activity.of_wave(click))


def test_speech_is_where_it_is_said_on_both_sides_of_a_border_between_blocks() -> None:
    block = activity.BLOCK * activity.FRAME
    spoken = voice.say(SENTENCE)
    wave = np.concatenate([np.zeros(block - len(spoken) // 2, np.float32), spoken, np.zeros(RATE, np.float32)])
    speech = activity.of_wave(wave)
    assert len(speech) == -(-len(wave) // activity.FRAME)
    begin, end = (len(wave) - RATE - len(spoken)) / RATE, (len(wave) - RATE) / RATE
    assert activity.is_spoken_from(speech, begin, end)
    assert not activity.is_spoken_from(speech, 0, begin - 0.3)
    middle = slice(activity.BLOCK - 10, activity.BLOCK + 10)
    assert (speech[middle] >= activity.SPEECH).mean() > 0.8


@pytest.mark.parametrize("samples", [0, 1, 511, 513])
def test_a_sound_of_any_length_has_a_probability_for_each_frame(samples: int) -> None:
    assert len(activity.of_wave(np.zeros(samples, np.float32))) == -(-samples // activity.FRAME)


def test_another_network_than_the_pinned_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "SHA256", "0" * 64)
    with pytest.raises(ImportError, match=r"install the versions of constraints\.txt"):
        activity.network.__wrapped__()


def test_listening_loads_no_torch() -> None:
    code = "import sys, numpy; from preprocess.speech import activity; activity.of_wave(numpy.zeros(9999, 'f4'))"
    subprocess.run([sys.executable, "-c", code + "; assert 'torch' not in sys.modules"], check=True, cwd=ROOT)
