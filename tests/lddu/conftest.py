"""A project folder with a small corpus of tensors and parameters for a small network."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

import params
from tests.lddu import small_corpus

# Networks this small are slower on several threads, and much slower where the cores are shared.
torch.set_num_threads(1)

REPOSITORY = Path(__file__).parents[2]
NETWORK = {
    "width": 32,
    "latent": 16,
    "layers": 1,
    "heads": 4,
    "feedforward": 32,
    "dropout": 0.1,
    "modality_dropout": 0.1,
    "recompute": True,
    "rows": "all",
}
TRAIN = {"epochs": 4, "batch_size": 32, "lr": 0.003, "threads": 1, "baseline": False, "averaging": 0.0, "choose": "micro_ap"}

Parameters = Callable[..., params.Params]


@pytest.fixture
def parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parameters:
    """Makes parameters with some of `train` changed; the current folder is a project with tensors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    AcceleratorState._reset_state(reset_partial_state=True)  # a stage has a process of its own, tests share one
    small_corpus.write(Path("data/tensors"))

    def make(**train: object) -> params.Params:
        tree = params.load(REPOSITORY / "params.yaml").model_dump()
        tree["corpus"]["labels"] = small_corpus.LABELS
        tree["tensors"] = "data/tensors"
        tree["run"] |= {"device": "cpu", "store": ".store"}
        tree["train"] |= TRAIN | train
        tree["train"]["model"] |= NETWORK
        tree["train"]["loss"] |= {"queue": 256, "contrast": 0.25}
        return params.Params.model_validate(tree)

    return make
