"""How far each decision can be trusted: its doubt, whether it is sure, and how novel the clip is.

`doubt.py`, `risk.py` and `novelty.py` have the three parts. Here they are learned from a run's train and valid, scored, and
kept in one folder beside the predictions, so that `lddu predict` judges new clips in the same way.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lddu import doubt, novelty, risk
from lddu.doubt import Doubt, Signs
from lddu.novelty import Novelty

FILE = "judgement.json"
FILES = (FILE, doubt.FILE, novelty.FILE)


@dataclass(frozen=True)
class Judgement:
    """N clips, C labels."""

    doubt: np.ndarray  # (N, C): the chance that a decision is wrong; NaN where a clip has no modality
    sure: np.ndarray | None  # (N, C) bool; None where no risk was asked for
    novelty: dict[str, np.ndarray]  # (N,) by modality: quantile of the training split, NaN where it is absent
    clip_novelty: np.ndarray  # (N,) of all modalities together
    alone: dict[str, np.ndarray]  # (N, C) by modality: the probability that it gives each label alone, NaN where it is absent

    def select(self, chosen: np.ndarray) -> "Judgement":
        """The clips where `chosen` (N,) is true."""
        sure = None if self.sure is None else self.sure[chosen]
        of_modality = {m: x[chosen] for m, x in self.novelty.items()}
        alone = {m: x[chosen] for m, x in self.alone.items()}
        return Judgement(self.doubt[chosen], sure, of_modality, self.clip_novelty[chosen], alone)

    def put(self, chosen: np.ndarray, other: "Judgement") -> "Judgement":
        """This one, with the doubt and sureness of another where `chosen` (N,) is true."""
        doubts, sure = self.doubt.copy(), None if self.sure is None else self.sure.copy()
        doubts[chosen] = other.doubt
        if sure is not None and other.sure is not None:
            sure[chosen] = other.sure
        return Judgement(doubts, sure, self.novelty, self.clip_novelty, self.alone)

    def scores(self, wrong: np.ndarray, labels: list[str], bins: int) -> dict:
        """Of decisions that are wrong or not (N, C): how good doubt is, which decisions are sure, how novel the clips are."""
        known = ~np.isnan(self.doubt)
        found: dict = {
            "doubt": doubt.scores(self.doubt[known], wrong[known], bins),
            "novelty": {
                "unlike": float((self.clip_novelty > novelty.UNLIKE).mean()),
                **{m: float((share > novelty.UNLIKE).mean()) for m, share in self.novelty.items()},
            },
        }
        return found if self.sure is None else found | {"sure": risk.scores(self.sure, wrong, labels)}


@dataclass(frozen=True)
class Judge:
    """What was learned of one trained network."""

    doubt: Doubt
    novelty: Novelty
    cut: float | None  # the largest doubt of a sure decision; risk.NOTHING: none is sure; None: no risk was asked for

    def of(self, signs: Signs, rows: dict[str, np.ndarray], thresholds: np.ndarray) -> Judgement:
        """Of clips with these mean rows (N, D) by modality, and decisions at these thresholds (C,)."""
        of_modality, of_clip = self.novelty.of(rows)
        signs = with_novelty(signs, of_modality)
        return self.judged(signs, self.doubt.of(signs, thresholds), of_modality, of_clip)

    def judged(self, signs: Signs, doubts: np.ndarray, of_modality: dict[str, np.ndarray], of_clip: np.ndarray) -> Judgement:
        with np.errstate(invalid="ignore"):  # NaN where a modality is absent
            alone = {m: np.exp(-np.logaddexp(0, -odds)) for m, odds in signs.alone.items()}
        return Judgement(doubts, None if self.cut is None else doubts <= self.cut, of_modality, of_clip, alone)


def with_novelty(signs: Signs, of_modality: dict[str, np.ndarray]) -> Signs:
    """The novelty of each modality among the shares, the same for all labels."""
    labels = signs.log_odds.shape[1]
    novel = {f"novelty {m}": np.repeat(share[:, None], labels, axis=1) for m, share in of_modality.items()}
    return Signs(signs.log_odds, signs.alone, signs.shares | novel)


@dataclass(frozen=True)
class Calibration:
    """The clips of valid whose labels are all known."""

    signs: Signs
    rows: dict[str, np.ndarray]  # mean rows (N, D) by modality
    true: np.ndarray  # (N, C) bool
    people: np.ndarray  # (N,) the same number for clips of one speaker


def learn(
    known: Novelty, valid: Calibration, thresholds: np.ndarray, most_wrong: float | None, confidence: float
) -> tuple[Judge, Judgement]:
    """The judge, and its judgement of valid's own clips, in which each was left out of what was learned."""
    of_modality, of_clip = known.of(valid.rows)
    signs = with_novelty(valid.signs, of_modality)
    learned, probs = doubt.fit(signs, valid.true, valid.people)
    doubts = doubt.of_decisions(probs, signs, thresholds)
    wrong = (np.exp(-np.logaddexp(0, -signs.log_odds)) >= thresholds) != valid.true
    cut = None if most_wrong is None else risk.largest_cut(doubts, wrong, most_wrong, confidence)
    judge = Judge(learned, known, cut)
    return judge, judge.judged(signs, doubts, of_modality, of_clip)


def write(folder: Path, judge: Judge) -> None:
    doubt.write(folder / doubt.FILE, judge.doubt)
    novelty.write(folder / novelty.FILE, judge.novelty)
    (folder / FILE).write_text(json.dumps({"cut": judge.cut}, indent=2) + "\n", encoding="utf-8")


def read(folder: Path) -> Judge:
    """FileNotFoundError, or KeyError, TypeError or ValueError where a file is of another version."""
    tree = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return Judge(doubt.read(folder / doubt.FILE), novelty.read(folder / novelty.FILE), tree["cut"])
