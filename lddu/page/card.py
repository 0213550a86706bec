"""One clip of the report: why it is shown, its time line, and what was decided of it."""

from lddu.page.choice import Chosen
from lddu.page.html import table, text
from lddu.predictions import Decision, Prediction

# By what was predicted and what is true.
VERDICTS = {
    (True, True): ("hit", "✓", "found"),
    (True, False): ("miss", "✗", "false alarm"),
    (False, True): ("miss", "✗", "missed"),
    (False, False): ("hit", "✓", "rightly no"),
}


def card(chosen: Chosen, facts: str, said: str, sides: str) -> str:
    """An article; `sides` is the HTML of its time line and decisions, `said` the clip's text or ""."""
    found = chosen.prediction
    quote = f'<p class="said"><bdi>{text(said)}</bdi></p>' if said else ""
    return (
        f"<article><header><h3>{text(found.clip_id)}</h3><p>{text(facts)}</p>"
        f'<p class="why"><b>{text(chosen.reason)}</b>: {text(chosen.detail)}.</p>{quote}</header>'
        f'<div class="sides">{sides}</div></article>'
    )


def decisions(found: Prediction, modalities: list[str], thresholds: dict[str, float], intensities: dict[str, float]) -> str:
    """A row a label: probability, decision, truth, and σ of each modality."""
    head = ["label", "probability", "decided", "true", *(f'<span class="m {m}">σ<br>{m}</span>' for m in modalities)]
    rows = [
        [
            text(label),
            _bar(decision, thresholds.get(label)),
            _verdict(decision),
            _truth(decision, intensities.get(label)),
            *(_sigma(decision.sigma.get(m), m, label) for m in modalities),
        ]
        for label, decision in found.decisions.items()
    ]
    present = ", ".join(found.modalities) or "no modality, so the label prior is all there is"
    return table(f'<span class="quiet">decided from {text(present)}</span>', head, rows, "decisions")


def _bar(decision: Decision, threshold: float | None) -> str:
    mark = "" if threshold is None else f'<i style="left:{100 * threshold:.1f}%"></i>'
    kind = " yes" if decision.predicted else ""
    bar = f'<span class="bar{kind}" aria-hidden="true"><u style="width:{100 * decision.probability:.1f}%"></u>{mark}</span>'
    return f'<span class="p">{bar}{decision.probability:.2f}</span>'


def _verdict(decision: Decision) -> str:
    said = "yes" if decision.predicted else "no"
    if decision.true is None:
        return said
    kind, sign, name = VERDICTS[decision.predicted, decision.true]
    return f'<span class="{kind}" title="{name}">{said} <span aria-label="{name}" role="img">{sign}</span></span>'


def _truth(decision: Decision, intensity: float | None) -> str:
    if decision.true is None:
        return '<span class="quiet">unknown</span>'
    if not decision.true:
        return "no"
    return "<b>yes</b>" + (f' <span class="quiet">{intensity:.2g}</span>' if intensity else "")


def _sigma(share: float | None, modality: str, label: str) -> str:
    if share is None:
        return f'<span class="quiet" title="{text(modality)} is absent">–<span class="unseen-text"> absent</span></span>'
    about = f"σ of {modality} for {label} is not below that of {share:.0%} of the training clips"
    percent = f"{100 * share:.0f}"
    return f'<span class="q {modality}" title="{text(about)}"><u style="--q:{percent}%"></u>{percent}</span>'
