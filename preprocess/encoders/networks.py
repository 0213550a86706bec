"""Pretrained networks for inference: the device they run on, and loading, once a process.

torch and transformers take seconds to import, so the functions that need them import them: the parent process of a stage,
and a stage whose clips are all in the store, do without.
"""

import ctypes
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from params import Layers, ParameterError, Precision

Item = TypeVar("Item")

# Beside a tuned text encoder: `weight` (C, D) and `bias` (C,) of the classifier that was trained with it.
CLASSIFIER = "classifier.safetensors"


def device(name: str, elsewhere: bool = False) -> str:
    """`auto` is the first CUDA device, or the CPU where there is none; ParameterError for a device that does not exist.

    `elsewhere` says that other machines compute: `cuda` is then believed.
    """
    if elsewhere and name == "cuda":
        return name
    count = _devices() if name != "cpu" else 0
    if name == "auto":
        return "cuda" if count else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise ParameterError(f"device {name!r}: auto, cpu, cuda or cuda:N is expected")
    if name != "cpu" and int(name.partition(":")[2] or 0) >= count:
        raise ParameterError(f"device {name}: torch sees {count} CUDA devices here; auto or cpu would work")
    return name


def _devices() -> int:
    """How many CUDA devices torch sees. Without the driver's library there is none, and torch need not be imported."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    import torch

    return torch.cuda.device_count()


@contextmanager
def inference() -> Iterator[None]:
    """Let networks compute without gradients, in full float32 and in one thread; also a decorator, but not of generators.

    The sums of several threads differ in their last digits. These are settings of the whole process, which may be the
    program that uses the Python API, so the former ones come back afterwards.
    """
    import torch

    threads, tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.inference_mode(), quiet():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = tf32


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and warnings of transformers."""
    from transformers.utils import logging

    verbosity, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if has_bars:
            logging.enable_progress_bar()


@cache
def load(kind: Any, folder: Path, device: str, precision: Precision = "float32") -> Any:
    """A network of a transformers class from a folder of `data/models`; compute with it inside of `inference`.

    ParameterError where the folder holds a network of another kind.
    """
    import torch

    return _from(kind, folder, dtype=getattr(torch, precision), use_safetensors=True).to(device).eval()


@cache
def preparer(kind: Any, folder: Path) -> Any:
    """A configuration, tokenizer or feature extractor of a transformers class from a folder of `data/models`."""
    return _from(kind, folder)


def _from(kind: Any, folder: Path, **settings: Any) -> Any:
    try:
        with quiet():
            return kind.from_pretrained(folder, local_files_only=True, **settings)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ParameterError(
            f"models.{folder.name}: {folder} cannot be loaded as {kind.__name__} ({reason}); name a network of the kind that "
            "params.yaml describes there, whose folder has its config, its weights, and its tokenizer or preprocessor"
        ) from None


def of_vision(folder: Path) -> Any:
    """The configuration of a network's image encoder: CLIP has one for text beside it."""
    from transformers import AutoConfig

    config = preparer(AutoConfig, folder)
    return getattr(config, "vision_config", config)


def require_layer(key: str, layer: Layers, folder: Path) -> None:
    """ParameterError where the encoder lacks one of the hidden layers; 0 is the input of the first layer."""
    config = of_vision(folder)
    count = int(getattr(config, "encoder_layers", None) or getattr(config, "num_hidden_layers", None) or 0)
    for number in numbers(layer):
        if not -count - 1 <= number <= count:
            raise ParameterError(f"{key} is {number}: {folder} has {count} layers, so it takes {-count - 1} to {count}")


def numbers(layer: Layers) -> list[int]:
    """The layers that a parameter names, in its order."""
    return layer if isinstance(layer, list) else [layer]


def joined(hidden: Sequence[Any], layer: Layers) -> Any:
    """The states (..., D) of one hidden layer, or of several side by side, of the states of all of them."""
    import torch

    return torch.cat([hidden[number] for number in numbers(layer)], dim=-1)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Consecutive items in lists of at most `size`, read one list at a time."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
