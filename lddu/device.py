"""The device that the network runs on, set so that results repeat."""

import os

import torch
from accelerate import Accelerator
from torch.utils import deterministic


class DeviceError(ValueError):
    """The device that run.device names is not there."""


def device_of(device: str) -> torch.device:
    """The device that `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N` means here."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(f"run.device is {device}, but torch sees no CUDA device here; auto or cpu would work")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def accelerator(device: str, threads: int, precision: str = "float32") -> Accelerator:
    """An accelerator on `device_of(device)`, set to repeat its results; autocast in bfloat16 if that is the precision.

    On the CPU, results depend on the number of threads, so it is a parameter and not the machine's number of cores.
    """
    chosen = device_of(device)
    if chosen.index is not None:
        torch.cuda.set_device(chosen)
        os.environ["ACCELERATE_TORCH_DEVICE"] = device
    os.environ["OMP_NUM_THREADS"] = str(threads)  # accelerate would set 1 where there are several processes
    torch.set_num_threads(threads)
    # With "warn", attention on a GPU would not repeat. use_deterministic_algorithms(True) does the same and something for
    # torch.compile, whose import takes a second and 150 MB.
    torch.set_deterministic_debug_mode("error")
    # It would also fill every new tensor with a constant first, which costs a sixth of a step's time on a busy processor.
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return Accelerator(cpu=chosen.type == "cpu", mixed_precision={"float32": "no", "bfloat16": "bf16"}[precision])
