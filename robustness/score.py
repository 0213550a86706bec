"""Stage score: LDDU, its centre alone and the probe on corrupted clips, by kind and level; and beside the modality's absence.

python -m robustness score
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import csv_table
import params
from lddu import metrics, quantiles
from lddu.device import accelerator as accelerator_on
from lddu.tensors import read_split
from preprocess import refusals
from robustness import answers, arena, curves, page
from robustness.answers import LDDU, Answers
from robustness.arena import CLEAN, TENSORS, Arena
from robustness.kinds import KINDS
from robustness.rows import Row, rows_of

METRICS = Path("metrics/robustness.json")
FOLDER = Path("data/robustness/scores")
TRAIN = "train"
DIGITS = 6


def sigma_of(found: Arena, given: dict[str, Answers]) -> dict[str, dict]:
    """By kind: at each level (0: as the clips are) the mean quantile of each modality's noise, a part of σ, among the training
    split's, over the clips and labels that have it; and Spearman's correlation of the level with its log ‖σ‖, the mean over
    labels."""
    of_train = given[TRAIN].log_noise
    reference = quantiles.reference_of(of_train, {m: ~np.isnan(x).all(axis=1) for m, x in of_train.items()})
    place = {clip_id: i for i, clip_id in enumerate(found.splits[CLEAN].clip_ids)}
    tree: dict[str, dict] = {}
    for kind, cases in found.cases.items():
        of_clip = np.array(sorted({place[case.clip_id] for case in cases}))
        levels = np.array([0] * len(of_clip) + [case.level for case in cases])
        of_kind: dict[str, dict[str, float]] = {f"level_{level}": {} for level in sorted(set(levels.tolist()))}
        of_kind["spearman"] = {}
        for m, corrupted in given[kind].log_noise.items():
            log_sigma = np.concatenate([given[CLEAN].log_noise[m][of_clip], corrupted])
            shares = quantiles.shares(log_sigma, reference[m])
            for level in sorted(set(levels.tolist())):
                at = shares[levels == level]
                of_kind[f"level_{level}"][m] = float(np.nanmean(at)) if not np.isnan(at).all() else 0.0
            of_kind["spearman"][m] = metrics.rank_correlation(levels, log_sigma.mean(axis=1))[0]
        tree[kind] = of_kind
    return tree


def tree_of(found: Arena, rows: list[Row], sigma: dict[str, dict]) -> dict:
    """What stands in metrics/robustness.json."""
    tree: dict = {
        "clips": len(found.splits[CLEAN]),
        "refused": len({row.clip_id for row in found.refused}),
        "kinds": {},
        "held": {},
    }
    for row in rows:
        of_kind = tree["kinds"].setdefault(row.kind, {"clips": row.clips})
        entry = of_kind.setdefault(f"level_{row.level}", {}).setdefault(row.network, dict(row.scores))
        entry |= {f"masked_{name}": row.absent[name] for name in ("micro_f1", "bce") if row.absent}
        entry |= {f"cost_{name}": value for name, value in row.cost.items()}
    for network in dict.fromkeys(row.network for row in rows):
        tried = [row for row in rows if row.network == network and row.cost]
        held = {name: sum(row.holds[name] for row in tried) for name in ("bce", "micro_f1")}
        tree["held"][network] = held | {"both": sum(all(row.holds.values()) for row in tried), "tried": len(tried)}
    return tree | {"sigma": sigma}


def rounded(tree: dict) -> dict:
    return {key: rounded(x) if isinstance(x, dict) else round(x, DIGITS) for key, x in tree.items()}


def write(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """A table; numbers with six decimals."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rounded = [{key: f"{x:.{DIGITS}f}" if isinstance(x, float) else x for key, x in row.items()} for row in rows]
    csv_table.write_named(path, list(rounded[0]), rounded)


def write_tables(rows: list[Row]) -> None:
    """scores.csv; absence.csv, what each corruption costs beside the modality's absence; curves/<score>/<kind>.csv for DVC."""
    if FOLDER.exists():
        shutil.rmtree(FOLDER)  # never written through: its files may be links into DVC's cache
    columns = [(row, {"kind": row.kind, "modality": row.modality, "level": row.level, "network": row.network}) for row in rows]
    write(FOLDER / "scores.csv", (head | {"clips": row.clips} | row.scores for row, head in columns))
    compared = [(row, head | {"strength": KINDS[row.kind].strength(row.level)}) for row, head in columns if row.level]
    holds = ({f"{name}_holds": int(held) for name, held in row.holds.items()} for row, _ in compared)
    write(FOLDER / "absence.csv", (head | row.cost | held for (row, head), held in zip(compared, holds, strict=True)))
    for kind in dict.fromkeys(row.kind for row in rows):
        for score in curves.SCORES:
            by_level: dict[int, dict[str, object]] = {}
            for row in rows:
                if row.kind == kind:
                    by_level.setdefault(row.level, {"level": row.level})[row.network] = row.scores[score]
            write(FOLDER / "curves" / score / f"{kind}.csv", by_level.values())


def score(settings: params.Params) -> None:
    """The stage."""
    found = arena.read(settings)
    names = settings.corpus.labels
    train, valid = (read_split(TENSORS, name, names, settings.corpus.present_above) for name in ("train", "valid"))
    accelerator = accelerator_on(settings.run.device, settings.train.threads, settings.train.precision)
    learned = train.select(train.complete)
    splits = found.splits | {TRAIN: learned, "valid": valid.select(valid.complete)}
    rows: list[Row] = []
    sigma: dict[str, dict] = {}
    for given in (
        answers.of_networks(splits, accelerator),
        answers.of_baselines(learned, splits),
    ):
        for network, answered in given:
            true = splits["valid"].present.numpy()
            each = settings.evaluate.threshold == "per_label"
            thresholds = metrics.best_thresholds(true, answered["valid"].probs, settings.evaluate.threshold_step, each)
            rows += rows_of(network, found, answered, thresholds, settings.evaluate.bins)
            if network == LDDU:
                sigma = sigma_of(found, answered)
    write_tables(rows)
    refusals.write(FOLDER / "refused.csv", found.refused)
    METRICS.parent.mkdir(exist_ok=True)
    tree = rounded(tree_of(found, rows, sigma))
    METRICS.write_text(json.dumps(tree, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    curves.draw(rows, sigma, FOLDER)
    page.write(settings, tree, rows, FOLDER)
    for network, held in tree["held"].items():
        print(f"{network}: a corrupted modality costs no more than its absence in {held['both']} of {held['tried']} cases")


def main() -> None:
    score(params.load())
