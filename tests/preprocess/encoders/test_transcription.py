"""What Whisper hears, and when it is believed."""

from pathlib import Path

import numpy as np
import pytest

import params
from preprocess.encoders import transcription
from preprocess.encoders.transcription import SURE
from preprocess.refusals import Code, Refusal
from preprocess.speech.words import split
from preprocess.stages import transcripts
from tests.preprocess import voice

SETTINGS = params.Transcripts(
    language="auto", aligner="pocketsphinx", characters="as_written", silence=10.0, tokens_per_second=10.0
)
WAVE = np.zeros(16000, np.float32)


def judged(text: str, score: float = -0.1) -> transcription.Heard:
    return transcription.judged(WAVE, text, [score] * len(text), SURE)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[BLANK_AUDIO]", Code.NO_SPEECH),
        ("(upbeat music)", Code.NO_SPEECH),
        ("*laughs*", Code.NO_SPEECH),
        (" [", Code.NO_SPEECH),
        ("( ( ( ( ( ( (", Code.NO_SPEECH),
        ("♪ ♪", Code.NO_SPEECH),
        ("...", Code.NO_SPEECH),
        ("", Code.NO_SPEECH),
        ("(speaking in foreign language)", Code.OTHER_LANGUAGE),
        ("and we did the first time, " * 20, Code.UNSURE_TEXT),
    ],
)
def test_noises_are_no_words(text: str, code: Code) -> None:
    heard = judged(text)
    assert not heard.text
    assert heard.doubt
    assert heard.doubt.code == code


def test_the_words_between_noises_are_kept_with_a_score_each() -> None:
    heard = judged("(music) Hello  [laughs] there.")
    assert heard.text == "Hello there."
    assert heard.scores == pytest.approx([-0.1, -0.1])
    assert heard.doubt is None


def test_a_text_that_the_network_finds_unlikely_is_not_kept() -> None:
    assert judged("So what this is looking to find", SURE + 0.05).text
    heard = judged("So what this is looking to find", SURE - 0.05)
    assert not heard.text
    assert heard.doubt
    assert heard.doubt.code == Code.UNSURE_TEXT


def transcribed(models: Path, wave: np.ndarray) -> list[transcription.Heard]:
    return list(transcription.transcribe(models / "asr", [wave], "cpu", SETTINGS))


def test_english_is_heard_and_the_network_is_sure_of_every_word(models: Path) -> None:
    (heard,) = transcribed(models, voice.say("I have had enough of this."))
    assert heard.text == "I have had enough of this."
    assert len(heard.scores) == len(split(heard.text))
    assert min(heard.scores) > -1


@pytest.mark.parametrize("kind", voice.SILENT)
def test_noise_music_and_silence_have_no_words(models: Path, kind: str) -> None:
    (heard,) = transcribed(models, voice.SILENT[kind]())
    assert not heard.text
    assert heard.doubt
    assert heard.doubt.code == Code.NO_SPEECH


@pytest.mark.parametrize(
    "text", ["We were walking home when it started to rain.", "She laughed and danced with her friends all night."]
)
def test_speech_that_is_no_english_has_no_words(models: Path, text: str) -> None:
    """Speech played backwards has the sounds of a voice and the words of no language."""
    (heard,) = transcribed(models, voice.say(text)[::-1].copy())
    assert not heard.text
    assert heard.doubt
    assert heard.doubt.code in (Code.UNSURE_TEXT, Code.OTHER_LANGUAGE)


def test_of_several_reasons_the_one_about_speech_is_given() -> None:
    silence, doubt = Refusal(Code.NO_SPEECH, "nobody speaks"), Refusal(Code.UNSURE_TEXT, "unclear")
    assert transcripts.most_telling([silence, doubt, silence]) is doubt
    assert transcripts.most_telling([silence]) is silence
    assert transcripts.most_telling([]).code == Code.NO_SPEECH
