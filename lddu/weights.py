"""A trained model on disk: `weights.safetensors`, and `config.json` with what is needed to use them."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lddu.model import LDDU, LDDUConfig

# Folder below a model's: the same network with μ alone and no σ.
CENTRE = "centre"


class WeightsError(ValueError):
    """A model's folder cannot be used; the message names the file and what to do."""


@dataclass(frozen=True)
class Learned:
    """What a network was trained on."""

    corpus: str  # name of the corpus' folder, or of that of published features
    synthetic: bool  # are its people synthetic, as those of the corpus that comes with the project
    clips: int  # of the training split
    speakers: int  # of these clips; 0 where they are unknown

    def __str__(self) -> str:
        people = "" if not self.speakers else " of 1 person" if self.speakers == 1 else f" of {self.speakers} people"
        made = "; its people are synthetic, and nothing that it says of real people has been tested" if self.synthetic else ""
        return f"trained on the corpus {self.corpus}: {self.clips} clips{people}{made}"


@dataclass(frozen=True)
class Card:
    """What a model's user needs beside the weights and the network's sizes."""

    labels: list[str]
    epoch: int  # the chosen one, from 1
    prior: list[float]  # share of the training split's labelled clips that have each label
    learned: Learned


def save(folder: Path, weights: dict[str, Tensor], config: LDDUConfig, card: Card) -> None:
    """Write a model's state; the same state gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(folder / "weights.safetensors", weights)
    text = json.dumps({"network": asdict(config), **asdict(card)}, indent=2, ensure_ascii=False)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors by name; a reader finds all of them or no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    save_file({name: x.detach().cpu().contiguous() for name, x in tensors.items()}, unfinished)
    unfinished.replace(path)


def load(folder: Path) -> tuple[LDDU, Card]:
    """The model, on the CPU and in evaluation mode. WeightsError where the files are missing or do not match."""
    try:
        tree = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = load_file(folder / "weights.safetensors")
    except FileNotFoundError as error:
        raise WeightsError(f"{error.filename or folder / 'weights.safetensors'} is not there: run train") from None
    except (json.JSONDecodeError, SafetensorError) as error:
        raise WeightsError(f"{folder} cannot be read ({error}): run train again") from None
    network = tree.pop("network", {})
    options = {field.name for field in fields(LDDUConfig)}
    if set(network) != options or set(tree) != {field.name for field in fields(Card)}:
        raise WeightsError(f"{folder / 'config.json'} is of another version of this program: run train again")
    with torch.random.fork_rng(devices=[]):  # the first weights, soon replaced, draw no numbers from the caller's generator
        model = LDDU(LDDUConfig(**network))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise WeightsError(f"{folder}: weights.safetensors does not fit config.json: {error}") from None
    return model.eval(), Card(**tree | {"learned": Learned(**tree["learned"])})
