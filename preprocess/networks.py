"""Pretrained networks as the encoders use them: which device they run on, loaded once a process, ready to infer."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig
from transformers.utils import logging

from params import ParameterError


def device(asked: str) -> str:
    """`auto` is the first CUDA device where there is one, otherwise the processor."""
    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() else "cpu"


@cache
def load(kind: Any, folder: Path, device: str) -> Any:
    """A network of a transformers class from a folder of `data/models`, in float32, one thread on the processor."""
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    return kind.from_pretrained(folder, dtype=torch.float32).to(device).eval()


@cache
def preparer(kind: Any, folder: Path) -> Any:
    """A configuration, tokenizer or feature extractor of a transformers class from a folder of `data/models`."""
    return kind.from_pretrained(folder)


def require_layer(key: str, layer: int, folder: Path) -> None:
    """ParameterError where the encoder has no such hidden layer; 0 is what goes into the first one."""
    config = preparer(AutoConfig, folder)
    count = getattr(config, "encoder_layers", None) or config.num_hidden_layers
    if not -count - 1 <= layer <= count:
        raise ParameterError(f"{key} is {layer}: {folder} has {count} layers, so it takes {-count - 1} to {count}")
