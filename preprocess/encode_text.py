"""Stage encode_text: states of a pretrained text encoder for the tokens of each clip's words."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModel, AutoTokenizer

import params
from preprocess import states, words
from preprocess.networks import batches, load, preparer, require_layer
from preprocess.networks import device as resolve
from preprocess.shards import Shards
from preprocess.stage import Stage, Task, fill
from preprocess.states import WordStates

MODEL = Path("data/text_model")


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


@torch.inference_mode()
def encode(
    clips: list[list[str]], folder: Path, device: str, settings: params.EncodeText, together: int = 1
) -> list[WordStates]:
    """States of the tokens of each clip's words, several texts read at once.

    A text longer than the network reads is read in consecutive windows. Texts read together differ from single ones in
    the last bits alone: padding is masked.
    """
    model = load(AutoModel, folder, device, settings.precision)
    windows = [window for i, spoken in enumerate(clips) for window in _windows(i, spoken, model.config, folder)]
    states: list[list[np.ndarray]] = [[np.zeros((0, model.config.hidden_size), np.float32)] for _ in clips]
    owners: list[list[int]] = [[] for _ in clips]
    for group in batches(windows, together):
        ids = pad_sequence([torch.tensor(window.ids) for window in group], batch_first=True)
        mask = pad_sequence([torch.ones(len(window.ids), dtype=torch.long) for window in group], batch_first=True)
        output = model(input_ids=ids.to(device), attention_mask=mask.to(device), output_hidden_states=True)
        hidden = output.hidden_states[settings.layer].float().cpu().numpy()
        for window, own in zip(group, hidden, strict=True):
            states[window.clip].append(own[window.places])
            owners[window.clip] += window.words
    return [
        _pooled(np.concatenate(of_clip), np.array(words, np.int32), settings.pooling)
        for of_clip, words in zip(states, owners, strict=True)
    ]


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


def states_of(task: Task, folder: Path, settings: params.EncodeText, model: Path, device: str) -> None:
    """One clip's token states."""
    spoken = [word.word for word in words.read(Shards(Path(task.source)), task.clip_id).words]
    (found,) = encode([spoken], model, device, settings)
    states.write(folder, found)


def main() -> None:
    settings = params.load()
    device = resolve(settings.run.device)
    require_layer("encode.text.layer", settings.encode.text.layer, MODEL)
    transcripts = Shards(Path("data/transcripts"))
    stage = Stage(
        name="encode_text",
        module="preprocess.encode_text",
        work=partial(states_of, settings=settings.encode.text, model=MODEL, device=device),
        parameters=settings.encode.text.model_dump(),
        models=[MODEL],
        environment=device,
    )
    todo = [Task(clip_id, {"words": digest}, 0.0, str(transcripts.folder)) for clip_id, digest in transcripts.digests.items()]
    fill(stage, todo, settings.run)
