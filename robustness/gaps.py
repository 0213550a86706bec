"""Gaps in time, for sound that drops out and for pictures that are lost."""

import numpy as np


def gaps(seconds: float, share: float, shortest: float, longest: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Begin and end of gaps that together are a share of the time; the last one drawn is cut to fit."""
    edges = [0.0]
    while edges[-1] < seconds:
        edges.append(min(seconds, edges[-1] + rng.uniform(shortest, longest)))
    missing, left = list[tuple[float, float]](), share * seconds
    for i in rng.permutation(len(edges) - 1).tolist():
        length = min(left, edges[i + 1] - edges[i])
        if length > 0:
            missing.append((edges[i], edges[i] + length))
            left -= length
    return sorted(missing)
