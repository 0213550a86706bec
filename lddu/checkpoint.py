"""What training needs to continue after a kill, written after every epoch: one safetensors file, replaced in one step.

It holds the tensors of the network, of the best epoch's network, of the losses (their queue and heads) and of the optimizer,
and, as metadata in JSON, the curves. Random numbers depend on seed and step alone, so no random state is kept.
Nothing in it is unpickled.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

NAME = "checkpoint.safetensors"


class CheckpointError(RuntimeError):
    """Checkpoints are in use by another process."""


def save(folder: Path, tensors: dict[str, dict[str, Tensor]], state: dict) -> None:
    """Write groups of tensors and a tree of plain values; a reader finds the previous checkpoint or this one, both whole."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {f"{group}/{name}": x for group, members in tensors.items() for name, x in members.items()}
    flat = {name: x.detach().cpu().contiguous() for name, x in named.items()}
    unfinished = folder / f"{NAME}.{os.getpid()}"
    save_file(flat, unfinished, metadata={"state": json.dumps(state)})
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(folder / NAME)


def load(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict] | None:
    """What `save` wrote; None where there is no checkpoint, or one that cannot be read."""
    tensors: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(folder / NAME, framework="pt") as file:
            state = json.loads(file.metadata()["state"])
            for key in file.keys():  # noqa: SIM118 - safe_open is no dict
                group, _, name = key.partition("/")
                tensors.setdefault(group, {})[name] = file.get_tensor(key)
    except (FileNotFoundError, SafetensorError):
        return None
    return tensors, state


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimizer's state as named tensors: `<parameter>.<quantity>`."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": torch.as_tensor(x) for index, members in state.items() for name, x in members.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`, for an optimizer of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, x in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = x
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a training's checkpoints to this process, and delete them when it is done; a killed process loses its lock."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / "lock").acquire(blocking=False)
    except Timeout:
        raise CheckpointError(f"{folder}: another process is training the same; wait for it, or end it") from None
    with lock:
        yield
        shutil.rmtree(folder)
