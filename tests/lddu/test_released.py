"""presets/released.yaml means the same training whatever an edited params.yaml says."""

from pathlib import Path

import pytest
import yaml

import params
from lddu.losses import LossConfig
from lddu.model import LDDUConfig
from preset import apply
from tests.conftest import ROOT, set_params

PRESET = ROOT / "presets/released.yaml"
# What changes no result, or only the digits that depend on the machine.
HOW = {"train.threads", "train.processes", "train.model.recompute", "evaluate.bins"}
# Of the ordinality, which the released training does not have.
UNUSED = {"train.loss.sharpness", "train.loss.noise", "train.loss.noised"}
EDITS: dict[str, object] = {
    "train.seed": 7,
    "train.repeats": 3,
    "train.patience": 2,
    "train.precision": "bfloat16",
    "train.accumulate": 4,
    "train.weight_decay": 0.2,
    "train.warmup": 0.5,
    "train.gradient_norm": 9.0,
    "train.averaging": 0.5,
    "train.model.heads": 4,
    "train.model.feedforward": 32,
    "train.model.positions": 99,
    "train.model.head_dropout": 0.7,
    "train.model.projections": 2,
    "train.model.label_residual": True,
    "train.model.activation": "gelu",
    "train.model.info": "per_label",
    "train.model.fusion": "mean",
    "train.loss.info": 0.9,
    "train.loss.ambiguity": 0.5,
    "train.loss.negatives": "label",
    "train.loss.features": "mu",
    "train.loss.temperature": 0.5,
    "evaluate.threshold": "per_label",
    "evaluate.threshold_step": 0.2,
}


def leaves(tree: dict, prefix: str) -> dict[str, object]:
    pairs = ((f"{prefix}.{name}", value) for name, value in tree.items())
    return {
        key: leaf
        for name, value in pairs
        for key, leaf in (leaves(value, name).items() if isinstance(value, dict) else [(name, value)])
    }


def released(folder: Path, edits: dict[str, object]) -> params.Params:
    path = folder / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(path, **edits)
    apply(PRESET, path)
    return params.load(path)


def test_every_option_of_training_and_threshold_is_named() -> None:
    settings = params.load(ROOT / "params.yaml")
    options = {key for name in ("train", "evaluate") for key in leaves(getattr(settings, name).model_dump(), name)}
    preset = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    named = {key for name, tree in preset.items() for key in leaves(tree, name)}
    assert options - named == HOW | UNUSED


@pytest.mark.parametrize("edits", [EDITS, *({key: value} for key, value in EDITS.items())], ids=lambda edits: str(len(edits)))
def test_no_edit_of_params_yaml_leaks_into_the_released_training(tmp_path: Path, edits: dict[str, object]) -> None:
    plain, edited = released(tmp_path, {}), released(tmp_path, edits)
    assert edited.train == plain.train
    assert edited.evaluate == plain.evaluate


def test_the_released_network_is_that_of_the_codes_defaults(tmp_path: Path) -> None:
    settings = released(tmp_path, EDITS).train
    defaults = LDDUConfig()
    for name, value in settings.model.model_dump(exclude={"positions"}).items():
        assert getattr(defaults, name) == value, name
    of_code = LossConfig()
    for name in ("info", "calibration", "negatives", "features", "temperature", "queue"):
        assert getattr(of_code, name) == getattr(settings.loss, name), name
