"""Sound as the stages keep it: mono at one rate, in FLAC."""

import io

import numpy as np
import soundfile

from preprocess.shards import Shards

FILE = "flac"
SAMPLE_RATE = 16000  # hertz, which the networks and the acoustic model were trained with


def wave(shards: Shards, clip_id: str) -> np.ndarray:
    """A clip's samples (n,), float32 from -1 to 1."""
    return soundfile.read(io.BytesIO(shards.read(clip_id, FILE)), dtype="float32")[0]
