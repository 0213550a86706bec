"""What is said in a sound, by Whisper.

Its decoder needs silence behind the speech to know where it ends.
"""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

import params
from params import ParameterError
from preprocess.encoders.networks import load, preparer
from preprocess.encoders.whisper import encode, mel
from preprocess.media.sound import SAMPLE_RATE, WINDOW, windows

MAX_TOKENS = 224  # of a window, half of the decoder's positions
MAX_REPETITION = 2.4  # arXiv 2212.04356, section 4.5
SILENCE = 0.001  # peak amplitude below which nothing can have been said


def transcribe(
    folder: Path, blocks: Iterable[np.ndarray], device: str, settings: params.Transcripts
) -> Iterator[tuple[np.ndarray, str]]:
    """A wave at 16 kHz, which comes in consecutive blocks, in windows cut where it is quietest, and what is said in each.

    Decoded greedily. In noise the decoder may fall into a loop. A text that compresses too well is one, by Whisper's own
    measure; it is decoded again with no three tokens twice.
    """
    quiet = np.zeros(int(settings.silence * SAMPLE_RATE), np.float32)
    for part in windows(blocks, WINDOW - settings.silence):
        if np.abs(part).max(initial=0.0) < SILENCE:
            yield part, ""
            continue
        (states,) = encode(folder, [mel(folder, np.concatenate([part, quiet]), device)], device)
        longest = min(MAX_TOKENS, 8 + int(settings.tokens_per_second * len(part) / SAMPLE_RATE))
        text = _decode(folder, states, device, settings.language, max_new_tokens=longest)
        if repetition(text) > MAX_REPETITION:
            text = _decode(folder, states, device, settings.language, max_new_tokens=longest, no_repeat_ngram_size=3)
        yield part, text


@torch.inference_mode()
def _decode(folder: Path, states: Tensor, device: str, language: str, **settings: int) -> str:
    network, tokenizer = load(WhisperForConditionalGeneration, folder, device), preparer(AutoTokenizer, folder)
    asked = task_of(network, language)
    given = BaseModelOutput(last_hidden_state=states[None])
    tokens = network.generate(encoder_outputs=given, do_sample=False, num_beams=1, **settings, **asked)
    return tokenizer.decode(tokens[0], skip_special_tokens=True).strip()


def task_of(network: WhisperForConditionalGeneration, language: str) -> dict[str, str]:
    """What a multilingual network has to be asked for; ParameterError for a language that the network does not know."""
    known = getattr(network.generation_config, "lang_to_id", None) or {}
    if language not in ("auto", "en") and f"<|{language}|>" not in known:
        languages = ", ".join(sorted(token.strip("<|>") for token in known)) or "en alone"
        raise ParameterError(f"transcripts.language is {language!r}, but models.asr knows {languages}; or write auto")
    if not known:
        return {}
    return {"task": "transcribe"} if language == "auto" else {"task": "transcribe", "language": language}


def repetition(text: str) -> float:
    """How many times shorter a text gets when it is compressed."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded))
