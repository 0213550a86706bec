"""What is said in a sound, by Whisper.

Its decoder needs silence behind the speech to know where it ends.
"""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from torch import Tensor
from transformers import AutoTokenizer, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

import params
from params import ParameterError
from preprocess.encoders.networks import inference, load, preparer
from preprocess.encoders.whisper import encode, mel
from preprocess.media.sound import SAMPLE_RATE, WINDOW, windows

MAX_TOKENS = 224  # of a window, half of the decoder's positions
MAX_REPETITION = 2.4  # arXiv 2212.04356, section 4.5
SILENCE = 0.001  # peak amplitude below which nothing can have been said


def transcribe(
    folder: Path, blocks: Iterable[np.ndarray], device: str, settings: params.Transcripts
) -> Iterator[tuple[np.ndarray, str]]:
    """The windows of a wave at 16 kHz, cut where it is quietest, and the text of each; the wave comes in consecutive blocks.

    Decoding is greedy. In noise the decoder may repeat itself for ever. By Whisper's own measure it does so where the text
    compresses too well; that window is decoded again with no three tokens twice.
    """
    quiet = np.zeros(int(settings.silence * SAMPLE_RATE), np.float32)
    for wave in windows(blocks, WINDOW - settings.silence):
        if np.abs(wave).max(initial=0.0) < SILENCE:
            yield wave, ""
            continue
        (states,) = encode(folder, [mel(folder, np.concatenate([wave, quiet]), device)], device)
        longest = min(MAX_TOKENS, 8 + int(settings.tokens_per_second * len(wave) / SAMPLE_RATE))
        text = _decode(folder, states, device, settings.language, max_new_tokens=longest)
        if repetition(text) > MAX_REPETITION:
            text = _decode(folder, states, device, settings.language, max_new_tokens=longest, no_repeat_ngram_size=3)
        yield wave, text


@inference()
def _decode(folder: Path, states: Tensor, device: str, language: str, **settings: int) -> str:
    network, tokenizer = load(WhisperForConditionalGeneration, folder, device), preparer(AutoTokenizer, folder)
    encoded = BaseModelOutput(last_hidden_state=states[None])
    task = task_of(network, language)
    tokens = network.generate(encoder_outputs=encoded, do_sample=False, num_beams=1, **settings, **task)
    return tokenizer.decode(tokens[0], skip_special_tokens=True).strip()


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
