"""The people of the corpus: each one's face, voice, manner and surroundings."""

from dataclasses import dataclass, field

import numpy as np

from sample.emotion import LABELS

CHANNELS = ("text", "audio", "vision")
# How far a face differs from the photograph at an amount of 1: shares of the part's own size, or of the face's width.
SHAPES = {
    "width": 0.07,
    "jaw": 0.09,
    "chin": 0.05,
    "eyes_apart": 0.02,
    "eye_size": 0.12,
    "nose_width": 0.14,
    "nose_length": 0.03,
    "mouth_width": 0.10,
    "brow_height": 0.015,
}
IDLE = ("smile", "brow_inner", "brow_outer", "brow_down", "squint", "press")  # movements in which people at rest differ
SPLIT_SHARES = {"train": 10, "valid": 3, "test": 3}  # of 16 speakers


@dataclass(frozen=True)
class Voice:
    """How a person speaks without emotion, as factors of the synthesiser's voice."""

    pitch: float
    range: float  # of the pitch's movement
    tract: float  # frequency scale of the spectrum: above 1 a shorter vocal tract
    speed: float
    tilt: float  # decibels from the lowest to the highest frequency
    level: float  # decibels
    breath: float  # decibels added to the noise in the voice
    jitter: float = 0.0  # deviation of the pitch from one 12.5 ms frame to the next, natural logarithm
    rise: float = 0.0  # half of what the pitch rises from the first to the last voiced frame, natural logarithm


@dataclass(frozen=True)
class Face:
    """A person's face as changes of the photograph's."""

    shape: dict[str, float]  # amounts of SHAPES, about -1 to 1
    habit: dict[str, float]  # amounts of movements (movement.MOVES) that this person has at rest
    skin: tuple[float, float, float]  # added to L (0 to 100), a and b of CIE Lab; L is scaled, see portrait
    hair: tuple[float, float, float]
    suit: tuple[float, float, float]
    mirrored: bool


@dataclass(frozen=True)
class Speaker:
    name: str
    number: int
    split: str
    voice: Voice
    face: Face
    background: tuple[tuple[float, float, float], tuple[float, float, float]]  # BGR, top and bottom
    shows: dict[str, float] = field(default_factory=dict)  # how much emotion shows in each of CHANNELS; 1 is average
    colours: dict[str, dict[str, float]] = field(default_factory=dict)  # the same by channel and label


def people(seed: int, count: int) -> list[Speaker]:
    """`count` different people; pitch, skin and hair are spread evenly over them."""
    rng = np.random.default_rng([seed, 1])
    spread = {name: rng.permutation((np.arange(count) + 0.5) / count) for name in ("pitch", "skin", "hair", "suit", "wall")}
    splits = _splits(count, rng)
    return [
        _speaker(number, splits[number], {name: float(values[number]) for name, values in spread.items()}, seed)
        for number in range(count)
    ]


def _splits(count: int, rng: np.random.Generator) -> list[str]:
    """Each person's split; every split has at least two people."""
    total = sum(SPLIT_SHARES.values())
    small = max(2, round(count * SPLIT_SHARES["test"] / total))
    names = ["train"] * (count - 2 * small) + ["valid"] * small + ["test"] * small
    return [names[i] for i in rng.permutation(count)]


def _speaker(number: int, split: str, spread: dict[str, float], seed: int) -> Speaker:
    rng = np.random.default_rng([seed, 2, number])
    shows = {channel: float(rng.uniform(0.75, 1.2)) for channel in CHANNELS}
    colours = {channel: {label: float(rng.uniform(0.7, 1.3)) for label in LABELS} for channel in CHANNELS}
    return Speaker(
        name=f"speaker{number:02d}",
        number=number,
        split=split,
        voice=_voice(spread["pitch"], rng),
        face=_face(spread, rng),
        background=_background(spread["wall"], rng),
        shows=shows,
        colours=colours,
    )


def _voice(height: float, rng: np.random.Generator) -> Voice:
    """`height` 0 to 1: from a deep to a high voice; a higher voice has a shorter vocal tract."""
    return Voice(
        pitch=0.55 * 2**height,
        range=float(rng.uniform(0.8, 1.2)),
        tract=0.86 + 0.2 * height + float(rng.normal(0, 0.02)),
        speed=float(rng.uniform(0.9, 1.12)),
        tilt=float(rng.uniform(-3, 3)),
        level=-6 + float(rng.uniform(-1.5, 1.5)),
        breath=float(rng.uniform(-2, 4)),
    )


def _face(spread: dict[str, float], rng: np.random.Generator) -> Face:
    hairs = ((-38, -4, -14), (-24, 2, -4), (0, 0, 0), (6, -2, 8), (-8, 16, 10), (10, -4, -18))
    hair = np.array(hairs[int(spread["hair"] * len(hairs))]) + rng.normal(0, 2, 3)
    skin = np.array([-30 + 36 * spread["skin"], 0, 0]) + rng.normal(0, 1.5, 3)
    suit = np.array([rng.uniform(-15, 25), 28 * np.cos(6.28 * spread["suit"]), 28 * np.sin(6.28 * spread["suit"])])
    return Face(
        shape={name: float(rng.uniform(-1.2, 1.2)) for name in SHAPES},
        habit={name: float(rng.normal(0, 0.12)) for name in IDLE},
        skin=_triple(skin),
        hair=_triple(hair),
        suit=_triple(suit),
        mirrored=bool(rng.integers(2)),
    )


def _background(hue: float, rng: np.random.Generator) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Colours of a wall, from top to bottom."""
    angles = 2 * np.pi * (hue + np.array([0, 1 / 3, 2 / 3]))
    wall = rng.uniform(90, 190) + 35 * np.cos(angles)
    return _triple(wall * rng.uniform(1.0, 1.25)), _triple(wall * rng.uniform(0.6, 0.9))


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third
