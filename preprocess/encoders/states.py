"""States of a modality through a clip, as the encoders leave them and align pools them."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from preprocess.store import tables
from preprocess.store.shards import Shards

FILE = "safetensors"


@dataclass(frozen=True)
class TimedStates:
    """States of sound or picture, each covering a span of time."""

    states: np.ndarray  # (T, D) float32
    times: np.ndarray  # (T, 2) float32, seconds from the clip's start
    observed: np.ndarray  # (T,) bool; False where nothing was there to encode (no face in the frame)


@dataclass(frozen=True)
class WordStates:
    """States of a text's tokens, each part of a word."""

    states: np.ndarray  # (T, D) float32
    words: np.ndarray  # (T,) int32, index of the token's word


def later(found: TimedStates, seconds: float) -> TimedStates:
    """States of a part in the time of the whole."""
    return TimedStates(found.states, (found.times + np.float64(seconds)).astype(np.float32), found.observed)


def write(folder: Path, states: TimedStates | WordStates) -> None:
    save_file({name: np.ascontiguousarray(value) for name, value in vars(states).items()}, folder / FILE)


def read_timed(shards: Shards, clip_id: str) -> TimedStates:
    return TimedStates(**tables.whole(partial(shards.open, clip_id, FILE)))


def read_words(shards: Shards, clip_id: str) -> WordStates:
    return WordStates(**tables.whole(partial(shards.open, clip_id, FILE)))
