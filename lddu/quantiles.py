"""How uncertain a σ is, told as its place among those of the training split, since the number itself says little."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

FILE = "quantiles.safetensors"

Known = dict[str, np.ndarray]  # by modality (n, C), each column in rising order


def known(log_sigma: dict[str, np.ndarray], present: dict[str, np.ndarray]) -> Known:
    """log ‖σ‖ (N, C) of the training split's clips that have a modality, sorted by label."""
    return {m: np.sort(values[present[m]], axis=0) for m, values in log_sigma.items()}


def shares(log_sigma: np.ndarray, among: np.ndarray) -> np.ndarray:
    """(N, C): the share of the training split's clips whose log ‖σ‖ of that label is not above; NaN where it is unknown."""
    place = [np.searchsorted(among[:, c], log_sigma[:, c], side="right") for c in range(log_sigma.shape[1])]
    return np.where(np.isnan(log_sigma), np.nan, np.stack(place, axis=1) / max(len(among), 1))


def write(folder: Path, values: Known) -> None:
    save_file({m: np.ascontiguousarray(of_modality) for m, of_modality in values.items()}, folder / FILE)


def read(folder: Path) -> Known:
    return load_file(folder / FILE)
