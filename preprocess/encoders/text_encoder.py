"""States of words' tokens by a pretrained text encoder: BERT, RoBERTa and their kin."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, tee
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, AutoTokenizer, PreTrainedModel

import params
from preprocess.encoders.networks import batches, load, preparer
from preprocess.encoders.states import WordStates
from preprocess.speech import words


def join(spoken: list[str]) -> tuple[str, list[int]]:
    """Words as one text, with spaces but between ideographs, and the word that each character belongs to (-1: none)."""
    parts, owner = list[str](), list[int]()
    for i, word in enumerate(spoken):
        if i and not (words.is_ideograph(spoken[i - 1][-1]) and words.is_ideograph(word[0])):
            parts.append(" ")
            owner.append(-1)
        parts.append(word)
        owner += [i] * len(word)
    return "".join(parts), owner


def encode(
    clips: Iterable[list[str]], folder: Path, device: str, settings: params.EncodeText, together: int = 1
) -> Iterator[WordStates]:
    """States of the tokens of each clip's words, several texts read at once.

    A text longer than the network reads is read in consecutive windows. Texts read together differ from single ones in
    the last bits alone: padding is masked.
    """
    model = load(AutoModel, folder, device, settings.precision)
    windows, given = tee(window for i, spoken in enumerate(clips) for window in _windows(i, spoken, model.config, folder))
    read = (own for batch in batches(given, together) for own in _read(model, batch, device, settings.layer))
    for _, of_clip in groupby(zip(windows, read, strict=True), key=lambda pair: pair[0].clip):
        parts = [(window.words, own[window.places]) for window, own in of_clip]
        owners = np.array([word for words, _ in parts for word in words], np.int32)
        yield _pooled(np.concatenate([own for _, own in parts]), owners, settings.pooling)


@torch.inference_mode()
def _read(model: PreTrainedModel, windows: "list[_Window]", device: str, layer: int) -> np.ndarray:
    """States (windows, tokens of the longest, D) float32 of a hidden layer."""
    ids = pad_sequence([torch.tensor(window.ids) for window in windows], batch_first=True)
    mask = pad_sequence([torch.ones(len(window.ids), dtype=torch.long) for window in windows], batch_first=True)
    output = model(input_ids=ids.to(device), attention_mask=mask.to(device), output_hidden_states=True)
    return output.hidden_states[layer].float().cpu().numpy()


@dataclass(frozen=True)
class _Window:
    """Tokens that are read at once, and which of them belong to a word of which clip."""

    clip: int
    ids: list[int]
    places: list[int]  # of the tokens that belong to a word
    words: list[int]  # those words


def _windows(clip: int, spoken: list[str], config: Any, folder: Path) -> Iterator[_Window]:
    text, owner = join(spoken)
    tokens = preparer(AutoTokenizer, folder)
    positions = getattr(config, "max_position_embeddings", None) or 514
    longest = min(tokens.model_max_length, positions - 2)  # RoBERTa counts positions from 2
    found = tokens(
        text,
        max_length=longest,
        truncation=True,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    for window in found.encodings:
        kept = [
            (k, word)  # a token may be part of several words, where a word is a character
            for k, (span, special) in enumerate(zip(window.offsets, window.special_tokens_mask, strict=True))
            for word in sorted({owner[c] for c in range(*span)} - {-1})
            if not special
        ]
        yield _Window(clip, window.ids, [k for k, _ in kept], [word for _, word in kept])


def _pooled(states: np.ndarray, owners: np.ndarray, pooling: str) -> WordStates:
    """All tokens of a word, whose mean align takes, or its first or last one alone."""
    changes = np.flatnonzero(np.diff(owners)) + 1
    kept = {
        "mean": np.arange(len(owners)),
        "first": np.r_[0, changes] if len(owners) else changes,
        "last": np.r_[changes, len(owners)] - 1 if len(owners) else changes,
    }[pooling]
    return WordStates(states[kept], owners[kept])
