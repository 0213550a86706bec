"""One clip of the page: why it is shown, its time line, and what was decided of it."""

from dataclasses import dataclass

from lddu.page.choice import Chosen
from lddu.page.timeline import Timeline


@dataclass(frozen=True)
class Verdict:
    """Whether a decision is right, for the eye and for a screen reader."""

    kind: str  # CSS class
    sign: str
    name: str


# By what was predicted and what is true.
VERDICTS = {
    (True, True): Verdict("hit", "✓", "found"),
    (True, False): Verdict("miss", "✗", "false alarm"),
    (False, True): Verdict("miss", "✗", "missed"),
    (False, False): Verdict("hit", "✓", "rightly no"),
}


@dataclass(frozen=True)
class Card:
    """What card.html shows of a clip."""

    chosen: Chosen
    facts: list[str]  # how long the clip is, who speaks
    said: str  # its words; "" where there are none
    line: Timeline | None  # None: there is no medium of it on this machine
    intensities: dict[str, float]  # by label, where annotated

    @property
    def verdicts(self) -> dict[str, Verdict | None]:
        """By label; None where the truth is unknown."""
        decisions = self.chosen.prediction.decisions
        return {
            label: None if decision.true is None else VERDICTS[decision.predicted, decision.true]
            for label, decision in decisions.items()
        }
