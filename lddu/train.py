"""Stage `train`: tensors in; the network of the best epoch on valid, and the curves of all epochs, out."""

import hashlib
import json
import math
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, broadcast_object_list
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

import csv_table
import params
import pipeline
from lddu import calibration, checkpoint, mlp, noise, plots, processes, trackers, weights
from lddu.batches import Clips, Shuffled, in_order
from lddu.device import accelerator as accelerator_on
from lddu.device import device_of
from lddu.engine import AdamW, Means, Moments, Watcher, decay_groups, learning_rates, predict, steps_of, train_epoch
from lddu.losses import LDDULoss, LossConfig
from lddu.metrics import average_precision, best_micro_f1
from lddu.model import LDDU, LDDUConfig, Standardise
from lddu.tensors import Split, Statistics, pooled, read_splits, read_statistics, require_labels, require_shares
from lddu.trackers import Trackers

MODEL = Path("data/model")
CURVES = Path("data/training")
OWN_TENSORS = Path("data/tensors")  # made of the clips of corpus.root; all others are published features
SAMPLE = Path("data/sample")  # the corpus that comes with the project
# The score by which each value of train.choose chooses the epoch, and whether more of it is better.
CHOICES = {"bce": ("valid_bce", False), "micro_ap": ("valid_micro_ap", True), "micro_f1": ("valid_micro_f1", True)}

# Weights of the losses that the network with μ alone has not.
OF_SIGMA = ("info", "calibration", "ambiguity", "ordinality")


class TrainingError(RuntimeError):
    """The network cannot be trained with these parameters on these tensors."""


@dataclass
class Training:
    """Everything that changes while the network learns; a checkpoint holds all of it."""

    model: LDDU
    loss: LDDULoss
    optimizer: torch.optim.Optimizer
    averaged: AveragedModel | None = None  # the moving average of the network's weights, if one is kept
    curves: list[dict[str, float]] = field(default_factory=list)  # a row an epoch
    best: dict[str, Tensor] = field(default_factory=dict)  # the network of the best epoch
    best_epoch: int = 0

    @property
    def scored(self) -> LDDU:
        """The network that is scored and written: the one that learns, or its moving average."""
        return cast(LDDU, self.averaged.module) if self.averaged else self.model

    def is_over(self, settings: params.Train) -> bool:
        """True after all epochs, or after `patience` epochs in a row that were no better than an earlier one."""
        epochs = len(self.curves)
        return epochs >= settings.epochs or bool(settings.patience and epochs - self.best_epoch >= settings.patience)

    def save(self, folder: Path) -> None:
        tensors = {
            "model": self.model.state_dict(),
            "best": self.best,
            "loss": self.loss.state_dict(),
            "optimizer": checkpoint.optimizer_tensors(self.optimizer),
            "averaged": self.averaged.state_dict() if self.averaged else {},
        }
        checkpoint.save(folder, tensors, {"curves": self.curves, "best_epoch": self.best_epoch})

    def resume(self, folder: Path) -> None:
        """Continue from the folder's checkpoint; from the beginning where there is none."""
        saved = checkpoint.load(folder)
        if saved is None:
            return
        tensors, state = saved
        self.model.load_state_dict(tensors["model"])
        self.loss.load_state_dict(tensors["loss"])
        checkpoint.restore_optimizer(self.optimizer, tensors["optimizer"])
        if self.averaged:
            self.averaged.load_state_dict(tensors["averaged"])
        self.best, self.best_epoch, self.curves = tensors["best"], state["best_epoch"], state["curves"]


