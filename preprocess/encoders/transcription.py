"""Transcription with Whisper: what is said in a sound, if somebody speaks, and if the network is sure of the words.

Whisper writes fluent sentences of noise, and of languages that it does not know. So nothing is transcribed where the voice
activity detector hears nobody, the names of noises ("[BLANK_AUDIO]", "(music)") are no words, and a text is not kept where
the network itself finds its words unlikely, repeats itself, or hears another language than it was asked for.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

import params
from params import ParameterError
from preprocess.encoders.networks import inference, load, preparer
from preprocess.encoders.whisper import languages, listen
from preprocess.media.sound import SAMPLE_RATE, WINDOW, windows
from preprocess.refusals import Code, Refusal
from preprocess.speech import activity, markup, words
from preprocess.speech.characters import in_one_form

MAX_TOKENS = 224  # of a window, half of the decoder's positions
MAX_REPETITION = 2.4  # arXiv 2212.04356, section 4.5
# Least mean log-probability of a text's tokens. Measured with tiny.en: above -0.3 in 95 % of English recordings, below -0.5 in
# those of other languages. Whisper base is less sure: above -0.55 where it hears right in any language, below -0.8 where not.
SURE, SURE_OF_MANY = -0.5, -0.7
UNSURE_WORD = -1.5  # mean log-probability of a word's tokens below which it may not have been said
SURE_OF_LANGUAGE = 0.8  # probability from which another language than the one asked for is believed


@dataclass(frozen=True)
class Heard:
    """What is said in a window of sound."""

    wave: np.ndarray  # (n,) at 16 kHz
    text: str = ""  # "": no words, or none that can be trusted
    scores: list[float] = field(default_factory=list)  # mean log-probability of the tokens of each word of `text`
    doubt: Refusal | None = None  # why there is no text
    states: Tensor | None = None  # (T, D) of the encoder, where there is a text


def transcribe(folder: Path, blocks: Iterable[np.ndarray], device: str, settings: params.Transcripts) -> Iterator[Heard]:
    """The windows of a wave at 16 kHz, cut where it is quietest, and the text of each; the wave comes in consecutive blocks."""
    for wave in windows(blocks, WINDOW - settings.silence):
        if activity.is_spoken(activity.of_wave(wave)):
            yield hear(folder, wave, device, settings)
        else:
            yield Heard(wave, doubt=Refusal(Code.NO_SPEECH, "nobody speaks"))


def hear(folder: Path, wave: np.ndarray, device: str, settings: params.Transcripts) -> Heard:
    """The text of one window, in which somebody speaks.

    Decoding is greedy. A text that compresses too well repeats itself, by Whisper's own measure: it is decoded again with no
    three tokens twice.
    """
    states = listen(folder, wave, settings.silence, device)
    other = other_language(folder, states, device, settings.language)
    if other:
        return Heard(wave, doubt=Refusal(Code.OTHER_LANGUAGE, other))
    longest = min(MAX_TOKENS, 8 + int(settings.tokens_per_second * len(wave) / SAMPLE_RATE))
    text, scores = _decode(folder, states, device, settings.language, max_new_tokens=longest)
    if repetition(text) > MAX_REPETITION:
        text, scores = _decode(folder, states, device, settings.language, max_new_tokens=longest, no_repeat_ngram_size=3)
    text = in_one_form(text, settings.characters)
    heard = judged(wave, text, scores, SURE_OF_MANY if languages_of(folder, device) else SURE)
    return replace(heard, states=states) if heard.text else heard


def judged(wave: np.ndarray, text: str, scores: list[float], sure: float) -> Heard:
    """The words of a decoded text, which has a log-probability for each character, or why they are not kept."""
    spoken = markup.heard_characters(text)
    kept = "".join(letter if of_word else " " for letter, of_word in zip(text, spoken, strict=True))
    if not markup.has_sound(kept):
        foreign = markup.is_foreign(text)
        code = Code.OTHER_LANGUAGE if foreign else Code.NO_SPEECH
        return Heard(wave, doubt=Refusal(code, f"no words were heard: {text.strip()[:40] or 'nothing'}"))
    mean = float(np.mean(scores))
    if repetition(text) > MAX_REPETITION:
        return Heard(wave, doubt=Refusal(Code.UNSURE_TEXT, f"only repetition was heard: {text.strip()[:40]}"))
    if mean < sure:
        detail = f"mean log-probability {mean:.2f}, below {sure}: another language, or speech that is hard to understand"
        return Heard(wave, doubt=Refusal(Code.UNSURE_TEXT, detail))
    of_words = [float(np.mean(scores[match.start() : match.end()])) for match in words.WORD.finditer(kept)]
    return Heard(wave, " ".join(kept.split()), of_words)


@inference()
def _decode(folder: Path, states: Tensor, device: str, language: str, **settings: int) -> tuple[str, list[float]]:
    """The text, and the log-probability of the token of each of its characters."""
    network, tokenizer = load(WhisperForConditionalGeneration, folder, device), preparer(AutoTokenizer, folder)
    output = network.generate(
        encoder_outputs=BaseModelOutput(last_hidden_state=states[None]),
        do_sample=False,
        num_beams=1,
        return_dict_in_generate=True,
        output_logits=True,
        **settings,
        **task_of(network, language),
    )
    tokens = output.sequences[0, -len(output.logits) :]
    likely = torch.cat(output.logits).float().log_softmax(-1).gather(1, tokens[:, None])[:, 0].tolist()
    text, scores = "", list[float]()
    for i, score in enumerate(likely):
        text = tokenizer.decode(tokens[: i + 1], skip_special_tokens=True)
        scores += [score] * (len(text) - len(scores))
    return text, scores[: len(text)]


def languages_of(folder: Path, device: str) -> dict[str, int]:
    """The token of each language that a network knows, as <|en|>; none for a network of English alone."""
    network = load(WhisperForConditionalGeneration, folder, device)
    return getattr(network.generation_config, "lang_to_id", None) or {}


def other_language(folder: Path, states: Tensor, device: str, language: str) -> str:
    """What a multilingual network hears instead of the language that it is asked for; "" where it may be that one."""
    tokens = languages_of(folder, device)
    if language == "auto" or f"<|{language}|>" not in tokens:
        return ""
    heard = languages(load(WhisperForConditionalGeneration, folder, device), states, device)
    best = max(heard, key=lambda name: heard[name])
    if best == f"<|{language}|>" or heard[best] < SURE_OF_LANGUAGE:
        return ""
    return f"{best.strip('<|>')} rather than {language} is spoken, with probability {heard[best]:.2f}"


def task_of(network: WhisperForConditionalGeneration, language: str) -> dict[str, str]:
    """Task and language of `generate`, for a multilingual network; ParameterError for a language that it does not have."""
    tokens = getattr(network.generation_config, "lang_to_id", None) or {}
    if language not in ("auto", "en") and f"<|{language}|>" not in tokens:
        languages = ", ".join(sorted(token.strip("<|>") for token in tokens)) or "en alone"
        raise ParameterError(f"transcripts.language is {language!r}, but models.asr knows {languages}; or write auto")
    if not tokens:
        return {}
    return {"task": "transcribe"} if language == "auto" else {"task": "transcribe", "language": language}


def repetition(text: str) -> float:
    """How many times shorter a text becomes by compression (zlib)."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded))
