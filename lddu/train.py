"""Stage `train`: tensors in; the network of the best epoch on valid, and the curves of all epochs, out."""

import csv
import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

import params
from lddu import checkpoint, plots, weights
from lddu.batches import in_order, shuffled
from lddu.device import accelerator as accelerator_on
from lddu.engine import Means, Moments, Watcher, decay_groups, learning_rates, predict, train_epoch
from lddu.losses import LDDULoss, LossConfig
from lddu.metrics import average_precision, best_micro_f1
from lddu.model import LDDU, LDDUConfig, Standardise
from lddu.tensors import Split, Statistics, read_splits, read_statistics, require_labels

MODEL = Path("data/model")
CURVES = Path("data/training")
# What each way to choose the epoch looks at, and whether more of it is better.
CHOICES = {"bce": ("valid_bce", False), "micro_ap": ("valid_micro_ap", True), "micro_f1": ("valid_micro_f1", True)}


class TrainingError(RuntimeError):
    """The network cannot be trained with these parameters on these tensors."""


@dataclass
class Training:
    """Everything that changes while the network learns, which is what a checkpoint holds."""

    model: LDDU
    loss: LDDULoss
    optimizer: torch.optim.Optimizer
    curves: list[dict[str, float]] = field(default_factory=list)  # a row an epoch
    best: dict[str, Tensor] = field(default_factory=dict)  # the network of the best epoch
    best_epoch: int = 0

    def save(self, folder: Path) -> None:
        tensors = {
            "model": self.model.state_dict(),
            "best": self.best,
            "loss": self.loss.state_dict(),
            "optimizer": checkpoint.optimizer_tensors(self.optimizer),
            "random": checkpoint.random_states(),
        }
        checkpoint.save(folder, tensors, {"curves": self.curves, "best_epoch": self.best_epoch})

    def resume(self, folder: Path) -> None:
        """Go on from the folder's checkpoint; from the beginning where there is none."""
        found = checkpoint.load(folder)
        if found is None:
            return
        tensors, state = found
        self.model.load_state_dict(tensors["model"])
        self.loss.load_state_dict(tensors["loss"])
        checkpoint.restore_optimizer(self.optimizer, tensors["optimizer"])
        checkpoint.restore_random_states(tensors["random"])
        self.best, self.best_epoch, self.curves = tensors["best"], state["best_epoch"], state["curves"]


def begin(settings: params.Train, train: Split, statistics: dict[str, Statistics], device: torch.device) -> Training:
    """A network with its first weights, and everything that it is trained with."""
    torch.manual_seed(settings.seed)
    network = LDDUConfig(dims=train.dims, labels=train.labels.shape[1], **settings.model.model_dump())
    model = LDDU(network)
    for m, of_modality in statistics.items():
        first = model.extractor[m].input
        if isinstance(first, Standardise):
            first.fit(of_modality.mean, of_modality.deviation)
    model.prior.copy_(label_prior(train.labels))
    model.to(device)
    loss = LDDULoss(network, LossConfig(**settings.loss.model_dump())).to(device)
    optimizer = torch.optim.AdamW(decay_groups(model, settings.weight_decay), lr=settings.lr)
    return Training(model, loss, optimizer)


def label_prior(labels: Tensor) -> Tensor:
    """(C,): share of the labelled clips that have each label, one clip more with it and one without, so never 0 or 1."""
    known = ~labels.isnan()
    return ((labels > 0).sum(dim=0) + 1) / (known.sum(dim=0) + 2)


