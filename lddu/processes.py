"""Training in several processes of one machine: one a GPU, or on the CPU."""

import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch import multiprocessing


class ProcessError(RuntimeError):
    """The processes cannot be started, or one of them failed."""


def start(work: Callable[..., None], count: int, device: torch.device, arguments: tuple[Any, ...]) -> None:
    """Call `work` in this process if `count` is 1, else in `count` new processes that can exchange tensors; wait for all."""
    if count == 1:
        work(*arguments)
        return
    if device.type == "cuda" and (device.index is not None or count > torch.cuda.device_count()):
        raise ProcessError(
            f"train.processes is {count}, but run.device {device} has {torch.cuda.device_count()} GPUs to give; "
            "there is one process a GPU, and run.device must be auto or cuda"
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # any free port
        port = probe.getsockname()[1]
    try:
        multiprocessing.spawn(_join, (count, port, device.type, work, arguments), nprocs=count)
    except multiprocessing.ProcessRaisedException as error:
        raise ProcessError(f"a process of the training failed:\n{error.msg}") from None
    except multiprocessing.ProcessExitedException as error:
        raise ProcessError(f"a process of the training ended: {error}") from None


def _join(rank: int, count: int, port: int, device: str, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """The body of one process: accelerate finds the other processes by these variables."""
    variables: dict[str, object] = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "ACCELERATE_USE_CPU": device == "cpu"}
    os.environ |= {name: str(value) for name, value in variables.items()}
    work(*arguments)
    torch.distributed.destroy_process_group()
