"""States of pictures from a pretrained image encoder, such as CLIP or ViT."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoConfig, AutoImageProcessor, AutoModel, CLIPVisionModel

import params
from params import ParameterError
from preprocess.encoders.networks import batches, inference, joined, load, numbers, of_vision, preparer


def kind(folder: Path) -> Any:
    """The class that loads a network's image encoder: of CLIP, that without its text encoder."""
    return CLIPVisionModel if preparer(AutoConfig, folder).model_type.startswith("clip") else AutoModel


@inference()
def encode(pictures: Iterable[np.ndarray], folder: Path, device: str, settings: params.EncodeVision) -> np.ndarray:
    """States (T, D) float32 of T pictures (height, width, 3) uint8 RGB, read a batch at a time: a film never lies in memory.

    ParameterError where the network's states are not those of patches.
    """
    network, processor = load(kind(folder), folder, device, settings.precision), preparer(AutoImageProcessor, folder)
    width = of_vision(folder).hidden_size * len(numbers(settings.layer))
    pooled_states = [np.zeros((0, width), np.float32)]
    for batch in batches(pictures, settings.batch_size):
        pixels = processor(images=batch, return_tensors="pt").pixel_values.to(device, network.dtype)
        layers = network(pixel_values=pixels, output_hidden_states=True).hidden_states
        if layers[-1].dim() != 3:
            raise ParameterError(
                f"models.vision: {folder} gives states of shape {tuple(layers[-1].shape[1:])} for a picture: "
                "name an encoder of patches, such as CLIP or ViT"
            )
        hidden = joined(layers, settings.layer)
        pooled = hidden[:, 0] if settings.pooling == "first" else hidden.mean(1)
        pooled_states.append(pooled.float().cpu().numpy())
    return np.concatenate(pooled_states)
