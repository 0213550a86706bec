"""Which clips a reader should look at, and why: the best, the worst, the most doubtful, the most uncertain, the most novel,
the incomplete, and chance."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lddu.decisions import ClipDecisions
from lddu.novelty import UNLIKE


@dataclass(frozen=True)
class Chosen:
    """A clip, and why it is shown."""

    prediction: ClipDecisions
    reason: str
    detail: str


def choose(predictions: list[ClipDecisions], modalities: list[str], count: int, seed: int) -> list[Chosen]:
    """Up to `count` clips, one of each reason in turn until there are enough, ordered by reason.

    `modalities` are those of the corpus. The same predictions and seed give the same clips.
    """
    queues = [
        _best(predictions),
        _worst(predictions),
        _doubtful(predictions),
        _uncertain(predictions),
        _novel(predictions),
        _incomplete(predictions, modalities),
        _random(predictions, seed),
    ]
    chosen: dict[str, tuple[int, Chosen]] = {}  # by clip id, with the number of the queue
    while len(chosen) < min(count, len(predictions)):
        for place, queue in enumerate(queues):
            candidate = next((clip for clip in queue if clip.prediction.clip_id not in chosen), None)
            if candidate and len(chosen) < count:
                chosen[candidate.prediction.clip_id] = place, candidate
    return [clip for _, clip in sorted(chosen.values(), key=lambda item: item[0])]


# Each of these yields the most telling clips first.


def _best(predictions: list[ClipDecisions]) -> Iterator[Chosen]:
    """Of clips that have a label and most decisions right: the fewest wrong ones, then the lowest cross-entropy."""
    candidates = [clip for clip in predictions if clip.scored and clip.positives and 2 * clip.wrong < len(clip.decisions)]
    for clip in sorted(candidates, key=lambda clip: (clip.wrong, clip.cross_entropy, clip.clip_id)):
        surprise = f"cross-entropy {clip.cross_entropy:.2f}"
        if clip.wrong:
            yield Chosen(clip, "Nearly right", f"{_wrong(clip)}, {surprise}; few clips do better")
        else:
            yield Chosen(clip, "Right and sure", f"every decision is right, {surprise}, a low one")


def _worst(predictions: list[ClipDecisions]) -> Iterator[Chosen]:
    candidates = [clip for clip in predictions if clip.scored and clip.wrong]
    for clip in sorted(candidates, key=lambda clip: (-clip.cross_entropy, clip.clip_id)):
        yield Chosen(clip, "Wrong and sure", f"{_wrong(clip)}, cross-entropy {clip.cross_entropy:.2f}, among the highest")


def _wrong(clip: ClipDecisions) -> str:
    return f"{clip.wrong} of {len(clip.decisions)} decisions wrong"


def _uncertain(predictions: list[ClipDecisions]) -> Iterator[Chosen]:
    candidates = [clip for clip in predictions if clip.uncertainty > 0]
    for clip in sorted(candidates, key=lambda clip: (-clip.uncertainty, clip.clip_id)):
        percent = f"{100 * clip.uncertainty:.0f}"
        yield Chosen(clip, "Most uncertain", f"on average its σ is at percentile {percent} of the training clips")


def _doubtful(predictions: list[ClipDecisions]) -> Iterator[Chosen]:
    candidates = [clip for clip in predictions if clip.doubt > 0]
    for clip in sorted(candidates, key=lambda clip: (-clip.doubt, clip.clip_id)):
        yield Chosen(clip, "Most doubtful", f"{clip.doubt * len(clip.decisions):.1f} of its decisions are expected to be wrong")


def _novel(predictions: list[ClipDecisions]) -> Iterator[Chosen]:
    candidates = [(clip.novelty, clip) for clip in predictions if clip.novelty is not None and clip.novelty > UNLIKE]
    for novelty, clip in sorted(candidates, key=lambda item: (-item[0], item[1].clip_id)):
        share = f"{100 * (1 - novelty):.1f} % of the training clips are as far from those of other people"
        yield Chosen(clip, "Unlike the training clips", share)


def _incomplete(predictions: list[ClipDecisions], modalities: list[str]) -> Iterator[Chosen]:
    """A clip of each combination of modalities before a second of any."""
    candidates = sorted((clip for clip in predictions if set(modalities) - set(clip.modalities)), key=lambda clip: clip.clip_id)
    seen: Counter[tuple[str, ...]] = Counter()
    ranked = []
    for clip in candidates:
        ranked.append((seen[clip.modalities], len(clip.modalities), clip))
        seen[clip.modalities] += 1
    for _, _, clip in sorted(ranked, key=lambda item: item[:2]):
        absent = " and no ".join(m for m in modalities if m not in clip.modalities)
        yield Chosen(clip, "Incomplete", f"it has no {absent}")


def _random(predictions: list[ClipDecisions], seed: int) -> Iterator[Chosen]:
    candidates = sorted(predictions, key=lambda clip: clip.clip_id)
    for i in np.random.default_rng(seed).permutation(len(candidates)):
        yield Chosen(candidates[i], "By chance", f"drawn with seed {seed}")
