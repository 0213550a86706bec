"""What a person is told of a modality of a clip: how noisy it is, and how ambiguous, by the two blocks of its σ.

Both are the mean over labels of log ‖σ‖ of the block, as its place among the training split's clips, since σ has no unit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from lddu import quantiles
from lddu.quantiles import Reference

BLOCKS = ("noise", "ambiguity")
HIGH = 0.9  # from this share of the training clips on, a person is told
SENSES = {"text": "read", "audio": "heard", "vision": "seen"}

# log ‖σ‖ (N, C) by block, as log_noise, and by modality; NaN where that is absent.
LogNorms = Mapping[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Channel:
    """One modality of a clip: shares of the training split's clips that have not more."""

    noise: float
    ambiguity: float

    def sentence(self, m: str) -> str:
        """What stands out, in words; nothing where nothing does."""
        sense = SENSES[m]
        if self.noise >= HIGH:
            return f"little can be {sense}" + (", and that is mixed" if self.ambiguity >= HIGH else "")
        return f"what can be {sense} is mixed" if self.ambiguity >= HIGH else ""


def of_clips(log_norms: LogNorms) -> dict[str, np.ndarray]:
    """(N, 1) by block and modality, as noise_text: the mean over labels."""
    return {f"{block}_{m}": x.mean(axis=1, keepdims=True) for block in BLOCKS for m, x in log_norms[f"log_{block}"].items()}


def reference_of(log_norms: LogNorms, present: dict[str, np.ndarray]) -> Reference:
    """Of the training split's clips that have a modality, sorted."""
    return {name: np.sort(x[present[name.partition("_")[2]]], axis=0) for name, x in of_clips(log_norms).items()}


def shares(log_norms: LogNorms, reference: Reference) -> dict[str, np.ndarray]:
    """(N,) by block and modality, as noise_text: the share of training clips that have not more; NaN where it is absent."""
    return {name: quantiles.shares(x, reference[name])[:, 0] for name, x in of_clips(log_norms).items()}


def channels(found: Mapping[str, float | None], modalities: Iterable[str]) -> dict[str, Channel]:
    """By modality, of one clip's shares; without those of which a share is unknown."""
    both = {m: [share for block in BLOCKS if (share := found.get(f"{block}_{m}")) is not None] for m in modalities}
    return {m: Channel(*map(float, of_modality)) for m, of_modality in both.items() if len(of_modality) == len(BLOCKS)}
