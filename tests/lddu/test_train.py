"""The stage `train`: it learns, repeats to the byte, goes on after a kill, and says what it cannot use."""

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import params
from lddu import checkpoint, noise, processes, weights
from lddu import train as stage
from lddu.batches import Clips, in_order
from lddu.device import DeviceError
from lddu.device import accelerator as accelerator_on
from lddu.engine import predict
from lddu.metrics import cross_entropy
from lddu.model import LDDUConfig
from lddu.processes import ProcessError
from lddu.tensors import TensorError, read_split
from lddu.train import TrainingError, label_prior, train
from tests.lddu import small_corpus
from tests.lddu.conftest import Parameters

OUTPUTS = (
    *(f"data/model/{name}" for name in ("weights.safetensors", "config.json", "last.safetensors")),
    *(f"data/training/{name}" for name in ("curves.csv", "curves.png")),
)


def outputs() -> dict[str, bytes]:
    return {name: Path(name).read_bytes() for name in OUTPUTS}


def curves(name: str = "") -> list[dict[str, float]]:
    with (Path("data/training") / name / "curves.csv").open() as file:
        return [{name: float(x) for name, x in row.items()} for row in csv.DictReader(file)]


def test_training_learns_and_leaves_its_network_and_curves(parameters: Parameters) -> None:
    train(parameters(epochs=10))
    rows = curves()
    assert [row["epoch"] for row in rows] == list(range(1, 11))
    assert rows[-1]["valid_bce"] < rows[0]["valid_bce"] - 0.05
    assert rows[-1]["valid_micro_ap"] > 0.6
    model, card = weights.load(Path("data/model"))
    assert card.labels == small_corpus.LABELS
    assert card.epoch == max(rows, key=lambda row: row["valid_micro_ap"])["epoch"]
    assert model.config.dims == small_corpus.DIMS
    assert card.prior == pytest.approx(model.prior.tolist())
    assert not (model.stand_in["audio"].mu == 0).all()
    assert not list(Path(".store/train").iterdir())


def test_the_same_inputs_give_the_same_bytes(parameters: Parameters) -> None:
    train(parameters())
    first = outputs()
    torch.rand(7)
    train(parameters())
    assert outputs() == first
    train(parameters(seed=43))
    assert outputs() != first


