"""The plan of each clip, decided before it is made: who speaks, the emotions, and the noise in each channel."""

from dataclasses import dataclass

import numpy as np

import params
from sample import disturbance, emotion, sentence, speaker
from sample.emotion import LABELS
from sample.speaker import CHANNELS, Speaker

KINDS = {"text": sentence.KINDS, "audio": disturbance.SOUND_KINDS, "vision": disturbance.PICTURE_KINDS}
NOISELESS = 0.4  # share of the clips that are free of noise, for each channel by itself


@dataclass(frozen=True)
class Clip:
    """A clip to be made."""

    clip_id: str
    number: int
    speaker: Speaker
    intensities: tuple[float, ...]  # in the order of LABELS
    noise: dict[str, float]  # by channel, 0 to 1
    kind: dict[str, str]  # by channel; chosen even where the noise is 0
    blank: bool  # whether clips.csv leaves the text out

    @property
    def felt(self) -> dict[str, float]:
        """How strong each present emotion is, 0 to 1."""
        strengths = emotion.strength(np.array(self.intensities))
        return {label: float(value) for label, value in zip(LABELS, strengths, strict=True) if value > 0}


def plan(sample: params.Sample) -> list[Clip]:
    """Every clip of the corpus."""
    people = speaker.people(sample.seed, sample.speakers)
    rng = np.random.default_rng([sample.seed, 5])
    spoken_by = [people[i % len(people)] for i in range(sample.clips)]
    sets: dict[int, tuple[str, ...]] = {}
    blank: set[int] = set()
    for split in speaker.SPLIT_SHARES:
        numbers = [i for i, person in enumerate(spoken_by) if person.split == split]
        sets |= dict(zip(numbers, emotion.label_sets(len(numbers), rng), strict=True))
        blank |= set(rng.permutation(numbers)[: int(np.ceil(sample.blank_text * len(numbers)))].tolist())
    return [_clip(sample.seed, i, spoken_by[i], sets[i], i in blank) for i in range(sample.clips)]


def _clip(seed: int, number: int, person: Speaker, labels: tuple[str, ...], blank: bool) -> Clip:
    rng = np.random.default_rng([seed, 6, number])
    return Clip(
        clip_id=f"{person.name}_{number:04d}",
        number=number,
        speaker=person,
        intensities=tuple(emotion.intensities(labels, rng).tolist()),
        noise={channel: 0.0 if rng.random() < NOISELESS else round(float(rng.uniform(0.02, 1)), 2) for channel in CHANNELS},
        kind={channel: str(rng.choice(KINDS[channel])) for channel in CHANNELS},
        blank=blank,
    )
