"""Clips in folds, each of which is judged by what was learned from the others."""

from collections.abc import Iterator

import numpy as np

FOLDS = 5


def of_people(people: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of clips to learn from and of clips to judge, at most FOLDS times: no speaker is in both, if there are several.

    `people` (N,) is the same number for clips of one speaker.
    """
    from sklearn.model_selection import GroupKFold  # not imported for a prediction

    groups = people if len(np.unique(people)) > 1 else np.arange(len(people))
    yield from GroupKFold(min(FOLDS, len(np.unique(groups)))).split(groups, groups=groups)
