"""States of the tokens of words by a pretrained text encoder such as BERT or RoBERTa."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, tee
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, AutoTokenizer, PreTrainedModel

import params
from params import Layers
from preprocess.encoders.networks import CLASSIFIER, batches, inference, joined, load, preparer
from preprocess.encoders.states import WordStates
from preprocess.speech import words


def encode(
    clips: Iterable[list[str]], folder: Path, device: str, settings: params.EncodeText, together: int = 1
) -> Iterator[WordStates]:
    """States of the tokens of each clip's words, `together` texts in a batch.

    A text longer than the network's positions is read in consecutive windows. Padding is masked, so that texts read
    together differ from single ones only in the last bits.
    """
    model = load(AutoModel, folder, device, settings.precision)
    windows, inputs = tee(window for i, spoken in enumerate(clips) for window in _windows(i, spoken, model.config, folder))
    head = classifier(folder, device) if settings.classifier else None
    read = (rows for batch in batches(inputs, together) for rows in _read(model, batch, device, settings.layer, head))
    for _, of_clip in groupby(zip(windows, read, strict=True), key=lambda pair: pair[0].clip):
        of_words = [(window.words, window_states[window.places]) for window, window_states in of_clip]
        owners = np.array([word for words, _ in of_words for word in words], np.int32)
        yield _pooled(np.concatenate([states for _, states in of_words]), owners, settings.pooling)


def classifier(folder: Path, device: str) -> nn.Linear:
    """The classifier of a tuned encoder; ParameterError where the encoder was not tuned."""
    if not (folder / CLASSIFIER).is_file():
        raise params.ParameterError(f"encode.text.classifier: {folder} has none; tune.text.epochs must be above 0")
    tensors = load_file(folder / CLASSIFIER, device=device)
    head = nn.Linear(tensors["weight"].shape[1], tensors["weight"].shape[0], device=device)
    head.load_state_dict(tensors)
    return head


@inference()
def _read(model: PreTrainedModel, windows: "list[_Window]", device: str, layer: Layers, head: nn.Linear | None) -> np.ndarray:
    """States (windows, tokens of the longest, D) float32 of a hidden layer, or of several side by side.

    With a classifier, its logits for the last states stand beside them: the mean over tokens is the logit of the mean.
    """
    ids = pad_sequence([torch.tensor(window.ids) for window in windows], batch_first=True)
    mask = pad_sequence([torch.ones(len(window.ids), dtype=torch.long) for window in windows], batch_first=True)
    output = model(input_ids=ids.to(device), attention_mask=mask.to(device), output_hidden_states=True)
    states = joined(output.hidden_states, layer).float()
    if head is not None:
        states = torch.cat([states, head(output.last_hidden_state.float())], dim=-1)
    return states.cpu().numpy()


@dataclass(frozen=True)
class _Window:
    """Tokens of a clip that are read at once, and the words that they belong to."""

    clip: int
    ids: list[int]
    places: list[int]  # of the tokens that belong to a word
    words: list[int]  # of each of these tokens


def _windows(clip: int, spoken: list[str], config: Any, folder: Path) -> Iterator[_Window]:
    text, owner = words.join(spoken)
    tokens = preparer(AutoTokenizer, folder)
    positions = getattr(config, "max_position_embeddings", None) or 514
    longest = min(tokens.model_max_length, positions - 2)  # RoBERTa counts positions from 2
    tokenized = tokens(
        text,
        max_length=longest,
        truncation=True,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    for window in tokenized.encodings:
        owned = [
            (k, word)  # a token may belong to several words, where a word is a character
            for k, (span, special) in enumerate(zip(window.offsets, window.special_tokens_mask, strict=True))
            for word in sorted({owner[c] for c in range(*span)} - {-1})
            if not special
        ]
        yield _Window(clip, window.ids, [k for k, _ in owned], [word for _, word in owned])


def _pooled(states: np.ndarray, owners: np.ndarray, pooling: str) -> WordStates:
    """All tokens of a word (align takes their mean), or its first or last one alone."""
    changes = np.flatnonzero(np.diff(owners)) + 1
    tokens = {
        "mean": np.arange(len(owners)),
        "first": np.r_[0, changes] if len(owners) else changes,
        "last": np.r_[changes, len(owners)] - 1 if len(owners) else changes,
    }[pooling]
    return WordStates(states[tokens], owners[tokens])