def begin(settings: params.Train, train: Split, statistics: dict[str, Statistics], device: torch.device) -> Training:
    """A network with its first weights, and its loss, optimizer and moving average."""
    torch.manual_seed(settings.seed)
    network = LDDUConfig(dims=train.dims, labels=train.labels.shape[1], **settings.model.model_dump())
    model = LDDU(network)
    for m, of_modality in of_inputs(statistics, train, settings.model.rows).items():
        input_layer = model.extractor[m].input
        if isinstance(input_layer, Standardise):
            input_layer.fit(of_modality.mean, of_modality.deviation)
    model.prior.copy_(label_prior(train.targets(settings.targets)))
    model.to(device)
    options = settings.loss.model_dump(exclude={"noise", "noised"})
    learned = "presence" if settings.targets == "presence" else "share"
    config = LossConfig(**options, targets=learned, present_above=train.present_above)
    loss = LDDULoss(network, config).to(device)
    groups = decay_groups(nn.ModuleList([model, loss]), settings.weight_decay)
    optimizer = AdamW(groups, lr=settings.lr, fused=True)
    averaged = None
    if settings.averaging:
        averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.averaging))
        optimizer.register_step_post_hook(lambda *_: averaged.update_parameters(model))
    return Training(model, loss, optimizer, averaged)


def of_inputs(statistics: dict[str, Statistics], train: Split, rows: str) -> dict[str, Statistics]:
    """The statistics of what the extractors read: those of the rows, and with "mean_deviation" of the clips' deviations too."""
    if rows != "mean_deviation":
        return statistics
    joined = {}
    for m, of_rows in statistics.items():
        deviations = torch.from_numpy(pooled(train, [m], deviation=True)[:, len(of_rows.mean) :]).float()
        known = deviations[train.masks[m].any(dim=1)]
        mean = known.mean(dim=0) if len(known) else torch.zeros_like(of_rows.mean)
        spread = known.std(dim=0, correction=0) if len(known) else torch.ones_like(of_rows.mean)
        joined[m] = Statistics(torch.cat([of_rows.mean, mean]), torch.cat([of_rows.deviation, spread]))
    return joined


def label_prior(targets: Tensor) -> Tensor:
    """(C,): mean of each label's known targets (N, C); a clip with it and one without are added, so it is never 0 or 1."""
    return (targets.nansum(dim=0) + 1) / ((~targets.isnan()).sum(dim=0) + 2)


def fit(
    training: Training,
    train: Clips,
    valid: Clips,
    settings: params.Train,
    accelerator: Accelerator,
    folder: Path,
    desc: str,
    live: Trackers | None = None,
) -> None:
    """Train to the last epoch, from the epoch that `training` has reached; each leaves a checkpoint in `folder`."""
    order = Shuffled(
        train, settings.batch_size, settings.seed, settings.accumulate, accelerator.process_index, accelerator.num_processes
    )
    rates = learning_rates(settings.epochs * len(order), settings.warmup, settings.lr)
    noises = (
        noise.noises(training.model, train, settings.loss.noise) if settings.loss.ordinality and settings.loss.noise else {}
    )
    done = len(training.curves)
    with tqdm(total=settings.epochs, initial=done, desc=desc, unit="epoch", disable=not accelerator.is_main_process) as bar:
        while not training.is_over(settings):
            epoch = len(training.curves) + 1
            rates_now = rates[(epoch - 1) * len(order) : epoch * len(order)]
            steps = steps_of(settings.seed, epoch, len(order), noises, settings.loss.noised)
            learned = train_epoch(
                training.model, training.loss, order.epoch(epoch), steps, rates_now,
                training.optimizer, accelerator, settings.gradient_norm,
            )  # fmt: skip
            if not all(map(math.isfinite, learned.values())):
                raise TrainingError(f"the loss of epoch {epoch} is {learned}: lower train.lr (now {settings.lr})")
            moments = Moments(training.scored)
            row = _named("train", assess(training, train, settings, accelerator, [moments.watch]))
            moments.become_stand_ins()
            if accelerator.num_processes > 1:  # which may differ in rounding between devices
                broadcast(list(training.scored.buffers()))
            training.model.load_state_dict(dict(training.scored.named_buffers()), strict=False)
            row |= _named("valid", assess(training, valid, settings, accelerator))
            (row,) = broadcast_object_list([row])  # equal in all processes, so that they stop after the same epoch
            keep_the_best(training, {"epoch": epoch, **row}, settings.choose)
            if live:
                live.log(training.curves[-1])
            if accelerator.is_main_process:
                training.save(folder)
                if settings.keep_epochs:
                    weights.save_tensors(folder / "epochs" / f"{epoch:03d}.safetensors", training.scored.state_dict())
            bar.set_postfix_str(f"loss {learned['loss']:.3f}, valid {settings.choose} {row[CHOICES[settings.choose][0]]:.3f}")
            bar.update()


