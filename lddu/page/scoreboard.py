"""The scores of one split, as the page shows them: beside the baselines, label by label, and σ beside known noise."""

import math
from dataclasses import dataclass

from lddu.decisions import ClipDecisions
from lddu.titles import title_of

# Columns of the main table: title, and whether more of it is better.
COLUMNS = {
    "micro_f1": ("micro F1", True),
    "macro_f1": ("macro F1", True),
    "accuracy": ("accuracy", True),
    "weighted_accuracy": ("WA, of the likeliest label", True),
    "unweighted_accuracy": ("UA", True),
    "micro_ap": ("micro AP", True),
    "hamming_loss": ("Hamming loss", False),
    "brier": ("Brier", False),
    "bce": ("cross-entropy", False),
    "calibration_error": ("calibration error", False),
}
FEWEST_RANKED = 3  # clips; a rank correlation over fewer says nothing


@dataclass(frozen=True)
class Score:
    value: float | None
    best: bool  # of its column, where there is something to compare


@dataclass(frozen=True)
class Run:
    """LDDU or a baseline: a row of the main table."""

    title: str
    scores: list[Score]
    threshold: float | None


@dataclass(frozen=True)
class LabelScores:
    """A row of the table of labels."""

    label: str
    positives: int  # clips that have the label
    clips: int  # clips whose labels are all known
    f1: float
    ap: float

    @property
    def share(self) -> float:
        return self.positives / max(self.clips, 1)


@dataclass(frozen=True)
class NoiseResponse:
    """Does a modality's σ rise with the noise that is known of it: Spearman's correlation over the clips that have both."""

    modality: str
    correlation: float
    clips: int

    @property
    def chance(self) -> float:
        """Twice the standard deviation of the rank correlation of unrelated numbers."""
        return 2 / math.sqrt(max(self.clips - 1, 1))

    @property
    def verdict(self) -> str:
        """`unknown`, `none` (within what chance gives), `rises` or `falls`."""
        if self.clips < FEWEST_RANKED:
            return "unknown"
        if abs(self.correlation) <= self.chance:
            return "none"
        return "rises" if self.correlation > 0 else "falls"


@dataclass(frozen=True)
class Sure:
    """How many decisions are sure, and how many of these are wrong."""

    label: str
    coverage: float
    risk: float


@dataclass(frozen=True)
class Board:
    """All of one split."""

    split: str
    clips: int
    epoch: float
    head: list[str]
    runs: list[Run]
    labels: list[LabelScores]
    noise: list[NoiseResponse]
    calibration_error: float | None
    sure: list[Sure]  # of all labels together, then of each; empty where no risk was asked for


def board_of(split: str, scores: dict, predictions: list[ClipDecisions]) -> Board:
    """Of the tree in metrics/<split>.json, and the split's predictions."""
    columns = [name for name in COLUMNS if name in scores]
    arrows = {name: "↑" if COLUMNS[name][1] else "↓" for name in columns}
    return Board(
        split=split,
        clips=scores["clips"],
        epoch=scores["epoch"],
        head=["", *(f"{COLUMNS[name][0]} {arrows[name]}" for name in columns), "threshold"],
        runs=runs_of(scores, columns),
        labels=labels_of(scores, predictions),
        noise=[
            NoiseResponse(m, response["noise_spearman"], response["clips"])
            for m, response in scores.get("uncertainty", {}).items()
            if "clips" in response
        ],
        calibration_error=scores.get("calibration_error"),
        sure=sure_of(scores.get("sure")),
    )


def sure_of(scores: dict | None) -> list[Sure]:
    if scores is None:
        return []
    rows = {"all labels": scores, **scores["per_label"]}
    return [Sure(label, row["coverage"], row["risk"]) for label, row in rows.items()]


def runs_of(scores: dict, columns: list[str]) -> list[Run]:
    """LDDU, then the baselines."""
    runs = {"LDDU": scores} | {title_of(name): run for name, run in scores.get("baselines", {}).items()}
    best = {name: _best([run[name] for run in runs.values() if name in run], COLUMNS[name][1]) for name in columns}
    return [
        Run(
            title,
            [Score(run.get(name), best[name] is not None and run.get(name) == best[name]) for name in columns],
            run.get("threshold"),
        )
        for title, run in runs.items()
    ]


def _best(values: list[float], more: bool) -> float | None:
    """None where there is nothing to compare."""
    if len(values) < 2:
        return None
    return max(values) if more else min(values)


def labels_of(scores: dict, predictions: list[ClipDecisions]) -> list[LabelScores]:
    scored = [clip for clip in predictions if clip.scored]
    positives = {
        label: sum(bool(clip.decisions[label].true) for clip in scored if label in clip.decisions)
        for label in scores["per_label"]
    }
    return [
        LabelScores(label, positives[label], len(scored), of_label["f1"], of_label["ap"])
        for label, of_label in scores["per_label"].items()
    ]
