"""What the people of the corpus feel: label sets and intensities, distributed like those of CMU-MOSEI."""

import numpy as np
from numpy.typing import NDArray

LABELS = ("happy", "sad", "anger", "surprise", "disgust", "fear")
STEP = 1 / 3  # intensities are means of three annotators' whole numbers from 0 to 3
HIGHEST = 9  # steps

# Clips in a hundred with each set of labels: CMU-MOSEI's proportions, rounded, its rarest sets merged into these.
SETS: dict[tuple[str, ...], int] = {
    (): 15,
    ("happy",): 32,
    ("sad",): 8,
    ("anger",): 5,
    ("surprise",): 1,
    ("disgust",): 2,
    ("fear",): 1,
    ("happy", "sad"): 4,
    ("happy", "surprise"): 4,
    ("happy", "anger"): 3,
    ("happy", "fear"): 2,
    ("happy", "disgust"): 1,
    ("anger", "disgust"): 4,
    ("sad", "disgust"): 2,
    ("sad", "anger"): 2,
    ("sad", "fear"): 2,
    ("sad", "surprise"): 1,
    ("surprise", "disgust"): 1,
    ("sad", "anger", "disgust"): 4,
    ("happy", "sad", "fear"): 1,
    ("happy", "anger", "disgust"): 1,
    ("happy", "surprise", "fear"): 1,
    ("sad", "surprise", "disgust"): 1,
    ("anger", "surprise", "disgust"): 1,
    ("anger", "disgust", "fear"): 1,
}
# Chance that an annotator adds one more step, by label: MOSEI's happiness is often strong, its surprise hardly ever.
PERSISTENCE = {"happy": 0.65, "sad": 0.5, "anger": 0.6, "surprise": 0.35, "disgust": 0.55, "fear": 0.4}


def label_sets(count: int, rng: np.random.Generator) -> list[tuple[str, ...]]:
    """A label set for each of `count` clips in random order, their numbers as near to SETS as whole numbers allow.

    Evenly spaced quantiles instead of independent draws: even a small split has every common label.
    """
    names = sorted(SETS)
    shares = np.cumsum([SETS[name] for name in names]) / sum(SETS.values())
    quantiles = (np.arange(count) + rng.random()) / count
    chosen = np.minimum(np.searchsorted(shares, quantiles, side="right"), len(names) - 1)
    return [names[i] for i in rng.permutation(chosen)]


def intensities(labels: tuple[str, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """(6,) intensities in LABELS' order: multiples of STEP, above 0 exactly where the label is in the set."""
    steps = [min(int(rng.geometric(1 - PERSISTENCE[name])), HIGHEST) if name in labels else 0 for name in LABELS]
    return np.array(steps) * STEP


def strength(intensity: NDArray[np.float64]) -> NDArray[np.float64]:
    """How strongly an intensity shows, 0 to 1; the weakest emotion shows more than half as much as the strongest."""
    return (intensity / (HIGHEST * STEP)) ** 0.3
