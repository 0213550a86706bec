"""Encoder states of a modality over a clip: what the encode stages write and align reads."""

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
    observed: np.ndarray  # (T,) bool; False where there was nothing to encode (no face in the frame)


@dataclass(frozen=True)
class WordStates:
    """States of a text's tokens, each of one word."""

    states: np.ndarray  # (T, D) float32
    words: np.ndarray  # (T,) int32, index of the token's word


def later(window: TimedStates, seconds: float) -> TimedStates:
    """The states of a window that begins so many seconds into the clip, with times from the clip's start."""
    return TimedStates(window.states, (window.times + np.float64(seconds)).astype(np.float32), window.observed)


def write(folder: Path, states: TimedStates | WordStates) -> None:
    save_file({name: np.ascontiguousarray(value) for name, value in vars(states).items()}, folder / FILE)


def read_timed(shards: Shards, clip_id: str) -> TimedStates:
    return TimedStates(**tables.whole(partial(shards.open, clip_id, FILE)))


def read_words(shards: Shards, clip_id: str) -> WordStates:
    return WordStates(**tables.whole(partial(shards.open, clip_id, FILE)))
