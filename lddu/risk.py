"""Decisions that are sure, so that few of them are wrong: the cut on doubt, with a guarantee.

A decision is sure where its doubt is at most a cut, and `unsure` otherwise. The cut is the largest of a fixed row of cuts for
which valid proves that at most the share `risk` of the sure decisions is wrong. The guarantee: of a clip that is drawn as
valid's were (exchangeable with them) and has sure decisions, the share of wrong ones among these is on average at most `risk`,
except with a chance of 1 - `confidence` over the draw of valid. It holds for doubts and thresholds that were fixed without
valid. Here the doubts of valid are those of left-out folds, and the threshold, a single number, is chosen on valid, which the
proof does not cover; the metrics of test say what came of it. It does not hold for clips of another kind: another corpus,
other people than valid's are a sample of, noise that valid does not have. The labels of one clip depend on each other: so a
clip, and not a decision, is the unit of the proof.

That share need not rise with the cut, so no cut can be found by search. Instead the cuts are tested in a fixed order, each
with the whole error probability, until the first one fails (fixed-sequence testing; Learn then Test, arXiv 2110.01052). The
test is a bet against the hypothesis that too many sure decisions are wrong: with X the share of wrong ones among a clip's sure
decisions minus `risk`, the hypothesis is E[X] > 0, and under it the product of 1 - b X over the clips has an expectation of at
most 1 for every bet b in [0, 1 / max X]. So has its mean over several bets. It exceeds 1 / (1 - confidence) with a chance of
at most 1 - confidence (Markov's inequality; Waudby-Smith and Ramdas, arXiv 2010.09686). A binomial bound on all decisions
would take the labels of a clip for independent; one on clips would not use that few clips have many wrong ones.
"""

import numpy as np

# Bets, as shares of the largest that cannot lose everything.
BETS = np.arange(1, 40) / 40
# The cuts, in units of `risk`. Doubt is calibrated, so of the decisions up to the first cut about a quarter of `risk` is wrong:
# that can be proven of few clips. A first cut with fewer decisions would prove less.
CUTS = 0.5 * 1.05 ** np.arange(80)
NOTHING = -1.0  # the cut where nothing can be proven: no decision is sure


def largest_cut(doubt: np.ndarray, wrong: np.ndarray, risk: float, confidence: float) -> float:
    """The largest cut on doubt (N, C), given which decisions are wrong (N, C), that is proven; NOTHING where none is.

    N clips, C labels; a doubt that is NaN is of no decision.
    """
    best = NOTHING
    for cut in CUTS[risk * CUTS < 1] * risk:
        if log_evidence(share_wrong(doubt <= cut, wrong) - risk, 1 - risk) < -np.log(1 - confidence):
            break
        best = float(cut)
    return best


def share_wrong(sure: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """(n,): the share of wrong among the sure decisions (N, C) of each of the n clips that have one."""
    any_sure = sure.any(axis=1)
    return (sure & wrong)[any_sure].sum(axis=1) / sure[any_sure].sum(axis=1)


def log_evidence(excess: np.ndarray, most: float) -> float:
    """The logarithm of what bets against E[X] > 0 have won on X (N,), which is at most `most`; 0 is nothing won or lost."""
    bets = BETS[:, None] / most
    return float(np.logaddexp.reduce(np.log1p(-bets * excess).sum(axis=1)) - np.log(len(BETS)))


def scores(sure: np.ndarray, wrong: np.ndarray, labels: list[str]) -> dict:
    """Of decisions (N, C): `coverage`, the share that is sure; `risk`, the share of wrong ones among a clip's sure decisions,
    on average over the clips that have any, which is what the guarantee is about; and of each label by itself."""
    of_labels = {
        label: {"coverage": float(sure[:, c].mean()), "risk": mean_share_wrong(sure[:, [c]], wrong[:, [c]])}
        for c, label in enumerate(labels)
    }
    return {"coverage": float(sure.mean()), "risk": mean_share_wrong(sure, wrong), "per_label": of_labels}


def mean_share_wrong(sure: np.ndarray, wrong: np.ndarray) -> float:
    """0 where nothing is sure."""
    return float(share_wrong(sure, wrong).mean()) if sure.any() else 0.0
