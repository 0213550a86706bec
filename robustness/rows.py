"""The scores of each network on each kind and level of corruption."""

from dataclasses import dataclass

import numpy as np

from robustness import answers
from robustness.answers import Answers
from robustness.arena import CLEAN, WITHOUT, Arena
from robustness.kinds import KINDS


@dataclass(frozen=True)
class Row:
    """The scores of one network at one level of one kind of corruption; level 0: as the clips are."""

    kind: str
    level: int
    network: str
    clips: int
    scores: dict[str, float]
    absent: dict[str, float]  # the scores of the same clips without the modality; as `cost`, empty at level 0
    cost: dict[str, float]  # how much worse than these, with standard errors

    @property
    def modality(self) -> str:
        return KINDS[self.kind].modality

    @property
    def holds(self) -> dict[str, bool]:
        """By score: is the corrupted modality no worse than an absent one, beyond one standard error?"""
        return {name: self.cost[name] <= self.cost[f"{name}_error"] for name in ("bce", "micro_f1") if self.cost}


def rows_of(network: str, found: Arena, given: dict[str, Answers], thresholds: np.ndarray, bins: int) -> list[Row]:
    """A row for each kind and level, and one for each kind at level 0, on the clips that have the modality."""
    place = {clip_id: i for i, clip_id in enumerate(found.splits[CLEAN].clip_ids)}
    rows = []
    for kind, cases in found.cases.items():
        levels = np.array([case.level for case in cases])
        same_clips = np.array([place[case.clip_id] for case in cases])
        true = found.splits[kind].present.numpy()
        first = np.array(sorted(set(same_clips.tolist())))
        true_once = found.splits[CLEAN].present.numpy()[first]
        clean = answers.scores_of(true_once, given[CLEAN].part(first), thresholds, bins)
        rows.append(Row(kind, 0, network, len(first), clean, {}, {}))
        for level in sorted(set(levels.tolist())):
            at = levels == level
            corrupted, absent = given[kind].part(at), given[f"{WITHOUT}{KINDS[kind].modality}"].part(same_clips[at])
            scores = answers.scores_of(true[at], corrupted, thresholds, bins)
            without = answers.scores_of(true[at], absent, thresholds, bins)
            cost = answers.cost(true[at], corrupted, absent, thresholds)
            rows.append(Row(kind, level, network, int(at.sum()), scores, without, cost))
    return rows
