"""Whisper: transcription, and states of its encoder, at a clip's own length.

The stock encoder insists on 30 s, so a clip of 3 s would pay for ten. Its layers do not: with the first positions alone
they give states for any shorter input. The decoder, though, needs silence behind the speech to know where it ends.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

WINDOW = 30.0  # seconds, the longest input
STATE = 0.02  # seconds that one encoder state covers: two mel frames of 10 ms


@cache
def network(folder: Path, device: str) -> WhisperForConditionalGeneration:
    return WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).to(device).eval()


@cache
def extractor(folder: Path) -> WhisperFeatureExtractor:
    return WhisperFeatureExtractor.from_pretrained(folder)


@cache
def tokenizer(folder: Path) -> AutoTokenizer:
    return AutoTokenizer.from_pretrained(folder)


def mel(folder: Path, wave: np.ndarray, device: str) -> Tensor:
    """Log-mel spectrogram (1, bins, frames) of a wave (n,) at 16 kHz, 10 ms a frame."""
    mel = extractor(folder)
    found = mel(wave, sampling_rate=mel.sampling_rate, padding="longest", return_tensors="pt")
    return found.input_features.to(device)


@torch.inference_mode()
def encode(folder: Path, spectrogram: Tensor, device: str, layer: int = -1) -> Tensor:
    """Encoder states (1, frames / 2, width) of a hidden layer; -1: after the last one and its norm."""
    encoder = network(folder, device).get_encoder()
    hidden = torch.nn.functional.gelu(encoder.conv1(spectrogram))
    hidden = torch.nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
    hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
    states = [hidden]
    for block in encoder.layers:
        found = block(states[-1], None)
        states.append(found[0] if isinstance(found, tuple) else found)
    states[-1] = encoder.layer_norm(states[-1])
    return states[layer]


@torch.inference_mode()
def transcribe(folder: Path, wave: np.ndarray, device: str, silence: float, max_tokens: int) -> str:
    """What is said in a wave (n,) at 16 kHz, decoded greedily in windows that are cut where it is quietest."""
    texts = []
    for part in windows(wave, extractor(folder).sampling_rate, WINDOW - silence):
        quiet = np.zeros(int(silence * extractor(folder).sampling_rate), np.float32)
        states = encode(folder, mel(folder, np.concatenate([part, quiet]), device), device)
        tokens = network(folder, device).generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=states), max_new_tokens=max_tokens, do_sample=False, num_beams=1
        )
        texts.append(tokenizer(folder).decode(tokens[0], skip_special_tokens=True).strip())
    return " ".join(text for text in texts if text)


def windows(wave: np.ndarray, sample_rate: int, longest: float) -> list[np.ndarray]:
    """Cut a wave into parts of at most `longest` seconds, each cut at the quietest 0.1 s of the part's last fifth."""
    parts, rest, most, hop = [], wave, int(longest * sample_rate), sample_rate // 10
    while len(rest) > most:
        tail = rest[most - most // 5 : most]
        energy = np.square(tail[: len(tail) // hop * hop].astype(np.float64)).reshape(-1, hop).mean(1)
        cut = most - most // 5 + int(energy.argmin()) * hop + hop // 2
        parts.append(rest[:cut])
        rest = rest[cut:]
    return [*parts, rest]
