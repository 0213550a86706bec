"""Tuning a text encoder on the labels of the training split.

The whole encoder is trained for a few epochs together with a classifier on the mean of its last states. The classifier is
not kept; encode_text takes the states of the tuned encoder.
"""

import math
import random
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, get_cosine_schedule_with_warmup

import params
from preprocess import clips
from preprocess.speech import words
from preprocess.store.shards import Shards

# A text is tuned on up to this many tokens; 99 % of CMU-MOSEI's sentences have fewer.
LONGEST = 128
# The classifier starts from random weights and needs larger steps than the pretrained encoder.
CLASSIFIER_LR = 0.001
CLASSIFIER_WIDTH = 256
WARMUP = 0.1
GRADIENT_NORM = 1.0
# This many batches are sorted by length together, so that little is padded.
POOL = 20


def examples(labels: list[str], tokens: AutoTokenizer) -> tuple[list[list[int]], Tensor]:
    """Token ids and presence (N, C) of the training split's clips that have words and all labels."""
    transcripts = Shards(Path("data/transcripts"))
    ids, targets = [], []
    for label in clips.read_labels(labels):
        usable = label.split == "train" and label.clip_id in transcripts.digests and not any(map(math.isnan, label.values))
        text = [word.word for word in words.read(transcripts, label.clip_id).words] if usable else []
        if text:
            ids.append(tokens(words.join(text)[0], truncation=True, max_length=LONGEST)["input_ids"])
            targets.append([value > 0 for value in label.values])
    return ids, torch.tensor(targets, dtype=torch.float32)


def batches(lengths: list[int], size: int, seed: int, epoch: int) -> Iterator[list[int]]:
    """Every example in one batch, with others of similar length, in an order drawn from seed and epoch."""
    generator = random.Random(f"{seed} {epoch}")  # noqa: S311 - no secret
    order = generator.sample(range(len(lengths)), len(lengths))
    pools = (sorted(order[i : i + POOL * size], key=lengths.__getitem__) for i in range(0, len(order), POOL * size))
    shuffled = [pool[i : i + size] for pool in pools for i in range(0, len(pool), size)]
    generator.shuffle(shuffled)
    yield from shuffled


class Classifier(nn.Module):
    """The encoder, and a logit for each label from the mean of its last states."""

    def __init__(self, encoder: PreTrainedModel, labels: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        hidden, output = nn.Linear(encoder.config.hidden_size, CLASSIFIER_WIDTH), nn.Linear(CLASSIFIER_WIDTH, labels)
        self.head = nn.Sequential(nn.Dropout(dropout), hidden, nn.ReLU(), nn.Dropout(dropout), output)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, L, width)
        weight = mask[..., None].to(states.dtype)
        return self.head((states * weight).sum(dim=1) / weight.sum(dim=1))


def tune(encoder: PreTrainedModel, ids: list[list[int]], targets: Tensor, settings: params.TuneText, device: str) -> None:
    """Train the encoder in place."""
    if torch.device(device).type == "cuda":  # on the CPU they are deterministic anyway
        torch.use_deterministic_algorithms(True)
    model = Classifier(encoder, targets.shape[1], settings.dropout).to(device).train()
    groups = [{"params": encoder.parameters(), "lr": settings.lr}, {"params": model.head.parameters(), "lr": CLASSIFIER_LR}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    steps = settings.epochs * math.ceil(len(ids) / settings.batch_size)
    schedule = get_cosine_schedule_with_warmup(optimizer, round(WARMUP * steps), steps)
    with tqdm(total=settings.epochs * len(ids), desc="tune_text", unit="clip") as bar:
        for epoch in range(settings.epochs):
            for batch in batches([len(text) for text in ids], settings.batch_size, settings.seed, epoch):
                padded = pad_sequence([torch.tensor(ids[i]) for i in batch], batch_first=True)
                mask = pad_sequence([torch.ones(len(ids[i]), dtype=torch.long) for i in batch], batch_first=True)
                logits = model(padded.to(device), mask.to(device))
                loss = nn.functional.binary_cross_entropy_with_logits(logits, targets[batch].to(device))
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
                optimizer.step()
                schedule.step()
                bar.update(len(batch))


def tuned(source: Path, parameters: params.Params, device: str) -> PreTrainedModel:
    """The encoder of a folder, trained; ParameterError where no clip can be used for training."""
    settings = parameters.tune.text
    ids, targets = examples(parameters.corpus.labels, AutoTokenizer.from_pretrained(source, local_files_only=True))
    if not ids:
        raise params.ParameterError("tune.text.epochs is above 0, but no clip of train has words and all its labels")
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    encoder = AutoModel.from_pretrained(source, dtype=torch.float32, local_files_only=True, use_safetensors=True)
    tune(encoder, ids, targets, settings, device)
    return encoder