def assess(
    training: Training,
    clips: Clips,
    settings: params.Train,
    accelerator: Accelerator,
    watchers: list[Watcher] | None = None,
) -> dict[str, float]:
    """The loss, its parts, and the scores that need no threshold; without dropout."""
    training.loss.eval()
    means = Means(training.loss)
    batches = in_order(clips, settings.batch_size)
    predicted = predict(training.scored, batches, accelerator, [means.watch, *(watchers or [])])
    known = ~clips.split.labels.isnan().numpy()
    true, probs = clips.split.present.numpy()[known], predicted.probs[known]
    return means.result() | {"micro_ap": average_precision(true, probs), "micro_f1": best_micro_f1(true, probs)}


def keep_the_best(training: Training, row: dict[str, float], choose: str) -> None:
    """Add an epoch's row to the curves; keep its network if it is better than all earlier ones."""
    column, more_is_better = CHOICES[choose]
    earlier = [curve[column] for curve in training.curves]
    better = not earlier or (row[column] > max(earlier) if more_is_better else row[column] < min(earlier))
    training.curves.append(row)
    if better:
        training.best = {name: x.detach().cpu().clone() for name, x in training.scored.state_dict().items()}
        training.best_epoch = int(row["epoch"])


def key_of(parameters: params.Params, device: torch.device) -> str:
    """A digest of all that the result of training depends on, so that a checkpoint is only used by the same training."""
    folder = Path(parameters.tensors)
    files = [folder / f"{name}{ending}" for name in ("train", "valid") for ending in (".safetensors", ".csv")]
    sources = sorted(Path(__file__).parent.glob("*.py"))
    machine = [device.type, torch.__version__, torch.backends.cpu.get_cpu_capability()]
    values = [parameters.train.model_dump(), parameters.corpus.labels, parameters.corpus.present_above, *machine]
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for path in [*files, folder / "statistics.safetensors", *sources]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def write_curves(curves: list[dict[str, float]], chosen: int, folder: Path) -> None:
    """curves.csv, with a row for each epoch, and the same as a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ([x if name == "epoch" else f"{x:.6f}" for name, x in row.items()] for row in curves)
    csv_table.write(folder / "curves.csv", list(curves[0]), rows)
    plots.draw_curves(curves, chosen, folder / "curves.png")


def runs_of(settings: params.Train) -> dict[str, params.Train]:
    """The networks to train, by their folder below `data/model`: that of the first seed, of the others, the baseline."""
    runs = {"": settings}
    for seed in range(settings.seed + 1, settings.seed + settings.repeats):
        runs[f"seed-{seed}"] = settings.model_copy(update={"seed": seed})
    if settings.baseline:
        runs[weights.CENTRE] = settings.model_copy(
            update={
                "model": settings.model.model_copy(update={"fusion": "mu"}),
                "loss": settings.loss.model_copy(update=dict.fromkeys(OF_SIGMA, 0.0) | {"features": "mu"}),
            }
        )
    return runs


def train(parameters: params.Params) -> None:
    """The stage: train on the tensors, write the networks and their curves, delete the checkpoints."""
    trackers.require(parameters.run.trackers)
    read(parameters)  # refuses unusable tensors before any process is started
    device = device_of(parameters.run.device)
    checkpoints = parameters.run.store_folder / "train" / key_of(parameters, device)
    with checkpoint.held(checkpoints):
        processes.start(train_all, parameters.train.processes, device, (parameters, checkpoints))
        pipeline.require_unchanged(parameters, "train")  # else the checkpoints stay, to go on with the former values


def train_all(parameters: params.Params, checkpoints: Path) -> None:
    """Train every network, in one of `train.processes` processes."""
    settings, labels = parameters.train, parameters.corpus.labels
    learning, held_out, statistics = read(parameters)
    accelerator = accelerator_on(parameters.run.device, settings.threads, settings.precision)
    if accelerator.is_main_process:
        for folder in (MODEL, CURVES):  # evaluate would score networks of an earlier run too; old files may be links
            shutil.rmtree(folder, ignore_errors=True)
    calibrated = (settings.loss.calibration and settings.loss.calibration_form == "noise") or settings.loss.ambiguity
    of_train, of_valid = calibration.targets(learning, held_out) if calibrated else (None, None)
    if settings.targets == "classifier":
        learning, held_out = taught(learning), replace(held_out, labels=held_out.targets("presence"), present_above=0.5)
    clips, others = Clips(learning, accelerator.device, of_train), Clips(held_out, accelerator.device, of_valid)
    for name, run in runs_of(settings).items():
        training = begin(run, learning, statistics, accelerator.device)
        training.resume(checkpoints / name)
        with Trackers(parameters.run.trackers if accelerator.is_main_process else [], name) as live:
            for row in training.curves:  # of a checkpoint
                live.log(row)
            fit(training, clips, others, run, accelerator, checkpoints / name, f"train {name}".strip(), live)
        if accelerator.is_main_process:
            card = weights.Card(labels, training.best_epoch, training.model.prior.tolist(), learned_from(learning, parameters))
            write(training, card, checkpoints / name, name)
            if run.baseline and name != weights.CENTRE:
                mlp.save(mlp.fit(learning, held_out, run, accelerator.device), MODEL / name)
    accelerator.wait_for_everyone()


def read(parameters: params.Params) -> tuple[Split, Split, dict[str, Statistics]]:
    """The labelled clips of train and of valid, and the statistics."""
    folder = Path(parameters.tensors)
    splits = read_splits(folder, ("train", "valid"), parameters.corpus.labels, parameters.corpus.present_above)
    for split in splits.values():
        require_labels(split, folder)
        if parameters.train.targets == "share":
            require_shares(split, folder)
    learning, held_out = (split.select(split.labelled) for split in splits.values())
    return learning, held_out, read_statistics(folder, learning.dims)


def taught(train: Split) -> Split:
    """A split with the probabilities of the text encoder's classifier, whose logits are the last features of the text, in
    place of the labels; presence itself where a clip has no text.

    The classifier has learned these very texts, and their states show it: a network that learns the labels from them again is
    surer than it is right on other texts. What the classifier makes of the states holds for other texts too.
    """
    presence = train.targets("presence")
    logits = torch.from_numpy(pooled(train, ["text"])[:, -presence.shape[1] :]).float()
    probabilities = logits.sigmoid().where(~logits.isnan(), presence)
    return replace(train, labels=probabilities.masked_fill(presence.isnan(), torch.nan), present_above=0.5)


def learned_from(train: Split, parameters: params.Params) -> weights.Learned:
    """What a user of the network should know of the labelled clips that it was trained on."""
    root, tensors = Path(parameters.corpus.root), Path(parameters.tensors)
    from_clips = tensors == OWN_TENSORS
    speakers = len(set(train.speakers) - {""})
    return weights.Learned((root if from_clips else tensors).name, from_clips and root == SAMPLE, len(train), speakers)


def write(training: Training, card: weights.Card, checkpoints: Path, name: str) -> None:
    """Write the best network, the last one, those of all epochs if they were kept, and the curves."""
    weights.save(MODEL / name, training.best, training.model.config, card)
    weights.save_tensors(MODEL / name / "last.safetensors", training.scored.state_dict())
    if (checkpoints / "epochs").is_dir():
        shutil.copytree(checkpoints / "epochs", MODEL / name / "epochs", dirs_exist_ok=True)
    write_curves(training.curves, training.best_epoch, CURVES / name)


def _named(split: str, means: dict[str, float]) -> dict[str, float]:
    return {f"{split}_{name}": value for name, value in means.items()}
