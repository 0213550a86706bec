"""Tuning a text encoder on the labels of the training split.

The encoder, or its upper layers, is trained for a few epochs together with a linear classifier on the mean of its last
states. encode_text takes the states of the tuned encoder and, with encode.text.classifier, the classifier's logits.
"""

import math
import random
import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.metrics import precision_recall_curve
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, get_cosine_schedule_with_warmup

import params
from preprocess import clips
from preprocess.encoders.networks import CLASSIFIER
from preprocess.speech import words
from preprocess.store.shards import Shards

# A text is tuned on up to this many tokens; 99 % of CMU-MOSEI's sentences have fewer.
LONGEST = 128
# The classifier starts from random weights and needs larger steps than the pretrained encoder.
CLASSIFIER_LR = 0.001
WARMUP = 0.1
GRADIENT_NORM = 1.0
# This many batches are sorted by length together, so that little is padded.
POOL = 20
# Digits behind the point in the table of scores.
DIGITS = 6


def examples(labels: list[str], present_above: float, tokens: AutoTokenizer) -> dict[str, tuple[list[list[int]], Tensor]]:
    """Of train and of valid: token ids, and presence (N, C), of the clips that have words and all labels."""
    transcripts = Shards(Path("data/transcripts"))
    ids: dict[str, list[list[int]]] = {"train": [], "valid": []}
    targets: dict[str, list[list[bool]]] = {"train": [], "valid": []}
    for label in clips.read_labels(labels):
        usable = label.split in ids and label.clip_id in transcripts.digests and not any(map(math.isnan, label.values))
        text = [word.word for word in words.read(transcripts, label.clip_id).words] if usable else []
        if text:
            ids[label.split].append(tokens(words.join(text)[0], truncation=True, max_length=LONGEST)["input_ids"])
            targets[label.split].append([value > present_above for value in label.values])
    return {split: (ids[split], torch.tensor(targets[split], dtype=torch.float32)) for split in ids}


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
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(encoder.config.hidden_size, labels))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # (B, L, width)
        weight = mask[..., None].to(states.dtype)
        return self.head((states * weight).sum(dim=1) / weight.sum(dim=1))

    def save(self, folder: Path) -> None:
        self.encoder.save_pretrained(folder)
        save_file({name: x.detach().cpu() for name, x in self.head[1].state_dict().items()}, folder / CLASSIFIER)

    def logits(self, ids: list[list[int]], precision: params.Precision) -> Tensor:
        """(B, C) float32 of texts of any lengths."""
        device = self.encoder.device
        padded = pad_sequence([torch.tensor(text) for text in ids], batch_first=True)
        mask = pad_sequence([torch.ones(len(text), dtype=torch.long) for text in ids], batch_first=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            return self(padded.to(device), mask.to(device)).float()


def supported(precision: params.Precision, instructions: Mapping[str, object]) -> params.Precision:
    """The precision to compute in: float32, and it is said, where a processor would only imitate bfloat16.

    `instructions` as of torch.cpu.get_capabilities().
    """
    if precision == "bfloat16" and not any("bf16" in name and there for name, there in instructions.items()):
        print("tune.text.precision: this processor has no instructions for bfloat16, float32 is used", file=sys.stderr)
        return "float32"
    return precision


def freeze(encoder: PreTrainedModel, layers: Literal["all"] | int) -> None:
    """Leave only the upper `layers` of an encoder to be trained; ParameterError where it has fewer."""
    if layers == "all":
        return
    count = encoder.config.num_hidden_layers
    stacks = [stack for stack in encoder.modules() if isinstance(stack, nn.ModuleList) and len(stack) == count]
    if layers > count or len(stacks) != 1:
        raise params.ParameterError(f"tune.text.layers is {layers}: the text encoder takes all, or 1 to {count}")
    encoder.requires_grad_(requires_grad=False)
    stacks[0][count - layers :].requires_grad_(requires_grad=True)


def tune(encoder: PreTrainedModel, ids: list[list[int]], targets: Tensor, settings: params.TuneText, device: str) -> Classifier:
    """Train the encoder in place, with the classifier that is returned."""
    if torch.device(device).type == "cuda":  # on the CPU they are deterministic anyway
        torch.use_deterministic_algorithms(True)
    freeze(encoder, settings.layers)
    model = Classifier(encoder, targets.shape[1], settings.dropout).to(device).train()
    learning = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    groups = [{"params": learning, "lr": settings.lr}, {"params": model.head.parameters(), "lr": CLASSIFIER_LR}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    steps = settings.epochs * math.ceil(len(ids) / settings.batch_size)
    schedule = get_cosine_schedule_with_warmup(optimizer, round(WARMUP * steps), steps)
    lengths = [len(text) for text in ids]
    with tqdm(total=settings.epochs * len(ids), desc="tune_text", unit="clip") as bar:
        for epoch in range(settings.epochs):
            for batch in batches(lengths, settings.batch_size, settings.seed, epoch):
                logits = model.logits([ids[i] for i in batch], settings.precision)
                loss = nn.functional.binary_cross_entropy_with_logits(logits, targets[batch].to(device))
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
                optimizer.step()
                schedule.step()
                bar.update(len(batch))
    return model.eval()


@torch.no_grad()
def scores(model: Classifier, ids: list[list[int]], targets: Tensor, settings: params.TuneText) -> dict[str, float]:
    """Of the classifier on texts: cross-entropy in nats, and the micro F1 at the best threshold for all labels."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    parts = [order[i : i + settings.batch_size] for i in range(0, len(order), settings.batch_size)]
    logits = torch.cat([model.logits([ids[i] for i in part], settings.precision) for part in parts]).cpu()
    true = targets[list(chain(*parts))]
    bce = float(nn.functional.binary_cross_entropy_with_logits(logits, true))
    precision, recall, _ = precision_recall_curve(true.ravel().numpy(), logits.ravel().numpy())
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return {"texts": len(ids), "micro_f1": round(float(f1.max()), DIGITS), "bce": round(bce, DIGITS)}


def tuned(source: Path, parameters: params.Params, device: str) -> tuple[Classifier, dict[str, float]]:
    """The encoder of a folder and a classifier, trained, and the classifier's scores on valid, if valid has a usable clip.

    ParameterError where no clip can be used for training.
    """
    settings = parameters.tune.text
    tokens = AutoTokenizer.from_pretrained(source, local_files_only=True)
    found = examples(parameters.corpus.labels, parameters.corpus.present_above, tokens)
    if not found["train"][0]:
        raise params.ParameterError("tune.text.epochs is above 0, but no clip of train has words and all its labels")
    if torch.device(device).type == "cpu":
        settings = settings.model_copy(update={"precision": supported(settings.precision, torch.cpu.get_capabilities())})
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    encoder = AutoModel.from_pretrained(source, dtype=torch.float32, local_files_only=True, use_safetensors=True)
    model = tune(encoder, *found["train"], settings, device)
    ids, targets = found["valid"]
    return model, scores(model, ids, targets, settings) if targets.any() else {}
