"""Networks that read the samples of the wave, as wav2vec 2.0, HuBERT and WavLM do, for states or letters (CTC)."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoFeatureExtractor

from params import Precision
from preprocess.encoders.networks import inference, load, preparer
from preprocess.media.sound import SAMPLE_RATE

SHORTEST = 0.1  # seconds; a shorter wave is padded with zeros to this, which the convolutions need


def read(
    kind: Any,
    folder: Path,
    waves: Iterable[np.ndarray],
    device: str,
    pick: Callable[[Any], Tensor],
    precision: Precision = "float32",
    together: int = 1,
) -> Iterator[np.ndarray]:
    """For each wave (n,) at 16 kHz what `pick` takes of the network's output, (T, D) float32; `together` waves in a batch.

    Waves of several lengths are padded and masked. A network that normalises its first layer over time (group norm) would
    take the padding into account, so it gets waves of one length in a batch. A network without `conv_kernel` in its
    configuration gets one wave at a time.
    """
    network = load(kind, folder, device, precision)
    padded = (np.pad(wave, (0, max(0, int(SHORTEST * SAMPLE_RATE) - len(wave)))) for wave in waves)
    for group in _groups(padded, together, network.config):
        inputs = _inputs(group, folder) if len(group) > 1 else _input(group[0], folder)
        moved = {name: x.to(device, network.dtype if x.is_floating_point() else x.dtype) for name, x in inputs.items()}
        with inference():
            picked = pick(network(**moved, output_hidden_states=True)).float().cpu().numpy()
        for wave, rows in zip(group, picked, strict=True):
            yield rows[: states(len(wave), network.config)] if len(group) > 1 else rows


def states(samples: int, config: Any) -> int:
    """How many states the convolutions give for a wave of so many samples."""
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
