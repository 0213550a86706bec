"""Stage encode_text: states of a pretrained text encoder for the tokens of each clip's words."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

import params
from preprocess import states, words
from preprocess.networks import device as resolve
from preprocess.networks import load, preparer, require_layer
from preprocess.shards import Shards
from preprocess.stage import Stage, Task, fill
from preprocess.states import WordStates

MODEL = Path("data/text_model")


def join(spoken: list[str]) -> tuple[str, list[int]]:
    """Words as one text, with spaces but between ideographs, and the word that each character belongs to (-1: none)."""
    text, owner = "", list[int]()
    for i, word in enumerate(spoken):
        if text and not (words.is_ideograph(text[-1]) and words.is_ideograph(word[0])):
            text, owner = text + " ", [*owner, -1]
        text, owner = text + word, owner + [i] * len(word)
    return text, owner


@torch.inference_mode()
def encode(spoken: list[str], folder: Path, device: str, layer: int) -> WordStates:
    """States of all tokens of the words; a text longer than the network reads at once is read in consecutive windows."""
    text, owner = join(spoken)
    model, tokens = load(AutoModel, folder, device), preparer(AutoTokenizer, folder)
    longest = min(tokens.model_max_length, model.config.max_position_embeddings - 2)  # RoBERTa counts positions from 2
    found = tokens(
        text,
        max_length=longest,
        truncation=True,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    parts, of_words = [], []
    for window in found.encodings:
        inputs = torch.tensor([window.ids], device=device)
        hidden = model(input_ids=inputs, attention_mask=torch.ones_like(inputs), output_hidden_states=True).hidden_states[
            layer
        ][0]
        keep = [
            k for k, (span, special) in enumerate(zip(window.offsets, window.special_tokens_mask, strict=True)) if not special
        ]
        owned = [(k, next((owner[c] for c in range(*window.offsets[k]) if owner[c] >= 0), -1)) for k in keep]
        parts.append(hidden[[k for k, word in owned if word >= 0]].float().cpu().numpy())
        of_words += [word for _, word in owned if word >= 0]
    return WordStates(np.concatenate(parts), np.array(of_words, np.int32))


def states_of(task: Task, folder: Path, settings: params.EncodeText, model: Path, device: str) -> None:
    """One clip's token states."""
    spoken = [word.word for word in words.read(Shards(Path(task.source)), task.clip_id).words]
    states.write(folder, encode(spoken, model, device, settings.layer))


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