def test_training_goes_on_after_a_kill_as_if_there_had_been_none(
    parameters: Parameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(parameters())
    expected = outputs()
    ran: list[int] = []
    epoch = stage.train_epoch

    def killed_in_the_third(*args: object) -> dict[str, float]:
        ran.append(1)
        if len(ran) == 3:
            epoch(*args)  # its steps are taken, but no checkpoint is written
            raise KeyboardInterrupt
        return epoch(*args)

    monkeypatch.setattr(stage, "train_epoch", killed_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        train(parameters())
    assert list(Path(".store/train").glob("*/checkpoint.safetensors"))
    ran[:] = [1] * 10
    train(parameters())
    assert len(ran) == 10 + 2
    assert outputs() == expected


def test_a_moving_average_of_the_weights_resumes_too(parameters: Parameters, monkeypatch: pytest.MonkeyPatch) -> None:
    train(parameters(averaging=0.9))
    expected = outputs()
    train(parameters())
    assert outputs() != expected
    epoch, ran = stage.train_epoch, []

    def killed_in_the_second(*args: object) -> dict[str, float]:
        ran.append(1)
        if len(ran) == 2:
            raise KeyboardInterrupt
        return epoch(*args)

    monkeypatch.setattr(stage, "train_epoch", killed_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        train(parameters(averaging=0.9))
    train(parameters(averaging=0.9))
    assert outputs() == expected


def begun(settings: params.Params) -> tuple[stage.Training, Clips, Clips]:
    """A network that has learned nothing yet, and the clips of train and of valid."""
    learning, held_out, statistics = stage.read(settings)
    cpu = torch.device("cpu")
    return stage.begin(settings.train, learning, statistics, cpu), Clips(learning, cpu), Clips(held_out, cpu)


def test_deviations_of_rows_are_standardised_by_those_of_the_training_split(parameters: Parameters) -> None:
    settings = parameters()
    model = settings.train.model.model_copy(update={"rows": "mean_deviation", "input": "standardise"})
    learning, _, statistics = stage.read(settings)
    training = stage.begin(settings.train.model_copy(update={"model": model}), learning, statistics, torch.device("cpu"))
    for m, width in small_corpus.DIMS.items():
        rows, there = training.model.observed(m, learning.features, learning.masks)
        read = training.model.extractor[m].input(rows[there])  # (clips that have the modality, 2 D)
        assert read.shape[1] == 2 * width
        torch.testing.assert_close(read[:, width:].mean(dim=0), torch.zeros(width), atol=1e-4, rtol=0)
        torch.testing.assert_close(read[:, width:].std(dim=0, correction=0), torch.ones(width), atol=1e-4, rtol=0)


def test_the_averaged_network_is_what_is_scored_and_kept(parameters: Parameters) -> None:
    settings, accelerator = parameters(averaging=0.9, epochs=1, keep_epochs=True), accelerator_on("cpu", 1)
    training, learning, held_out = begun(settings)
    steps: list[torch.Tensor] = []
    training.optimizer.register_step_post_hook(lambda *_: steps.append(training.model.labels.detach().clone()))
    stage.fit(training, learning, held_out, settings.train, accelerator, Path("checkpoint"), "")
    card = weights.Card(small_corpus.LABELS, 1, [0.5] * len(small_corpus.LABELS), weights.Learned("films", False, 3, 1))
    stage.write(training, card, Path("checkpoint"), "")
    average = steps[0]
    for learned in steps[1:]:
        average = 0.9 * average + 0.1 * learned
    for name in ("weights", "last", "epochs/001"):
        torch.testing.assert_close(load_file(f"data/model/{name}.safetensors")["labels"], average)
    true, costs = (held_out.labels > 0).numpy(), []
    for network in (weights.load(Path("data/model"))[0], training.model):
        found = predict(network, in_order(held_out, 32), accelerator)
        costs.append(cross_entropy(true, found.log_probs, found.log_not_probs))
    assert training.curves[0]["valid_bce"] == pytest.approx(costs[0], abs=1e-5)
    assert abs(costs[1] - costs[0]) > 1e-3


def test_the_rate_rises_over_the_warm_up_of_all_steps_and_falls_over_the_others(parameters: Parameters) -> None:
    settings = parameters(epochs=4, warmup=0.5, lr=0.006)
    training, learning, held_out = begun(settings)
    rates: list[float] = []
    training.optimizer.register_step_post_hook(lambda *_: rates.append(training.optimizer.param_groups[0]["lr"]))
    stage.fit(training, learning, held_out, settings.train, accelerator_on("cpu", 1), Path("checkpoint"), "")
    falling = [0.003 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    assert rates == pytest.approx([0.001, 0.002, 0.003, 0.004, 0.005, 0.006, *falling])


def test_a_network_begins_with_the_statistics_of_its_training_split(parameters: Parameters) -> None:
    training, learning, _ = begun(parameters())
    for m, mask in learning.masks.items():
        rows = training.model.extractor[m].input(learning.features[m][mask])
        torch.testing.assert_close(rows.mean(dim=0), torch.zeros(rows.shape[1]), atol=1e-4, rtol=0)
        torch.testing.assert_close(rows.std(dim=0, correction=0), torch.ones(rows.shape[1]), atol=1e-4, rtol=0)


def test_training_puts_in_the_kinds_of_noise_that_it_is_told_and_no_others(
    parameters: Parameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in: set[str] = set()

    def told_of(kind: str) -> Callable[..., torch.Tensor]:
        change = noise.KINDS[kind]
        return lambda *given: put_in.add(kind) or change(*given)

    for kind in noise.KINDS:
        monkeypatch.setitem(noise.KINDS, kind, told_of(kind))
    for weight, kinds in ((0.0, ["faded"]), (0.3, ["faded"]), (0.3, ["dropped", "swapped"])):
        tree = parameters(epochs=1).model_dump()
        tree["train"]["loss"] |= {"ordinality": weight, "noise": kinds}
        put_in.clear()
        train(parameters().model_validate(tree))
        assert put_in == (set(kinds) if weight else set())


def test_every_seed_and_the_baseline_have_their_own_network(parameters: Parameters) -> None:
    train(parameters(repeats=2, baseline=True, epochs=2))
    folders = {name: weights.load(Path("data/model") / name) for name in ("", "seed-43", "centre")}
    states = [model.state_dict()["labels"] for model, _ in folders.values()]
    assert not torch.equal(states[0], states[1])
    assert folders["centre"][0].config.fusion == "mu"
    columns = {name.removeprefix("valid_") for name in curves("centre")[0] if name.startswith("valid_")}
    assert columns == {"loss", "bce", "contrast", "micro_ap", "micro_f1"}
    train(parameters(seed=43, epochs=2))
    alone, _ = weights.load(Path("data/model"))
    assert torch.equal(alone.state_dict()["labels"], states[1])


def test_training_stops_after_its_patience(parameters: Parameters) -> None:
    train(parameters(epochs=60, patience=2, lr=0.02))
    rows = curves()
    assert len(rows) < 60
    column = [row["valid_micro_ap"] for row in rows]
    assert len(rows) == column.index(max(column)) + 1 + 2


def test_the_weights_of_every_epoch_are_kept_on_demand(parameters: Parameters) -> None:
    train(parameters(epochs=3, keep_epochs=True))
    kept = sorted(Path("data/model/epochs").iterdir())
    assert [path.name for path in kept] == ["001.safetensors", "002.safetensors", "003.safetensors"]
    assert kept[-1].read_bytes() == Path("data/model/last.safetensors").read_bytes()
    assert any(path.read_bytes() == Path("data/model/weights.safetensors").read_bytes() for path in kept)


@pytest.mark.slow
def test_two_processes_train_as_one(parameters: Parameters) -> None:
    """Without dropout: the contrast and the ranking are over the clips of both, their queues are the same."""
    tree = parameters(epochs=2).model_dump()
    tree["train"]["model"] |= {"dropout": 0.0, "head_dropout": 0.0, "modality_dropout": 0.0}
    tree["train"]["loss"] |= {"ordinality": 0.1, "noise": ["faded"]}
    found = []
    for count in (1, 2):
        tree["train"]["processes"] = count
        train(parameters().model_validate(tree))
        found.append(curves())
    for one, two in zip(*found, strict=True):
        assert two == pytest.approx(one, abs=1e-3)


def train_by_different_scores(parameters: params.Params, folder: Path) -> None:
    """In each process: valid labels of its own; it leaves the epochs that it ran."""
    learning, held_out, statistics = stage.read(parameters)
    accelerator = accelerator_on("cpu", 1, "float32")
    rank = accelerator.process_index
    of_rank = replace(held_out, labels=held_out.labels if rank == 0 else 1 - held_out.labels)
    training = stage.begin(parameters.train, learning, statistics, accelerator.device)
    clips, others = (Clips(split, accelerator.device) for split in (learning, of_rank))
    stage.fit(training, clips, others, parameters.train, accelerator, folder / "checkpoint", "")
    (folder / f"{rank}.json").write_text(json.dumps([training.best_epoch, len(training.curves)]), encoding="utf-8")


@pytest.mark.slow
def test_processes_stop_together_though_their_scores_differ(parameters: Parameters, tmp_path: Path) -> None:
    settings = parameters(epochs=30, patience=1, processes=2)
    processes.start(train_by_different_scores, 2, torch.device("cpu"), (settings, tmp_path))
    main, other = (json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1))
    assert main == other


@pytest.mark.slow
def test_a_failure_in_one_of_several_processes_is_told(parameters: Parameters) -> None:
    with pytest.raises(ProcessError, match=r"lower train\.lr"):
        train(parameters(lr=1e30, gradient_norm=1e30, processes=2, epochs=3))


def test_bfloat16_learns_too(parameters: Parameters) -> None:
    train(parameters(epochs=10, precision="bfloat16"))
    assert curves()[-1]["valid_micro_ap"] > 0.6


def test_a_half_written_checkpoint_is_as_none(parameters: Parameters, monkeypatch: pytest.MonkeyPatch) -> None:
    train(parameters())
    expected = outputs()
    resume = stage.Training.resume

    def spoiled(training: stage.Training, folder: Path) -> None:
        (folder / "checkpoint.safetensors").write_bytes(b"\x10\0\0\0")
        resume(training, folder)

    monkeypatch.setattr(stage.Training, "resume", spoiled)
    train(parameters())
    assert outputs() == expected


def test_two_processes_never_train_the_same_at_once(parameters: Parameters) -> None:
    folder = parameters().run.store_folder / "train" / stage.key_of(parameters(), torch.device("cpu"))
    with checkpoint.held(folder):
        (folder / "checkpoint.safetensors.123").write_bytes(b"left by a kill")
        with pytest.raises(checkpoint.CheckpointError, match="another process is training the same"):
            train(parameters())
    train(parameters(epochs=1))


def test_parameters_that_are_edited_meanwhile_stop_the_stage_and_keep_what_it_learned(parameters: Parameters) -> None:
    settings = parameters(epochs=1)
    Path("dvc.yaml").write_text("stages: {train: {params: [train]}}", encoding="utf-8")
    params.PATH.write_text(yaml.safe_dump(settings.model_dump() | {"train": {"lr": 1}}), encoding="utf-8")
    with pytest.raises(params.ParameterError, match="train changed in params"):
        train(settings)
    (checkpoints,) = Path(".store/train").iterdir()
    assert (checkpoints / "checkpoint.safetensors").is_file()
    params.PATH.write_text(yaml.safe_dump(settings.model_dump()), encoding="utf-8")
    train(settings)
    assert not checkpoints.exists()


def test_only_a_run_of_the_same_is_continued(parameters: Parameters) -> None:
    def keys(*runs: object) -> set[str]:
        return {stage.key_of(run, torch.device("cpu")) for run in runs}

    assert len(keys(parameters(), parameters())) == 1
    assert len(keys(parameters(), parameters(lr=0.001), parameters(seed=1), parameters(epochs=5))) == 4
    before = keys(parameters())
    path = Path("data/tensors/train.safetensors")
    tensors = load_file(path)
    tensors["labels"][0] = 1 - tensors["labels"][0]
    save_file(tensors, path, metadata={"labels": json.dumps(small_corpus.LABELS)})
    assert keys(parameters()) != before


@pytest.mark.parametrize(("choose", "best"), [("bce", min), ("micro_f1", max), ("micro_ap", max)])
def test_the_epoch_is_the_first_of_the_best_on_valid(parameters: Parameters, choose: str, best: type) -> None:
    train(parameters(choose=choose, epochs=6))
    column = [row[f"valid_{choose}"] for row in curves()]
    assert json.loads(Path("data/model/config.json").read_text())["epoch"] == column.index(best(column)) + 1


def test_unlabelled_clips_change_nothing(parameters: Parameters) -> None:
    """Clips of train without labels are left out, before the order of clips is drawn."""
    path, table = Path("data/tensors/train.safetensors"), Path("data/tensors/train.csv")
    whole, rows = load_file(path), table.read_text().splitlines()
    metadata = {"labels": json.dumps(small_corpus.LABELS)}
    save_file({name: x[:80].contiguous() for name, x in whole.items()}, path, metadata=metadata)
    table.write_text("\n".join(rows[:81]) + "\n")
    train(parameters(epochs=2))
    expected = outputs()
    whole["labels"][80:] = torch.nan
    save_file(whole, path, metadata=metadata)
    table.write_text("\n".join(rows) + "\n")
    train(parameters(epochs=2))
    assert outputs() == expected


def test_training_never_opens_what_it_must_not_see(parameters: Parameters) -> None:
    for name in ("noise.csv", "test.safetensors", "test.csv", "other.safetensors"):
        (Path("data/tensors") / name).unlink()
    train(parameters(epochs=1))


def test_a_label_that_no_clip_has_is_learned_as_rare(parameters: Parameters) -> None:
    def never_sad(tensors: dict) -> None:
        tensors["labels"][:, 1] = 0

    small_corpus.write(Path("data/tensors"), spoil={"train": never_sad, "valid": never_sad})
    train(parameters(epochs=20, choose="bce"))
    model, card = weights.load(Path("data/model"))
    assert card.prior[1] == pytest.approx(1 / 98)
    tensors = load_file("data/tensors/valid.safetensors")
    probs = model({m: tensors[m] for m in small_corpus.DIMS}, {m: tensors[f"{m}_mask"] for m in small_corpus.DIMS}).probs
    assert probs[:, 1].mean() < 0.7 * probs[:, 0].mean()


def test_a_corpus_of_text_alone_trains(parameters: Parameters) -> None:
    small_corpus.write(Path("data/tensors"), {"text": 12})
    train(parameters(epochs=2))
    assert weights.load(Path("data/model"))[0].config.dims == {"text": 12}


def test_one_clip_is_enough_to_train_on(parameters: Parameters) -> None:
    def one(tensors: dict) -> None:
        tensors["labels"][1:] = torch.nan

    small_corpus.write(Path("data/tensors"), spoil={"train": one, "valid": one})
    train(parameters(epochs=1))
    assert len(curves()) == 1


def test_a_loss_that_is_no_number_stops_training(parameters: Parameters) -> None:
    with pytest.raises(TrainingError, match=r"the loss of epoch \d is .*: lower train\.lr"):
        train(parameters(lr=1e30, gradient_norm=1e30))


def test_valid_without_labelled_clips_is_refused_before_training(parameters: Parameters) -> None:
    small_corpus.write(Path("data/tensors"), spoil={"valid": lambda tensors: tensors["labels"].fill_(torch.nan)})
    with pytest.raises(TensorError, match=r"valid\.safetensors: 32 clips, none of them labelled"):
        train(parameters())


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
def test_a_device_that_is_not_there_is_named(parameters: Parameters) -> None:
    tree = parameters().model_dump()
    tree["run"]["device"] = "cuda:1"
    with pytest.raises(DeviceError, match=r"run\.device is cuda:1, but torch sees no CUDA device"):
        train(parameters().model_validate(tree))


def test_what_the_classifier_says_is_learned_in_place_of_the_labels(parameters: Parameters) -> None:
    """The text's last features are planted: what they say has nothing to do with the labels."""
    signs = torch.Generator().manual_seed(3)

    def said(tensors: dict[str, torch.Tensor]) -> None:
        clips, rows, _ = tensors["text"].shape
        logits = torch.randn(clips, 1, 3, generator=signs).sign() * 3
        tensors["text"][..., -3:] = logits.expand(clips, rows, 3)

    small_corpus.write(Path("data/tensors"), spoil={"train": said, "valid": said})
    tree = parameters(epochs=20, lr=0.01).model_dump()
    tree["tune"]["text"]["epochs"], tree["encode"]["text"]["classifier"] = 1, True
    tree["train"]["targets"] = "classifier"
    settings = params.Params.model_validate(tree)
    learning, _, _ = stage.read(settings)
    taught = stage.taught(learning)
    heard = learning.masks["text"].any(dim=1)
    logits = learning.features["text"][:, 0, -3:]  # the same in all rows
    torch.testing.assert_close(taught.labels[heard], logits[heard].sigmoid())
    assert torch.equal(taught.labels[~heard], learning.present[~heard].float())
    train(settings)
    model, _ = weights.load(Path("data/model"))
    model.load_state_dict(load_file("data/model/last.safetensors"))  # the labels of valid choose the best one
    probs = torch.from_numpy(predict(model, in_order(Clips(learning, torch.device("cpu")), 64), accelerator_on("cpu", 1)).probs)
    gap_taught = (probs - taught.labels)[heard].abs().mean()
    assert gap_taught < 0.5 * (probs - learning.present.float())[heard].abs().mean()


def test_shares_are_learned_where_the_labels_are_shares(parameters: Parameters) -> None:
    """Each label that is present here was said by a seventh of the raters: no probability comes near a half."""
    with pytest.raises(TensorError, match=r"from 0 to 2, not from 0 to 1, of clip train-0.*write train\.targets: presence"):
        train(parameters(targets="share"))

    def shared(tensors: dict[str, torch.Tensor]) -> None:
        tensors["labels"] /= 14

    small_corpus.write(Path("data/tensors"), spoil={"train": shared, "valid": shared})
    train(parameters(targets="share", choose="bce", epochs=6, lr=0.01))
    model, card = weights.load(Path("data/model"))
    assert max(card.prior) < 0.1
    valid = Clips(read_split(Path("data/tensors"), "valid", small_corpus.LABELS), torch.device("cpu"))
    assert predict(model, in_order(valid, 32), accelerator_on("cpu", 1)).probs.mean() < 0.15


def test_the_prior_is_the_mean_of_labelled_clips_and_never_certain() -> None:
    labels = torch.tensor([[1.0, 0.0, torch.nan], [1.0, 0.0, 1.0]])
    assert label_prior(labels).tolist() == pytest.approx([3 / 4, 1 / 4, 2 / 3])


def test_weights_that_cannot_be_used_are_named(parameters: Parameters) -> None:
    folder = Path("data/model")
    with pytest.raises(weights.WeightsError, match=r"config\.json is not there: run train"):
        weights.load(folder)
    train(parameters(epochs=1))
    tree = json.loads((folder / "config.json").read_text())
    tree["network"]["width"] = 64
    (folder / "config.json").write_text(json.dumps(tree))
    with pytest.raises(weights.WeightsError, match=r"weights\.safetensors does not fit config\.json"):
        weights.load(folder)
    del tree["network"]["width"]
    (folder / "config.json").write_text(json.dumps(tree))
    with pytest.raises(weights.WeightsError, match=r"config\.json is of another version"):
        weights.load(folder)


def test_the_parameters_name_every_size_of_the_network(parameters: Parameters) -> None:
    """What params.yaml says and what the tensors say make up the whole configuration."""
    named = set(parameters().train.model.model_dump()) | {"dims", "labels"}
    assert named == set(LDDUConfig.__dataclass_fields__)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_on_a_gpu_learns_and_repeats(parameters: Parameters, precision: str) -> None:
    tree = parameters(epochs=6, precision=precision).model_dump()
    tree["run"]["device"] = "cuda"
    found = []
    for _ in range(2):
        train(parameters().model_validate(tree))
        found.append(Path("data/model/weights.safetensors").read_bytes())
    assert curves()[-1]["valid_micro_ap"] > 0.5
    assert found[0] == found[1]
