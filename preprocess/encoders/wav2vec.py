"""wav2vec 2.0, HuBERT, WavLM and their kin: networks that read the wave itself, to encode sound or to spell it (CTC)."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoFeatureExtractor

from params import Precision
from preprocess.encoders.networks import load, preparer
from preprocess.media.sound import SAMPLE_RATE

SHORTEST = 0.1  # seconds; a shorter wave is followed by silence up to this, since convolutions need some input


def read(
    kind: Any,
    folder: Path,
    waves: Iterable[np.ndarray],
    device: str,
    pick: Callable[[Any], Tensor],
    precision: Precision = "float32",
    together: int = 1,
) -> Iterator[np.ndarray]:
    """For each wave (n,) at 16 kHz what `pick` takes of the network's output, (T, D) float32; several waves read at once.

    Waves of several lengths are padded and masked. A network that normalises its first layer over time would hear the
    padding, so it reads waves of one length together, and one of another make reads each alone.
    """
    network = load(kind, folder, device, precision)
    padded = (np.pad(wave, (0, max(0, int(SHORTEST * SAMPLE_RATE) - len(wave)))) for wave in waves)
    for group in _groups(padded, together, network.config):
        inputs = _inputs(group, folder) if len(group) > 1 else _input(group[0], folder)
        moved = {name: x.to(device, network.dtype if x.is_floating_point() else x.dtype) for name, x in inputs.items()}
        with torch.inference_mode():
            found = pick(network(**moved, output_hidden_states=True)).float().cpu().numpy()
        for wave, own in zip(group, found, strict=True):
            yield own[: states(len(wave), network.config)] if len(group) > 1 else own


def states(samples: int, config: Any) -> int:
    """How many states the convolutions make of so many samples."""
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        samples = (samples - kernel) // stride + 1
    return samples


def _groups(waves: Iterable[np.ndarray], together: int, config: Any) -> Iterator[list[np.ndarray]]:
    if not hasattr(config, "conv_kernel"):
        together = 1
    group: list[np.ndarray] = []
    for wave in waves:
        fits = not group or config.feat_extract_norm != "group" or len(wave) == len(group[0])
        if len(group) >= together or not fits:
            yield group
            group = []
        group.append(wave)
    if group:
        yield group


def _input(wave: np.ndarray, folder: Path) -> dict[str, Tensor]:
    return dict(preparer(AutoFeatureExtractor, folder)(wave, sampling_rate=SAMPLE_RATE, return_tensors="pt"))


def _inputs(waves: list[np.ndarray], folder: Path) -> dict[str, Tensor]:
    """Each wave prepared by itself, then padded."""
    prepared = [_input(wave, folder)["input_values"][0] for wave in waves]
    masks = [torch.ones(len(wave), dtype=torch.long) for wave in waves]
    return {
        "input_values": pad_sequence(prepared, batch_first=True),
        "attention_mask": pad_sequence(masks, batch_first=True),
    }
