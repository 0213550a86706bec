"""The name of every feature of a row, as the parameters of encode and align make them.

A network's states are named by their layer and place (`text_layer3_0`), descriptors by what they are (`jawOpen`, `pitch`).
`_deviation` behind a name is its deviation within the row, `_clip` its pooling over the whole clip.
"""

from collections.abc import Sequence

import params

# In the order of MediaPipe's face landmarker.
BLENDSHAPES = [
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
]  # fmt: skip
HEAD = ["head_pitch", "head_yaw", "head_roll", "head_x", "head_y", "head_z"]  # radians, centimetres
# As preprocess/encoders/prosody.py has them, which imports torch.
PROSODY = [
    "pitch", "pitch_change", "voicing", "harmonicity", "energy", "energy_change", "alpha_ratio", "hammarberg",
    "slope_low", "slope_high", "flux", "centroid", "mfcc_1", "mfcc_2", "mfcc_3", "mfcc_4",
]  # fmt: skip
DYNAMICS = ["head_turn_speed", "head_shift_speed", "blinks_a_minute", "mouth_with_sound"]


def names(settings: params.Preparation, labels: Sequence[str], modality: str, width: int) -> list[str]:
    """The `width` names of a modality's features; numbered ones where the parameters do not account for the width."""
    of = {"text": _text, "audio": _audio, "vision": _vision}[modality]
    copies = _copies(settings, modality)
    single = of(settings, labels, width // len(copies)) if width % len(copies) == 0 else None
    if single is None:
        return [f"{modality}_{i}" for i in range(width)]
    return [name + end for end in copies for name in single]


def _copies(settings: params.Preparation, modality: str) -> list[str]:
    """What stands behind the names in each part of a row."""
    if modality == "text":
        return [""]
    ends = {"mean": [""], "max": ["_max"], "mean_deviation": ["", "_deviation"]}
    beside = ends[settings.align.context] if modality == "audio" and settings.align.context != "none" else []
    return [*ends[settings.align.pooling], *(f"{end}_clip" for end in beside)]


def _network(prefix: str, layer: params.Layers, width: int) -> list[str] | None:
    """Of the states of one layer or of several side by side; None where so many features cannot be theirs."""
    layers = layer if isinstance(layer, list) else [layer]
    if width <= 0 or width % len(layers):
        return None
    return [f"{prefix}_layer{number}_{i}" for number in layers for i in range(width // len(layers))]


def _text(settings: params.Preparation, labels: Sequence[str], width: int) -> list[str] | None:
    logits = [f"classifier_{label}" for label in labels] if settings.encode.text.classifier else []
    states = _network("text", settings.encode.text.layer, width - len(logits))
    return None if states is None else states + logits


def _audio(settings: params.Preparation, labels: Sequence[str], width: int) -> list[str] | None:
    kind = settings.encode.audio.features
    described = PROSODY if kind != "network" else []
    if kind == "prosody":
        return described if width == len(described) else None
    states = _network("audio", settings.encode.audio.layer, width - len(described))
    return None if states is None else states + described


def _vision(settings: params.Preparation, labels: Sequence[str], width: int) -> list[str] | None:
    encode = settings.encode.vision
    shapes = [*BLENDSHAPES, *HEAD] if encode.features != "network" else []
    moving = [*(f"{name}_moving" for name in (*BLENDSHAPES, *HEAD)), *DYNAMICS] if encode.dynamics else []
    rest = width - len(shapes) - len(moving)
    states = [] if encode.features == "blendshapes" and rest == 0 else _network("vision", encode.layer, rest)
    return None if states is None or (encode.features == "blendshapes") != (rest == 0) else [*shapes, *states, *moving]
