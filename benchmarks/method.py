"""What the method and its parts are worth on several data sets, over seeds, by scores on valid alone.

`python -m benchmarks.method FOLDER …`, where each folder has tensors as the stage align writes them; the network, its losses
and its training are those of params.yaml. `--change train.loss.ambiguity=0.3` changes a value for all networks, `--forms`
names what is compared. `python -m benchmarks.method --cremad SOURCE FOLDER` first makes such a folder of the features and
votes of CREMA-D (votes.csv, train_features.safetensors and valid_features.safetensors in SOURCE). Each network's scores are
added to `--out`, a line of JSON each.
"""

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
import yaml
from safetensors.torch import load_file, save_file

import params
from contract import MODALITIES
from lddu import baselines, calibration, metrics, mlp, noise, train, uncertainty
from lddu.batches import Clips, in_order
from lddu.device import accelerator as accelerator_on
from lddu.engine import predict
from lddu.probability import clipped
from lddu.tensors import Split, read_noise, read_splits, read_statistics

EMOTIONS = ("anger", "disgust", "fear", "happy", "neutral", "sad")
PRESENT = 0.2  # share of raters from which a label is present
# What is compared: changes of train.model and train.loss.
FORMS: dict[str, dict[str, object]] = {
    "whole": {},
    "neither calibrated nor ranked": {"loss.calibration": 0.0, "loss.ambiguity": 0.0, "loss.ordinality": 0.0},
    "mu alone": {
        "model.fusion": "mu",
        "loss.features": "mu",
        **{f"loss.{name}": 0.0 for name in ("info", "calibration", "ambiguity", "ordinality")},
    },
    "mlp": {},
}
BATCH = 64


