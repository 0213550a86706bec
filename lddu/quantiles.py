"""The uncertainty σ as a quantile: its place among the σ of the training split, since its size has no unit.

The file also has the references of lddu/channels.py.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

FILE = "quantiles.safetensors"

Reference = dict[str, np.ndarray]  # log ‖σ‖ of the training split by name, (n, C), each column in rising order


def reference_of(log_sigma: dict[str, np.ndarray], present: dict[str, np.ndarray]) -> Reference:
    """log ‖σ‖ (N, C) of the training split's clips that have a modality, sorted by label."""
    return {m: np.sort(values[present[m]], axis=0) for m, values in log_sigma.items()}


def shares(log_sigma: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(N, C): the share of the training split's clips whose log ‖σ‖ of that label is not above; NaN where it is NaN."""
    rank = [np.searchsorted(reference[:, c], log_sigma[:, c], side="right") for c in range(log_sigma.shape[1])]
    return np.where(np.isnan(log_sigma), np.nan, np.stack(rank, axis=1) / max(len(reference), 1))


def write(folder: Path, reference: Reference) -> None:
    save_file({m: np.ascontiguousarray(of_modality) for m, of_modality in reference.items()}, folder / FILE)


def read(folder: Path) -> Reference:
    return load_file(folder / FILE)
