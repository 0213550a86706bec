"""Whisper: transcription, and states of its encoder, at a clip's own length.

The stock encoder insists on 30 s, so a clip of 3 s would pay for ten. Its layers do not: with the first positions alone
they give states for any shorter input. The decoder, though, needs silence behind the speech to know where it ends.
"""

import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

import params
from params import ParameterError, Precision
from preprocess.encoders.networks import load, preparer
from preprocess.media.sound import SAMPLE_RATE

WINDOW = 30.0  # seconds, the longest input
MAX_TOKENS = 224  # of a window, half of the decoder's positions
MAX_REPETITION = 2.4  # arXiv 2212.04356, section 4.5
SILENCE = 0.001  # peak amplitude below which nothing can have been said
STATE = 0.02  # seconds that one encoder state covers: two mel frames of 10 ms


def mel(folder: Path, wave: np.ndarray, device: str) -> Tensor:
    """Log-mel spectrogram (1, bins, frames) of a wave (n,) at 16 kHz, 10 ms a frame."""
    extractor = preparer(WhisperFeatureExtractor, folder)
    found = extractor(wave, sampling_rate=SAMPLE_RATE, padding="longest", return_tensors="pt")
    return found.input_features.to(device)


@torch.inference_mode()
def encode(
    folder: Path, spectrograms: list[Tensor], device: str, layer: int = -1, precision: Precision = "float32"
) -> list[Tensor]:
    """Encoder states (frames / 2, width) float32 of log-mel spectrograms (1, bins, frames), read together.

    `layer` -1: after the last one and its norm. Where lengths differ, a shorter one neither sees what follows it nor is
    seen by it.
    """
    encoder = load(WhisperForConditionalGeneration, folder, device, precision).get_encoder()
    lengths = torch.tensor([spectrogram.shape[-1] for spectrogram in spectrograms], device=device)
    padded = pad_sequence([spectrogram[0].T for spectrogram in spectrograms], batch_first=True).transpose(1, 2)
    hidden = torch.nn.functional.gelu(encoder.conv1(padded.to(encoder.conv1.weight.dtype)))
    hidden = hidden * (torch.arange(hidden.shape[-1], device=device) < lengths[:, None])[:, None]
    hidden = torch.nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    counts = (lengths + 1) // 2  # the second convolution takes every other frame
    mask = None
    if counts.min() < hidden.shape[1]:
        beyond = torch.arange(hidden.shape[1], device=device) >= counts[:, None]
        mask = torch.zeros_like(beyond, dtype=hidden.dtype).masked_fill(beyond, torch.finfo(hidden.dtype).min)[:, None, None]
    states = [hidden]
    for block in encoder.layers:
        found = block(states[-1], mask)
        states.append(found[0] if isinstance(found, tuple) else found)
    states[-1] = encoder.layer_norm(states[-1])
    return [own[:count].float() for own, count in zip(states[layer], counts.tolist(), strict=True)]


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


def windows(blocks: Iterable[np.ndarray], longest: float) -> Iterator[np.ndarray]:
    """Cut a wave into parts of at most `longest` seconds, each cut at the quietest 0.1 s of the part's last fifth."""
    rest, most, hop = np.zeros(0, np.float32), int(longest * SAMPLE_RATE), SAMPLE_RATE // 10
    for block in blocks:
        rest = np.concatenate([rest, block])
        while len(rest) > most:
            tail = rest[most - most // 5 : most]
            energy = np.square(tail[: len(tail) // hop * hop].astype(np.float64)).reshape(-1, hop).mean(1)
            cut = most - most // 5 + int(energy.argmin()) * hop + hop // 2
            yield rest[:cut]
            rest = rest[cut:]
    yield rest
