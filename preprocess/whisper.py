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
from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from preprocess.networks import load, preparer
from preprocess.sound import SAMPLE_RATE

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
def encode(folder: Path, spectrogram: Tensor, device: str, layer: int = -1) -> Tensor:
    """Encoder states (1, frames / 2, width) of a hidden layer; -1: after the last one and its norm."""
    encoder = load(WhisperForConditionalGeneration, folder, device).get_encoder()
    hidden = torch.nn.functional.gelu(encoder.conv1(spectrogram))
    hidden = torch.nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    states = [hidden]
    for block in encoder.layers:
        found = block(states[-1], None)
        states.append(found[0] if isinstance(found, tuple) else found)
    states[-1] = encoder.layer_norm(states[-1])
    return states[layer]


def transcribe(
    folder: Path, blocks: Iterable[np.ndarray], device: str, silence: float, tokens_per_second: float
) -> Iterator[tuple[np.ndarray, str]]:
    """A wave at 16 kHz, which comes in consecutive blocks, in windows cut where it is quietest, and what is said in each.

    Decoded greedily. In noise the decoder may fall into a loop. A text that compresses too well is one, by Whisper's own
    measure; it is decoded again with no three tokens twice.
    """
    quiet = np.zeros(int(silence * SAMPLE_RATE), np.float32)
    for part in windows(blocks, WINDOW - silence):
        if np.abs(part).max(initial=0.0) < SILENCE:
            yield part, ""
            continue
        states = encode(folder, mel(folder, np.concatenate([part, quiet]), device), device)
        longest = min(MAX_TOKENS, 8 + int(tokens_per_second * len(part) / SAMPLE_RATE))
        text = _decode(folder, states, device, max_new_tokens=longest)
        if repetition(text) > MAX_REPETITION:
            text = _decode(folder, states, device, max_new_tokens=longest, no_repeat_ngram_size=3)
        yield part, text


@torch.inference_mode()
def _decode(folder: Path, states: Tensor, device: str, **settings: int) -> str:
    network, tokenizer = load(WhisperForConditionalGeneration, folder, device), preparer(AutoTokenizer, folder)
    given = BaseModelOutput(last_hidden_state=states)
    tokens = network.generate(encoder_outputs=given, do_sample=False, num_beams=1, **settings)
    return tokenizer.decode(tokens[0], skip_special_tokens=True).strip()


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
