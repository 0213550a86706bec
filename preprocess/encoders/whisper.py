"""States of Whisper's encoder for a wave of any length up to 30 s.

The stock encoder pads every input to 30 s, so that a clip of 3 s costs as much as ten of them. Its layers work with any
shorter input if they get the first positional embeddings alone. (The decoder needs silence after the speech to know where
it ends: transcription.py adds it.)
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from params import Layers, Precision
from preprocess.encoders.networks import inference, joined, load, preparer
from preprocess.media.sound import SAMPLE_RATE

STATE = 0.02  # seconds that one encoder state covers: two mel frames of 10 ms


def mel(folder: Path, wave: np.ndarray, device: str) -> Tensor:
    """Log-mel spectrogram (1, bins, frames) of a wave (n,) at 16 kHz, 10 ms a frame."""
    extractor = preparer(WhisperFeatureExtractor, folder)
    inputs = extractor(wave, sampling_rate=SAMPLE_RATE, padding="longest", return_tensors="pt")
    return inputs.input_features.to(device)


def listen(folder: Path, wave: np.ndarray, silence: float, device: str) -> Tensor:
    """States (T, D) of the last layer for a wave (n,) with so many seconds of silence after it, as the decoder needs it."""
    quiet = np.zeros(int(silence * SAMPLE_RATE), np.float32)
    (states,) = encode(folder, [mel(folder, np.concatenate([wave, quiet]), device)], device)
    return states


@inference()
def encode(
    folder: Path, spectrograms: list[Tensor], device: str, layer: Layers = -1, precision: Precision = "float32"
) -> list[Tensor]:
    """Encoder states (frames / 2, width) float32 of log-mel spectrograms (1, bins, frames), read together.

    `layer` -1 is the last one, after its norm; several stand side by side. Shorter spectrograms are padded, and the padding is
    masked.
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
        output = block(states[-1], mask)
        states.append(output[0] if isinstance(output, tuple) else output)
    states[-1] = encoder.layer_norm(states[-1])
    return [rows[:count].float() for rows, count in zip(joined(states, layer), counts.tolist(), strict=True)]


@inference()
def languages(network: WhisperForConditionalGeneration, states: Tensor, device: str) -> dict[str, float]:
    """The probability of each language that a multilingual network knows, as <|en|>, for states (T, D) of its encoder."""
    tokens = network.generation_config.lang_to_id
    begin = torch.tensor([[network.config.decoder_start_token_id]], device=device)
    logits = network(encoder_outputs=BaseModelOutput(last_hidden_state=states[None]), decoder_input_ids=begin).logits[0, -1]
    return dict(zip(tokens, logits.float()[list(tokens.values())].softmax(-1).tolist(), strict=True))


def language_of(network: WhisperForConditionalGeneration, states: Tensor, device: str) -> str:
    """The most probable language, as <|en|>."""
    heard = languages(network, states, device)
    return max(heard, key=lambda name: heard[name])
