"""Plots of training and evaluation: tables for DVC, and the same as pictures whose bytes repeat.

N clips, C labels: `true` bool (N, C), `probs` float (N, C). `scores` is the tree of metrics of the split that is shown.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve

import csv_table
from lddu import metrics
from lddu.lettering import DEFAULT, file_name, lettering, title
from lddu.titles import title_of

# The font comes with matplotlib, so the pictures need nothing of the machine.
STYLE: dict[Any, Any] = {
    "font.family": DEFAULT,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
QUIET, STRONG, LINE = "#7a8ba6", "#c8501e", "#9a9a9a"
DOTS_PER_INCH = 110
# Titles of the parts of the loss and of the scores.
PARTS = {
    "loss": "total loss",
    "bce": "cross-entropy of p",
    "info": "cross-entropy of p_info",
    "contrast": "supervised contrast",
    "calibration": "calibration of σ",
    "micro_ap": "micro average precision",
    "micro_f1": "micro F1 at its best threshold",
}


def save(figure: Figure, path: Path) -> None:
    """Write a picture without the date and version that would change its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})


def draw_curves(curves: list[dict[str, float]], chosen: int, path: Path) -> None:
    """Train and valid in one panel for each part of the loss and each score; a line marks the chosen epoch."""
    names = [name.removeprefix("valid_") for name in curves[0] if name.startswith("valid_")]
    epochs = [row["epoch"] for row in curves]
    with mpl.rc_context(STYLE):
        figure, panels = _grid(len(names), width=4.0, height=2.9)
        for panel, name in zip(panels, names, strict=True):
            panel.plot(epochs, [row[f"train_{name}"] for row in curves], color=QUIET, label="train", marker=".")
            panel.plot(epochs, [row[f"valid_{name}"] for row in curves], color=STRONG, label="valid", marker=".")
            panel.axvline(chosen, color=LINE, linestyle=":", label=f"chosen: epoch {chosen}")
            panel.set(title=PARTS.get(name, name), xlabel="epoch")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        save(figure, path)


def precision_recall(true: np.ndarray, probs: np.ndarray, thresholds: np.ndarray, scores: dict, folder: Path) -> None:
    """precision_recall/<label>.csv, and precision_recall.png with the threshold marked on each curve."""
    predicted = probs >= thresholds
    letters = lettering(tuple(scores["per_label"]))
    with mpl.rc_context({**STYLE, "font.family": letters.families}):
        figure, panels = _grid(true.shape[1], width=3.4, height=3.0)
        for c, (panel, (label, of_label)) in enumerate(zip(panels, scores["per_label"].items(), strict=True)):
            precision, recall, points = _precision_recall(true[:, c], probs[:, c])
            rows = [{"recall": r, "precision": p, "threshold": t} for p, r, t in zip(precision, recall, points, strict=True)]
            _write(folder / "precision_recall" / f"{file_name(label)}.csv", rows)
            hits, positives = (true[:, c] & predicted[:, c]).sum(), true[:, c].sum()
            at_threshold = hits / max(positives, 1), hits / max(predicted[:, c].sum(), 1)
            panel.plot(recall, precision, color=STRONG, drawstyle="steps-post")
            panel.axhline(true[:, c].mean(), color=LINE, linestyle="--", label="share of clips with it")
            panel.plot(*at_threshold, "o", color="black", label=_threshold(thresholds))
            panel.set_title(title(letters.names[label], f"AP {of_label['ap']:.2f}, {positives} of {len(true)} clips"))
            panel.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.04))
        handles, named = panels[0].get_legend_handles_labels()
        figure.legend(handles, named, loc="outside lower center", ncols=2, title=letters.note or None)
        save(figure, folder / "precision_recall.png")


def confusion(true: np.ndarray, probs: np.ndarray, thresholds: np.ndarray, scores: dict, folder: Path) -> None:
    """confusion/<label>.csv with a row for each clip, and confusion.png: clips, and their share of those of one truth."""
    predicted = probs >= thresholds
    letters = lettering(tuple(scores["per_label"]))
    plain: dict[Any, Any] = {"axes.grid": False, "axes.spines.left": False, "axes.spines.bottom": False}
    with mpl.rc_context({**STYLE, **plain, "font.family": letters.families}):
        figure, panels = _grid(true.shape[1], width=2.8, height=2.7)
        for c, (panel, label) in enumerate(zip(panels, scores["per_label"], strict=True)):
            names = np.array([f"not {label}", label])
            pairs = zip(names[true[:, c].astype(int)], names[predicted[:, c].astype(int)], strict=True)
            _write(folder / "confusion" / f"{file_name(label)}.csv", [{"actual": a, "predicted": b} for a, b in pairs])
            _draw_confusion(panel, letters.names[label], true[:, c], predicted[:, c])
        figure.supxlabel(letters.note, fontsize="medium")
        save(figure, folder / "confusion.png")