def fit(training: Training, train: Split, valid: Split, settings: params.Train, accelerator: Accelerator, folder: Path) -> None:
    """Train to the last epoch, from where `training` stands; a checkpoint is left in `folder` after each."""
    loader, order = shuffled(train, settings.batch_size, settings.seed)
    model, optimizer, loader = accelerator.prepare(training.model, training.optimizer, loader)
    again, held_out = accelerator.prepare(in_order(train, settings.batch_size), in_order(valid, settings.batch_size))
    rates = learning_rates(settings.epochs * len(order), settings.warmup, settings.lr)
    done = len(training.curves)
    with tqdm(total=settings.epochs, initial=done, desc="train", unit="epoch") as bar:
        for epoch in range(done + 1, settings.epochs + 1):
            order.epoch = epoch
            steps = slice((epoch - 1) * len(order), epoch * len(order))
            learned = train_epoch(model, training.loss, loader, optimizer, rates[steps], accelerator, settings.gradient_norm)
            if not all(map(math.isfinite, learned.values())):
                raise TrainingError(f"the loss of epoch {epoch} is {learned}: lower train.lr (now {settings.lr})")
            moments = Moments(training.model)
            row = _named("train", assess(training, again, train, [moments.watch]))
            moments.become_stand_ins()
            row |= _named("valid", assess(training, held_out, valid))
            keep_the_best(training, {"epoch": epoch, **row}, settings.choose)
            training.save(folder)
            bar.set_postfix_str(f"loss {learned['loss']:.3f}, valid {settings.choose} {row[CHOICES[settings.choose][0]]:.3f}")
            bar.update()


def assess(training: Training, batches: DataLoader, split: Split, watchers: list[Watcher] | None = None) -> dict[str, float]:
    """The loss, its parts and the scores that need no threshold, without dropout."""
    training.loss.eval()
    means = Means(training.loss)
    found = predict(training.model, batches, [means.watch, *(watchers or [])])
    known = ~split.labels.isnan().numpy()
    true, probs = (split.labels > 0).numpy()[known], found.probs[known]
    return means.result() | {"micro_ap": average_precision(true, probs), "micro_f1": best_micro_f1(true, probs)}


def keep_the_best(training: Training, row: dict[str, float], choose: str) -> None:
    """Add an epoch's row to the curves, and keep its network if no earlier one was as good."""
    column, more_is_better = CHOICES[choose]
    earlier = [known[column] for known in training.curves]
    better = not earlier or (row[column] > max(earlier) if more_is_better else row[column] < min(earlier))
    training.curves.append(row)
    if better:
        training.best = {name: x.detach().cpu().clone() for name, x in training.model.state_dict().items()}
        training.best_epoch = int(row["epoch"])


def key_of(parameters: params.Params, device: torch.device) -> str:
    """A digest of all that the result of training depends on, so that only a run of the same is ever continued."""
    folder = Path(parameters.tensors)
    files = [folder / f"{name}{ending}" for name in ("train", "valid") for ending in (".safetensors", ".csv")]
    sources = sorted(Path(__file__).parent.glob("*.py"))
    machine = [device.type, torch.__version__, torch.backends.cpu.get_cpu_capability()]
    told = [parameters.train.model_dump(), parameters.corpus.labels, *machine]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for path in [*files, folder / "statistics.safetensors", *sources]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def store_root(parameters: params.Params) -> Path:
    """The folder of finished work; of experiments that DVC runs in a copy, the main checkout's."""
    return Path(os.environ.get("DVC_ROOT", ".")) / parameters.run.store


def write_curves(curves: list[dict[str, float]], chosen: int, folder: Path) -> None:
    """curves.csv, a row an epoch, and the same as a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "curves.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(curves[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: x if name == "epoch" else f"{x:.6f}" for name, x in row.items()} for row in curves)
    plots.draw_curves(curves, chosen, folder / "curves.png")


def train(parameters: params.Params) -> None:
    """The stage: train on the tensors, write the network and its curves, leave no checkpoint behind."""
    settings, folder = parameters.train, Path(parameters.tensors)
    splits = read_splits(folder, ("train", "valid"), parameters.corpus.labels)
    for split in splits.values():
        require_labels(split, folder)
    learning, held_out = (split.select(split.labelled) for split in splits.values())
    statistics = read_statistics(folder, learning.dims)
    accelerator = accelerator_on(parameters.run.device, settings.threads)
    training = begin(settings, learning, statistics, accelerator.device)
    checkpoints = store_root(parameters) / "train" / key_of(parameters, accelerator.device)
    with checkpoint.held(checkpoints):
        training.resume(checkpoints)
        fit(training, learning, held_out, settings, accelerator, checkpoints)
        card = weights.Card(parameters.corpus.labels, training.best_epoch, training.model.prior.tolist())
        weights.save(MODEL, training.best, training.model.config, card)
        write_curves(training.curves, training.best_epoch, CURVES)


def _named(split: str, means: dict[str, float]) -> dict[str, float]:
    return {f"{split}_{name}": value for name, value in means.items()}
