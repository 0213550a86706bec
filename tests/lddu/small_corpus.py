"""A corpus of tensors small enough to train on in seconds, in which every modality says something of every label."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

LABELS = ["happy", "sad", "anger"]
DIMS = {"text": 12, "audio": 7, "vision": 5}
ROWS = {"text": 6, "audio": 9, "vision": 4}
CLIPS = {"train": 96, "valid": 32, "test": 40, "other": 5}
SPEAKERS = 8  # of each split
# Chance of a modality to be missing from a clip.
MISSING = 0.1

# Given the tensors of a split, may change them before they are written.
Spoil = Callable[[dict[str, Tensor]], None]


def write(folder: Path, dims: dict[str, int] | None = None, spoil: dict[str, Spoil] | None = None) -> Path:
    """Write four splits, the statistics and noise.csv as the contract has them; `spoil` alters a split's tensors."""
    dims = dims or DIMS
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    signs = {m: torch.randn(len(LABELS), width, generator=generator) for m, width in dims.items()}
    noise_rows, speaker_rows, statistics = [], [], {}
    for name, clips in CLIPS.items():
        ids = [f"{name}-{i:03d}" for i in range(clips)]
        noise = {m: torch.rand(clips, generator=generator) for m in dims}
        tensors = split_tensors(clips, signs, noise, generator)
        if name == "other":
            tensors["labels"][:] = torch.nan
        if name == "train":
            statistics = statistics_of(tensors, dims)
        if spoil and name in spoil:
            spoil[name](tensors)
        save_file(tensors, folder / f"{name}.safetensors", metadata={"labels": json.dumps(LABELS)})
        write_rows(folder / f"{name}.csv", [{"clip_id": x, "start": 0, "end": 1, "duration": 1} for x in ids])
        speaker_rows += [{"clip_id": x, "speaker": f"{name}-{i % SPEAKERS}"} for i, x in enumerate(ids)]
        noise_rows += [
            {"clip_id": clip_id} | {f"noise_{m}": f"{noise[m][i]:.3f}" if m in noise else "" for m in DIMS}
            for i, clip_id in enumerate(ids)
        ]
    save_file(statistics, folder / "statistics.safetensors")
    write_rows(folder / "noise.csv", noise_rows)
    write_rows(folder / "speakers.csv", speaker_rows)
    return folder


def split_tensors(
    clips: int, signs: dict[str, Tensor], noise: dict[str, Tensor], generator: torch.Generator
) -> dict[str, Tensor]:
    """Features in which the sign of each label is added where it is present, the weaker the noisier the modality."""
    labels = (torch.rand(clips, len(LABELS), generator=generator) < 0.3).float() * 2
    tensors = {"labels": labels}
    for m, sign in signs.items():
        rows = ROWS[m]
        lengths = torch.randint(1, rows + 1, (clips,), generator=generator)
        lengths[torch.rand(clips, generator=generator) < MISSING] = 0
        mask = torch.arange(rows) < lengths[:, None]
        clean = (1 - noise[m])[:, None] * ((labels > 0).float() @ sign)
        x = clean[:, None, :] + 0.7 * torch.randn(clips, rows, sign.shape[1], generator=generator)
        tensors[m] = 3 + 5 * x.masked_fill(~mask[..., None], -0.6)
        tensors[f"{m}_mask"] = mask
        tensors[f"{m}_time"] = torch.full((clips, rows, 2), -1.0)
    return tensors


def statistics_of(tensors: dict[str, Tensor], dims: dict[str, int]) -> dict[str, Tensor]:
    statistics = {}
    for m in dims:
        rows = tensors[m][tensors[f"{m}_mask"]]
        statistics[f"{m}_mean"], statistics[f"{m}_deviation"] = rows.mean(dim=0), rows.std(dim=0, correction=0)
    return statistics


def write_rows(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def random_batch(clips: int, rows: dict[str, int], seed: int) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Features, masks with holes and absences, and labels, some of them unknown."""
    generator = torch.Generator().manual_seed(seed)
    features = {m: torch.randn(clips, n, DIMS[m], generator=generator) for m, n in rows.items()}
    masks = {m: torch.rand(clips, n, generator=generator) < 0.7 for m, n in rows.items()}
    labels = (torch.rand(clips, len(LABELS), generator=generator) < 0.4).float()
    labels[torch.rand(clips, generator=generator) < 0.2] = torch.nan
    return features, masks, labels


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """The obvious form, for values without ties."""
    ranks = [np.argsort(np.argsort(x)) for x in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])
