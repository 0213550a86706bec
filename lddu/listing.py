"""The tables of predictions that evaluate writes: a row for each clip, with everything that was decided of it."""

from itertools import chain
from pathlib import Path

import numpy as np

import csv_table
from lddu import channels, judgement, quantiles
from lddu.engine import Predictions
from lddu.judgement import Judge, Judgement
from lddu.quantiles import Reference
from lddu.tensors import Split


def reference_of(train: Predictions) -> Reference:
    """What σ, its noise and its ambiguity are compared with: those of the training split's clips."""
    of_sigma = quantiles.reference_of(train.log_sigma, train.present)
    return of_sigma | channels.reference_of(train.log_norms, train.present)


def rows_of(
    split: Split, predicted: Predictions, reference: Reference, thresholds: np.ndarray, judgement: Judgement
) -> list[dict[str, str]]:
    """A row for each clip: its modalities, their novelty, noise and ambiguity; for each label probability, decision, truth,
    doubt, whether it is sure, σ as a quantile of train, and the probability that each modality gives it alone."""
    sigma = {m: quantiles.shares(log_sigma, reference[m]) for m, log_sigma in predicted.log_sigma.items()}
    probs = predicted.probs
    known, true = ~split.labels.isnan().numpy(), split.present.numpy()
    of_clip = channels.shares(predicted.log_norms, reference)
    rows = []
    for i, clip_id in enumerate(split.clip_ids):
        row = {"clip_id": clip_id, "modalities": " ".join(m for m, present in predicted.present.items() if present[i])}
        row |= {f"novelty_{m}": cell(share[i]) for m, share in judgement.novelty.items()}
        row["novelty"] = cell(judgement.clip_novelty[i])
        row |= {name: cell(share[i]) for name, share in of_clip.items()}
        for c, label in enumerate(split.label_names):
            row[f"{label}_probability"] = f"{probs[i, c]:.6f}"
            row[f"{label}_predicted"] = str(int(probs[i, c] >= thresholds[c]))
            row[f"{label}_true"] = str(int(true[i, c])) if known[i, c] else ""
            row[f"{label}_doubt"] = cell(judgement.doubt[i, c])
            row[f"{label}_sure"] = "" if judgement.sure is None else str(int(judgement.sure[i, c]))
            row |= {f"{label}_sigma_{m}": cell(quantile[i, c]) for m, quantile in sigma.items()}
            row |= {f"{label}_alone_{m}": cell(of_modality[i, c]) for m, of_modality in judgement.alone.items()}
        rows.append(row)
    return rows


def cell(share: float) -> str:
    """Of a table; blank where there is none."""
    return "" if np.isnan(share) else f"{share:.4f}"


def columns_of(split: Split) -> list[str]:
    """The columns of `rows_of`, which a split without clips has too."""
    of_modalities = [f"{name}_{m}" for name in ("sigma", "alone") for m in split.features]
    of_label = ("probability", "predicted", "true", "doubt", "sure", *of_modalities)
    per_label = [f"{label}_{column}" for label in split.label_names for column in of_label]
    novelty, *blocks = ([f"{name}_{m}" for m in split.features] for name in ("novelty", *channels.BLOCKS))
    return ["clip_id", "modalities", *novelty, "novelty", *chain.from_iterable(blocks), *per_label]


def write(
    folder: Path,
    splits: dict[str, Split],
    predicted: dict[str, Predictions],
    thresholds: np.ndarray,
    judge: Judge,
    judgements: dict[str, Judgement],
) -> None:
    """The tables of all splits, and what `lddu predict` needs to judge as they do."""
    reference = reference_of(predicted["train"])
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in splits.items():
        rows = rows_of(split, predicted[name], reference, thresholds, judgements[name]) if name in predicted else []
        csv_table.write_named(folder / f"{name}.csv", columns_of(split), rows)
    judgement.write(folder, judge)
    quantiles.write(folder, reference)
