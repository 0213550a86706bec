"""What the network, and what it is compared with, answer on the arena; and the scores of answers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from lddu import baselines, metrics, mlp, uncertainty, weights
from lddu.batches import Clips, in_order
from lddu.engine import predict
from lddu.probability import clipped, logit
from lddu.tensors import Split

LDDU = "lddu"
MODEL = Path("data/model")
BATCH = 64


@dataclass(frozen=True)
class Answers:
    """Of N clips and C labels."""

    probs: np.ndarray  # (N, C)
    log_probs: np.ndarray  # (N, C)
    log_not_probs: np.ndarray  # (N, C)
    # By modality (N, C): log ‖σ‖ of all of σ and of its block of noise, NaN where it is absent; empty for what has no σ.
    log_sigma: dict[str, np.ndarray] = field(default_factory=dict)
    log_noise: dict[str, np.ndarray] = field(default_factory=dict)

    def part(self, chosen: np.ndarray) -> "Answers":
        """Those of the clips where `chosen` (N,) is true."""
        of_sigma, of_noise = ({m: x[chosen] for m, x in part.items()} for part in (self.log_sigma, self.log_noise))
        return Answers(self.probs[chosen], self.log_probs[chosen], self.log_not_probs[chosen], of_sigma, of_noise)

    def loss(self, true: np.ndarray) -> np.ndarray:
        """(N,): each clip's mean cross-entropy over the labels."""
        return -np.where(true, self.log_probs, self.log_not_probs).mean(axis=1)


def of_networks(splits: dict[str, Split], accelerator: Accelerator) -> Iterator[tuple[str, dict[str, Answers]]]:
    """Name and answers by split of LDDU, of its centre alone, and of networks of further seeds."""
    for folder in [MODEL, *sorted(path.parent for path in MODEL.glob("*/config.json"))]:
        model, _ = weights.load(folder)
        model.to(accelerator.device)
        has_sigma = folder.name != weights.CENTRE
        answers = {}
        for name, split in splits.items():
            found = predict(model, in_order(Clips(split, accelerator.device), BATCH), accelerator)
            answers[name] = Answers(
                found.probs,
                found.log_probs,
                found.log_not_probs,
                found.log_sigma if has_sigma else {},
                found.log_noise if has_sigma else {},
            )
        yield (LDDU if folder == MODEL else folder.name), answers


def of_baselines(train: Split, splits: dict[str, Split]) -> Iterator[tuple[str, dict[str, Answers]]]:
    """Name and answers by split of the baselines that see every modality: the MLP and the probe; `splits` has "valid"."""
    model, card = weights.load(MODEL)
    for perceptron in mlp.load_all(MODEL)[:1]:
        yield "mlp", {name: _of_probs(perceptron.probabilities(split)) for name, split in splits.items()}
    single = {"prior", *(train.features if len(train.features) > 1 else ())}
    deviation = model.config.rows == "mean_deviation"
    for name, probs in baselines.probabilities(train, splits, np.array(card.prior), deviation):
        if name not in single:
            yield name, {split: _of_probs(x) for split, x in probs.items()}


def _of_probs(probs: np.ndarray) -> Answers:
    p = clipped(probs)
    return Answers(probs, np.log(p), np.log1p(-p))


def scores_of(true: np.ndarray, answers: Answers, thresholds: np.ndarray, bins: int) -> dict[str, float]:
    """The scores of some clips; the area under the risk-coverage curve by σ, or by the probability for what has none."""
    probs = answers.probs
    by_probability = -np.abs(logit(probs) - logit(thresholds))
    doubt = uncertainty.joined(answers.log_sigma) if answers.log_sigma else by_probability
    wrong = ((probs >= thresholds) != true).ravel().astype(float)
    return {
        "micro_f1": micro_f1(counts(true, probs >= thresholds)),
        "bce": float(answers.loss(true).mean()),
        "calibration_error": metrics.calibration_error(true, probs, bins),
        "risk_coverage": metrics.risk_coverage_area(wrong, doubt.ravel()),
        "risk_coverage_by_probability": metrics.risk_coverage_area(wrong, by_probability.ravel()),
        "chance": float(wrong.mean()),
    }


def counts(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N, 2): of each clip, the labels that are rightly said to be there, and those that are there plus those said to be."""
    return np.stack([(true & predicted).sum(axis=1), true.sum(axis=1) + predicted.sum(axis=1)], axis=1)


def micro_f1(counted: np.ndarray) -> float:
    """Micro F1 of clips with these counts (N, 2)."""
    right, both = counted.sum(axis=0)
    return float(2 * right / max(both, 1))


def without_each(counted: np.ndarray) -> np.ndarray:
    """(N,): micro F1 of all clips but one."""
    right, both = (counted.sum(axis=0) - counted).T
    return 2 * right / np.maximum(both, 1)


def cost(true: np.ndarray, corrupted: Answers, absent: Answers, thresholds: np.ndarray) -> dict[str, float]:
    """How much worse the answers on corrupted clips are than those on the same clips without the modality: by cross-entropy
    and by micro F1, each with the standard error of this difference over clips (of F1 by the jackknife)."""
    clips, losses = len(true), corrupted.loss(true) - absent.loss(true)
    of_corrupted, of_absent = (counts(true, answers.probs >= thresholds) for answers in (corrupted, absent))
    differences = without_each(of_absent) - without_each(of_corrupted)
    return {
        "bce": float(losses.mean()),
        "bce_error": float(losses.std(ddof=1) / np.sqrt(clips)) if clips > 1 else 0.0,
        "micro_f1": micro_f1(of_absent) - micro_f1(of_corrupted),
        "micro_f1_error": float(np.sqrt((clips - 1) * differences.var())),
    }
