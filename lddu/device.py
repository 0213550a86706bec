"""Where the network runs, and what makes it repeat there."""

import os

import torch
from accelerate import Accelerator


class DeviceError(ValueError):
    """The device that run.device names is not there."""


def accelerator(device: str, threads: int) -> Accelerator:
    """An accelerator on `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:N`, set to repeat its results.

    The number of threads is part of a result on the CPU, so it is given rather than taken from the machine.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(f"run.device is {device}, but torch sees no CUDA device here; auto or cpu would work")
    if device.startswith("cuda:"):
        torch.cuda.set_device(device)
        os.environ["ACCELERATE_TORCH_DEVICE"] = device
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats its sums only with a fixed workspace
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    return Accelerator(cpu=device == "cpu")
