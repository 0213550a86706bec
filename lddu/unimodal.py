"""What a network says of a clip from one modality alone. A prediction needs nothing else of what evaluate imports."""

import numpy as np
import torch
from torch import Tensor

from lddu.model import LDDU


@torch.inference_mode()
def alone(model: LDDU, features: dict[str, Tensor], masks: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """By modality (B, C): log p - log (1 - p) of every label, from features (B, L, D) and masks (B, L) of that modality alone;
    NaN where it is absent."""
    found = {}
    for m in model.config.dims:
        if m not in masks:
            other = next(iter(masks.values()))
            found[m] = np.full((len(other), model.config.labels), np.nan)
            continue
        output = model({m: features[m]}, {m: masks[m]})
        odds = (output.log_probs - output.log_not_probs).masked_fill(~output.present[m][:, None], torch.nan)
        found[m] = odds.double().cpu().numpy()
    return found
