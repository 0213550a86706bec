"""The scores of a run as tables and in words."""

import math

from lddu.page.html import number, several, table, text
from lddu.predictions import Prediction

# Columns of the main table, and whether more of it is better.
SCORES = {
    "micro_f1": ("micro F1", True),
    "macro_f1": ("macro F1", True),
    "accuracy": ("accuracy", True),
    "micro_ap": ("micro AP", True),
    "hamming_loss": ("Hamming loss", False),
    "brier": ("Brier", False),
    "bce": ("cross-entropy", False),
    "calibration_error": ("calibration error", False),
}
BASELINES = {"prior": "label prior", "centre": "LDDU with μ alone", "joined": "probe on all joined"}
FEWEST_RANKED = 3  # clips over which a rank correlation says anything


def overview(scores: dict, split: str) -> str:
    """LDDU and what it is measured against on one split; the best of each column is marked."""
    runs = {"LDDU": scores} | {BASELINES.get(k, f"probe on {k}"): run for k, run in scores.get("baselines", {}).items()}
    shown = [name for name in SCORES if name in scores]
    best = {name: _best([run[name] for run in runs.values() if name in run], SCORES[name][1]) for name in shown}
    head = ["", *(f"{SCORES[name][0]} {'↑' if SCORES[name][1] else '↓'}" for name in shown), "threshold"]
    rows = [
        [text(title), *(_cell(run.get(name), best[name]) for name in shown), number(run.get("threshold"), 2)]
        for title, run in runs.items()
    ]
    about = f"<b>{text(split)}</b>, {several(scores['clips'], 'clip')}; network of epoch {scores['epoch']:g}"
    return table(about, head, rows, "scores")


def _best(values: list[float], more: bool) -> float | None:
    """None where there is nothing to compare."""
    if len(values) < 2:
        return None
    return max(values) if more else min(values)


def _cell(value: float | None, best: float | None) -> str:
    if value is None or value != best:
        return number(value)
    return f'<b class="best">{number(value)}<span class="unseen-text"> (best)</span></b>'


def per_label(scores: dict, predictions: list[Prediction]) -> str:
    """F1 and average precision of each label, and how many clips have it."""
    scored = [one for one in predictions if one.scored]
    rows = []
    for label, found in scores["per_label"].items():
        positives = sum(bool(one.decisions[label].true) for one in scored if label in one.decisions)
        share = positives / max(len(scored), 1)
        cells = [_measure(value) if positives else '<span class="quiet">no clip has it</span>' for value in found.values()]
        rows.append([text(label), f"{positives} <span class='quiet'>of {len(scored)}</span>", _measure(share), *cells])
    names = [{"f1": "F1 ↑", "ap": "AP ↑"}.get(name, name) for name in next(iter(scores["per_label"].values()), {})]
    return table("each label", ["", "clips with it", "share", *map(text, names)], rows, "labels")


def _measure(value: float) -> str:
    return f'<span class="measure"><u style="width:{100 * value:.1f}%"></u></span>{number(value, 2)}'


def follows(scores: dict) -> list[str]:
    """Of each modality, in words: does its σ rise with the noise that is known of it."""
    found = scores.get("uncertainty", {})
    return [f"<b>{text(m)}</b>: {_follows(one['noise_spearman'], one['clips'])}" for m, one in found.items() if "clips" in one]


def _follows(correlation: float, clips: int) -> str:
    """Twice the deviation of a rank correlation of unrelated numbers is what chance gives."""
    if clips < FEWEST_RANKED:
        return "its noise is not known here, so nobody can say whether σ follows it."
    chance = 2 / math.sqrt(clips - 1)
    measured = f"Spearman {number(correlation, 2, '+')} over {clips} clips"
    if abs(correlation) <= chance:
        return f"σ does not follow its noise: {measured}, within what chance gives (±{chance:.2f})."
    if correlation > 0:
        return f"σ rises with its noise: {measured}."
    return f"σ <em>falls</em> as its noise rises, the wrong way round: {measured}."
