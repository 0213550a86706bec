"""Probabilities that may be 0 or 1, kept away from both, so that their logarithms stay finite."""

import numpy as np

# What is written with six digits as 0 or 1 is at most this far from it; and a certain, wrong decision costs 14 nats at most.
LEAST = 1e-6


def clipped(probs: np.ndarray | float) -> np.ndarray:
    return np.clip(probs, LEAST, 1 - LEAST)


def logit(probs: np.ndarray | float) -> np.ndarray:
    """log p - log (1 - p)."""
    p = clipped(probs)
    return np.log(p) - np.log1p(-p)
