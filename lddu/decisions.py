"""The decisions of evaluate on each clip, read back from its tables of predictions."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lddu.channels import BLOCKS, Channel, channels
from lddu.probability import LEAST

FOLDER = Path("data/predictions")


class DecisionsError(ValueError):
    """A table of predictions cannot be read; the message names the file and what is missing."""


@dataclass(frozen=True)
class Decision:
    """One label of one clip."""

    probability: float
    predicted: bool
    true: bool | None  # None where it is not annotated
    sigma: dict[str, float]  # by modality that is present: share of the training split whose σ is not larger
    doubt: float | None = None  # the chance that it is wrong; None where there is nothing to judge from
    sure: bool | None = None  # False: the answer is "unsure"; None where no risk was asked for
    alone: dict[str, float] = field(default_factory=dict)  # by modality that is present: the probability from it alone

    @property
    def answer(self) -> str:
        """yes, no or unsure."""
        return "unsure" if self.sure is False else "yes" if self.predicted else "no"

    @property
    def wrong(self) -> bool:
        return self.true is not None and self.predicted != self.true

    @property
    def conflict(self) -> float:
        """How far the readings of single modalities are apart; 0 where there are not several."""
        return max(self.alone.values()) - min(self.alone.values()) if len(self.alone) > 1 else 0.0

    @property
    def cross_entropy(self) -> float:
        """In nats; how surprised the probability is by the truth. 0 where that is unknown."""
        if self.true is None:
            return 0.0
        of_truth = self.probability if self.true else 1 - self.probability
        return -float(np.log(max(of_truth, LEAST)))


@dataclass(frozen=True)
class ClipDecisions:
    """One clip: the modalities that it has, and a decision for each label."""

    clip_id: str
    modalities: tuple[str, ...]
    decisions: dict[str, Decision]
    channels: dict[str, Channel] = field(default_factory=dict)  # by modality that is present: its noise and ambiguity
    novelty: float | None = None  # how unlike the training split's clips it is, as a quantile of these; None where unknown

    @property
    def doubt(self) -> float:
        """Mean over labels; 0 where there is none."""
        doubts = [decision.doubt for decision in self.decisions.values() if decision.doubt is not None]
        return float(np.mean(doubts)) if doubts else 0.0

    @property
    def scored(self) -> bool:
        return all(decision.true is not None for decision in self.decisions.values())

    @property
    def wrong(self) -> int:
        return sum(decision.wrong for decision in self.decisions.values())

    @property
    def positives(self) -> int:
        return sum(bool(decision.true) for decision in self.decisions.values())

    @property
    def cross_entropy(self) -> float:
        return float(np.mean([decision.cross_entropy for decision in self.decisions.values()]))

    @property
    def uncertainty(self) -> float:
        """Mean share over labels and present modalities; 0 where none is present."""
        shares = [share for decision in self.decisions.values() for share in decision.sigma.values()]
        return float(np.mean(shares)) if shares else 0.0


def read(path: Path, labels: list[str]) -> list[ClipDecisions]:
    """Every clip of a table, in its order; DecisionsError where a label has no columns."""
    with path.open(encoding="utf-8", newline="") as file:
        table = csv.DictReader(file)
        columns = list(table.fieldnames or ())
        wanted = ["clip_id", "modalities", *(f"{label}_{what}" for label in labels for what in ("probability", "predicted"))]
        missing = [column for column in wanted if column not in columns]
        if missing:
            raise DecisionsError(f"{path} has no column {', '.join(missing)}: run evaluate again")
        return [
            ClipDecisions(
                row["clip_id"],
                tuple(row["modalities"].split()),
                {label: _decision(row, label) for label in labels},
                channels(
                    {name: _number(cell) for name, cell in row.items() if name.startswith(BLOCKS)}, row["modalities"].split()
                ),
                _number(row.get("novelty")),
            )
            for row in table
        ]


def _decision(row: dict[str, str], label: str) -> Decision:
    true, prefix = row.get(f"{label}_true", ""), f"{label}_sigma_"
    sigma = {m: row.get(prefix + m, "") for m in row["modalities"].split()}
    alone = {m: _number(row.get(f"{label}_alone_{m}")) for m in row["modalities"].split()}
    return Decision(
        probability=float(row[f"{label}_probability"]),
        predicted=row[f"{label}_predicted"] == "1",
        true=true == "1" if true else None,
        sigma={m: float(share) for m, share in sigma.items() if share},
        doubt=_number(row.get(f"{label}_doubt")),
        sure=None if not (sure := row.get(f"{label}_sure")) else sure == "1",
        alone={m: probability for m, probability in alone.items() if probability is not None},
    )


def _number(cell: str | None) -> float | None:
    return float(cell) if cell else None