def write(folder: Path, splits: dict[str, Split], known: dict[str, dict[str, float]], both: dict[str, float]) -> None:
    """Tensors as of the stage align; `known` noise by clip and modality, and what raters of both made of each clip."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in splits.items():
        tensors = split.features | {f"{m}_mask": mask for m, mask in split.masks.items()} | {"labels": split.labels}
        save_file(tensors, folder / f"{name}.safetensors", metadata={"labels": json.dumps(split.label_names)})
        rows(folder / f"{name}.csv", [{"clip_id": clip_id} for clip_id in split.clip_ids])
    statistics: dict[str, torch.Tensor] = {}
    for m, x in splits["train"].features.items():
        seen = x[splits["train"].masks[m]]
        statistics |= {f"{m}_mean": seen.mean(dim=0), f"{m}_deviation": seen.std(dim=0, correction=0)}
    save_file(statistics, folder / "statistics.safetensors")
    columns = {clip_id: {f"noise_{m}": of.get(m, "") for m in MODALITIES} for clip_id, of in known.items()}
    rows(folder / "noise.csv", [{"clip_id": clip_id, **of, "both": both.get(clip_id, "")} for clip_id, of in columns.items()])


def rows(path: Path, table: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def cremad(source: Path, folder: Path) -> None:
    """Voice and face of CREMA-D; labels are the shares of raters of both, noise the entropies of those of one alone."""
    with (source / "votes.csv").open(encoding="utf-8", newline="") as file:
        votes = list(csv.DictReader(file))
    splits = {}
    for name in ("train", "valid"):
        of_split = [row for row in votes if row["split"] == name]
        tensors = load_file(source / f"{name}_features.safetensors")
        shares = torch.tensor([[float(row[f"av_{label}"]) for label in EMOTIONS] for row in of_split])
        splits[name] = Split(
            name,
            tuple(row["clip_id"] for row in of_split),
            EMOTIONS,
            {"audio": tensors["audio"].float()[:, None], "vision": tensors["vision"].float()},
            {"audio": tensors["audio_present"].bool()[:, None], "vision": tensors["vision_mask"].bool()},
            (shares >= PRESENT - 1e-6).float(),
        )
    known = {row["clip_id"]: {m: float(row[f"votes_{m}_entropy"]) for m in ("audio", "vision")} for row in votes}
    write(folder, splits, known, {row["clip_id"]: float(row["votes_av_entropy"]) for row in votes})


def changed(parameters: params.Params, changes: dict[str, object]) -> params.Train:
    tree = parameters.train.model_dump()
    for path, value in changes.items():
        *sections, key = path.removeprefix("train.").split(".")
        place = tree
        for section in sections:
            place = place[section]
        if key not in place:
            raise SystemExit(f"train.{path} is no parameter")
        place[key] = value
    return params.Train.model_validate(tree)


class DataSet:
    """Tensors in memory, with what σ is calibrated by."""

    def __init__(self, folder: Path, parameters: params.Params) -> None:
        self.name = folder.name
        with (folder / "train.safetensors").open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        labels = json.loads(header["__metadata__"]["labels"])
        splits = read_splits(folder, ("train", "valid"), labels)
        self.train, self.valid = (split.select(split.complete) for split in splits.values())
        self.statistics = read_statistics(folder, self.train.dims)
        self.noise = read_noise(folder, self.valid.clip_ids)
        with (folder / "noise.csv").open(encoding="utf-8", newline="") as file:
            both = {row["clip_id"]: float(row["both"]) for row in csv.DictReader(file) if row.get("both")}
        self.both = np.array([both.get(clip_id, np.nan) for clip_id in self.valid.clip_ids])
        self.accelerator = accelerator_on("cpu", parameters.train.threads, "float32")
        targets = calibration.targets(self.train, self.valid)
        self.clips, self.others = (
            Clips(split, self.accelerator.device, wanted)
            for split, wanted in zip((self.train, self.valid), targets, strict=True)
        )

    @property
    def true(self) -> np.ndarray:
        return self.valid.present.numpy()


def scores_of(data: DataSet, settings: params.Train, folder: Path) -> dict[str, float]:
    """Train a network and score it on valid."""
    begun = perf_counter()
    training = train.begin(settings, data.train, data.statistics, data.accelerator.device)
    train.fit(training, data.clips, data.others, settings, data.accelerator, folder, data.name)
    model = training.scored
    model.load_state_dict(training.best)
    predicted = predict(model, in_order(data.others, BATCH), data.accelerator)
    scores = {"epoch": training.best_epoch, "epochs": len(training.curves)} | of_probabilities(data, predicted.probs)
    scores["bce"] = metrics.cross_entropy(data.true, predicted.log_probs, predicted.log_not_probs)
    thresholds = metrics.best_thresholds(data.true, predicted.probs, 0.01, each=False)
    scores |= {f"{name} area": area for name, area in uncertainty.risk_coverage(data.true, predicted, thresholds).items()}
    scores |= {f"{name} error": error for name, error in uncertainty.error_spearman(data.true, predicted).items()}
    for part, log_norms in predicted.log_norms.items():
        for m, x in log_norms.items():
            scores[f"{part} known {m}"] = metrics.rank_correlation(data.noise[m], x.mean(axis=1))[0]
    for m, kinds in noise.noises(model, data.clips, ["dropped"]).items():
        torch.manual_seed(uncertainty.SEED)
        level = torch.rand(len(data.others))
        follows = uncertainty.log_noise_of(model, m, kinds["dropped"], data.others, level, BATCH, data.accelerator)
        scores[f"dropped {m}"] = metrics.rank_correlation(level.double().numpy(), follows)[0]
    return scores | {"seconds": perf_counter() - begun}


def of_probabilities(data: DataSet, probs: np.ndarray) -> dict[str, float]:
    """Scores that need no network."""
    shares = clipped(probs) / clipped(probs).sum(axis=1, keepdims=True)
    entropy = -(shares * np.log(shares)).sum(axis=1)
    return {
        "likeliest": float(np.take_along_axis(data.true, probs.argmax(axis=1)[:, None], axis=1).mean()),
        "f1": metrics.best_micro_f1(data.true, probs),
        "bce": metrics.clipped_cross_entropy(data.true, probs),
        "ap": metrics.average_precision(data.true.ravel(), probs.ravel()),
        "both by entropy": metrics.rank_correlation(data.both, entropy)[0],
        "both by p (1 - p)": metrics.rank_correlation(data.both, (probs * (1 - probs)).sum(axis=1))[0],
    }


def of_mlp(data: DataSet, settings: params.Train) -> dict[str, float]:
    """Scores of the MLP that is trained as LDDU is."""
    return of_probabilities(data, mlp.fit(data.train, data.valid, settings).probabilities(data.valid))


def of_probes(data: DataSet) -> Iterator[tuple[str, dict[str, float]]]:
    prior = train.label_prior(data.train.labels).double().numpy()
    splits = {"train": data.train, "valid": data.valid}
    for name, probs in baselines.probabilities(data.train, splits, prior):
        if name == "joined" or len(data.train.dims) == 1:
            yield f"probe {name}", of_probabilities(data, probs["valid"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.method", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--cremad", type=Path, metavar="SOURCE")
    parser.add_argument("--forms", nargs="*", default=list(FORMS))
    parser.add_argument("--change", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--probes", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("method.jsonl"))
    asked = parser.parse_args()
    if asked.cremad:
        cremad(asked.cremad, *asked.folders)
        return
    parameters = params.load(params.PATH)
    changes = {key: yaml.safe_load(value) for key, _, value in (item.partition("=") for item in asked.change)}
    for folder in asked.folders:
        data = DataSet(folder, parameters)
        for name, scores in of_probes(data) if asked.probes else ():
            note(asked.out, {"data": data.name, "form": name, "changes": "", **scores})
        for seed in range(1, asked.seeds + 1):
            for form in asked.forms:
                settings = changed(parameters, changes | FORMS[form] | {"seed": seed})
                trained = (
                    scores_of(data, settings, asked.out.parent / "checkpoints") if form != "mlp" else of_mlp(data, settings)
                )
                note(asked.out, {"data": data.name, "form": form, "changes": " ".join(asked.change), "seed": seed, **trained})


def note(path: Path, scores: dict) -> None:
    line = json.dumps({key: round(x, 4) if isinstance(x, float) else x for key, x in scores.items()})
    print(line, flush=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    main()