def calibration(true: np.ndarray, probs: np.ndarray, scores: dict, bins: int, folder: Path) -> None:
    """calibration.csv and calibration.png: how often a label with probability p is present."""
    rows = metrics.calibration(true, probs, bins)
    _write(folder / "calibration.csv", rows)
    probability, frequency = ([row[name] for row in rows] for name in ("probability", "frequency"))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 5.4))
        curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        curve.plot([0, 1], [0, 1], color=LINE, linestyle="--", label="perfectly calibrated")
        curve.plot(probability, frequency, color=STRONG, marker="o", label="LDDU")
        curve.set(ylabel="share that has the label", xlim=(0, 1), ylim=(0, 1))
        curve.set_title(f"expected calibration error {scores['calibration_error']:.3f}, Brier score {scores['brier']:.3f}")
        curve.legend(loc="upper left")
        counts.hist(probs.ravel(), bins=np.linspace(0, 1, bins + 1).tolist(), color=QUIET)
        counts.set(xlabel="probability p, over all clips and labels", ylabel="decisions")
        save(figure, folder / "calibration.png")


def baselines(scores: dict, folder: Path) -> None:
    """baselines.csv and baselines.png: the network's micro F1 beside that of the label prior and the probes."""
    named = {title_of(name): of_baseline["micro_f1"] for name, of_baseline in scores["baselines"].items()}
    rows = [{"model": name, "micro_f1": score} for name, score in {**named, "LDDU": scores["micro_f1"]}.items()]
    _write(folder / "baselines.csv", rows)
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(6.0, 0.8 + 0.42 * len(rows)))
        panel = figure.subplots()
        colours = [STRONG if row["model"] == "LDDU" else QUIET for row in rows]
        bars = panel.barh([row["model"] for row in rows], [row["micro_f1"] for row in rows], color=colours)
        panel.bar_label(bars, fmt="%.3f", padding=4)
        panel.set(xlabel=f"micro F1 on {scores['clips']} clips, each with its threshold from valid", xlim=(0, 1))
        save(figure, folder / "baselines.png")


def uncertainty(
    clip_ids: tuple[str, ...], noise: dict[str, np.ndarray], log_sigma: dict[str, np.ndarray], scores: dict, folder: Path
) -> None:
    """uncertainty/<modality>.csv and uncertainty.png: known noise against reported σ, where any noise is known.

    `noise` (N,) and `log_sigma` (N,), the mean over labels, a modality; NaN where unknown or absent.
    """
    known = {m: ~(np.isnan(noise[m]) | np.isnan(x)) for m, x in log_sigma.items()}
    selected = {m: where for m, where in known.items() if where.any()}
    if not selected:
        return
    with mpl.rc_context(STYLE):
        figure, panels = _grid(len(selected), width=3.6, height=3.2)
        for panel, (m, where) in zip(panels, selected.items(), strict=True):
            x, y, ids = noise[m][where], log_sigma[m][where], np.array(clip_ids)[where]
            rows = [{"noise": a, "log_sigma": b, "clip_id": c} for a, b, c in zip(x, y, ids, strict=True)]
            _write(folder / "uncertainty" / f"{m}.csv", rows)
            of_noise = scores["uncertainty"][m]
            panel.scatter(x, y, s=14, color=STRONG, alpha=0.6, linewidths=0)
            panel.set(title=f"{m}: Spearman {of_noise['noise_spearman']:+.2f}, {of_noise['clips']} clips")
            panel.set(xlabel="known noise, 0 to 1", ylabel="mean log ‖σ‖")
        save(figure, folder / "uncertainty.png")


def _threshold(thresholds: np.ndarray) -> str:
    return f"threshold {thresholds[0]:.2f}" if np.ptp(thresholds) == 0 else "the label's threshold"


def _draw_confusion(panel: Axes, name: str, true: np.ndarray, predicted: np.ndarray) -> None:
    clips = np.array([[(true == a).astype(int) @ (predicted == b) for b in (False, True)] for a in (False, True)])
    share = clips / np.maximum(clips.sum(axis=1, keepdims=True), 1)
    panel.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(2, 2):
        colour = "white" if share[row, column] > 0.5 else "black"
        text = f"{clips[row, column]}\n{share[row, column]:.0%}"
        panel.text(column, row, text, ha="center", va="center", color=colour)
    panel.set(title=name, xlabel="predicted", ylabel="true")
    panel.set_xticks([0, 1], ["absent", "present"])
    panel.set_yticks([0, 1], ["absent", "present"], rotation=90, va="center")
    panel.tick_params(length=0)


def _precision_recall(true: np.ndarray, probs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and threshold of each point; the last point, at recall 0, has threshold 1."""
    if not true.any():
        return np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([0.0, 1.0])
    precision, recall, thresholds = precision_recall_curve(true, probs)
    return precision, recall, np.append(thresholds, 1.0)


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    """A table for DVC; numbers with six decimals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    csv_table.write(path, list(rows[0]), ([f"{x:.6f}" if isinstance(x, float) else x for x in row.values()] for row in rows))


def _grid(count: int, width: float, height: float) -> tuple[Figure, list]:
    """A figure of `count` panels in rows of up to four; inches a panel."""
    columns = min(count, 4 if count != 6 else 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(columns * width, rows * height))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for empty in panels[count:]:
        empty.set_visible(False)
    return figure, list(panels[:count])
