"""Which clips a reader should look at, and why: the best, the worst, the most uncertain, the incomplete, and chance."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lddu.predictions import Prediction


@dataclass(frozen=True)
class Chosen:
    """A clip, and why it is shown."""

    prediction: Prediction
    reason: str
    detail: str


def choose(predictions: list[Prediction], modalities: list[str], count: int, seed: int) -> list[Chosen]:
    """Up to `count` clips, one of each reason in turn until there are enough, ordered by reason.

    `modalities` are those of the corpus. The same predictions and seed give the same clips.
    """
    queues = [
        _best(predictions),
        _worst(predictions),
        _uncertain(predictions),
        _incomplete(predictions, modalities),
        _random(predictions, seed),
    ]
    found: dict[str, tuple[int, Chosen]] = {}  # by clip id, with the number of the queue
    while len(found) < min(count, len(predictions)):
        for place, queue in enumerate(queues):
            one = next((one for one in queue if one.prediction.clip_id not in found), None)
            if one and len(found) < count:
                found[one.prediction.clip_id] = place, one
    return [one for _, one in sorted(found.values(), key=lambda item: item[0])]


# Each of these yields the most telling clips first.


def _best(predictions: list[Prediction]) -> Iterator[Chosen]:
    """Of clips that have a label and most decisions right: the fewest wrong ones, then the lowest cross-entropy."""
    able = [one for one in predictions if one.scored and one.positives and 2 * one.wrong < len(one.decisions)]
    for one in sorted(able, key=lambda one: (one.wrong, one.cross_entropy, one.clip_id)):
        if one.wrong:
            yield Chosen(one, "Nearly right", f"{_wrong(one)}, cross-entropy {one.cross_entropy:.2f}; few clips do better")
        else:
            yield Chosen(one, "Right and sure", f"every decision is right, cross-entropy {one.cross_entropy:.2f}, a low one")


def _worst(predictions: list[Prediction]) -> Iterator[Chosen]:
    able = [one for one in predictions if one.scored and one.wrong]
    for one in sorted(able, key=lambda one: (-one.cross_entropy, one.clip_id)):
        yield Chosen(one, "Wrong and sure", f"{_wrong(one)}, cross-entropy {one.cross_entropy:.2f}, among the highest")


def _wrong(one: Prediction) -> str:
    return f"{one.wrong} of {len(one.decisions)} decisions wrong"


def _uncertain(predictions: list[Prediction]) -> Iterator[Chosen]:
    able = [one for one in predictions if one.uncertainty > 0]
    for one in sorted(able, key=lambda one: (-one.uncertainty, one.clip_id)):
        percent = f"{100 * one.uncertainty:.0f}"
        yield Chosen(one, "Most uncertain", f"on average its σ is at percentile {percent} of the training clips")


def _incomplete(predictions: list[Prediction], modalities: list[str]) -> Iterator[Chosen]:
    """A clip of each combination of modalities before a second of any."""
    able = sorted((one for one in predictions if set(modalities) - set(one.modalities)), key=lambda one: one.clip_id)
    seen: Counter[tuple[str, ...]] = Counter()
    ranked = []
    for one in able:
        ranked.append((seen[one.modalities], len(one.modalities), one))
        seen[one.modalities] += 1
    for _, _, one in sorted(ranked, key=lambda item: item[:2]):
        absent = " and no ".join(m for m in modalities if m not in one.modalities)
        yield Chosen(one, "Incomplete", f"it has no {absent}")


def _random(predictions: list[Prediction], seed: int) -> Iterator[Chosen]:
    able = sorted(predictions, key=lambda one: one.clip_id)
    for i in np.random.default_rng(seed).permutation(len(able)):
        yield Chosen(able[i], "By chance", f"drawn with seed {seed}")
