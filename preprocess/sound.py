"""Sound as the stages keep it: mono at one rate, in FLAC."""

import io

import numpy as np
import soundfile

from preprocess.shards import Shards

FILE = "flac"
SAMPLE_RATE = 16000  # hertz, which the networks and the acoustic model were trained with


def parse(file: bytes) -> np.ndarray:
    """The samples (n,) of a FLAC file, float32 from -1 to 1."""
    return soundfile.read(io.BytesIO(file), dtype="float32")[0]


def wave(shards: Shards, clip_id: str) -> np.ndarray:
    """A clip's samples (n,), float32 from -1 to 1."""
    return parse(shards.read(clip_id, FILE))
