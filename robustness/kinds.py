"""The corruptions: which there are, what each one changes, and how strong it is at each of its five levels.

A corruption changes one modality and keeps its time. Level 0 is the clip as it is, level 5 the strongest.
"""

from dataclasses import dataclass

LEVELS = (1, 2, 3, 4, 5)
RATIOS = (20.0, 15.0, 10.0, 2.5, -5.0)  # decibels of the clip's sound over what is added


@dataclass(frozen=True)
class Kind:
    """A corruption."""

    modality: str  # text, audio or vision; "all": one of each
    strengths: tuple[float, ...]  # of levels 1 to 5
    unit: str  # what a strength is
    sound: str = ""  # of a text: the corruption of the sound that it is heard from

    def strength(self, level: int) -> float:
        return self.strengths[level - 1]


KINDS = {
    "noise": Kind("audio", RATIOS, "dB of the sound over white noise"),
    "babble": Kind("audio", RATIOS, "dB of the sound over the voices of four other clips"),
    "reverberation": Kind("audio", (0.3, 0.6, 1.0, 1.8, 3.0), "s until the echo, twice as strong as the voice, fell by 60 dB"),
    "telephone": Kind("audio", (3400.0, 2600.0, 2000.0, 1500.0, 1000.0), "Hz, the highest that are left; the lowest are 300"),
    "clipping": Kind("audio", (0.3, 0.1, 0.03, 0.01, 0.003), "of the highest peak, beyond which samples are cut off"),
    "dropouts": Kind("audio", (0.1, 0.25, 0.4, 0.6, 0.8), "of the time, silent, in gaps of 0.06 to 0.25 s"),
    "blur": Kind("vision", (0.006, 0.012, 0.025, 0.05, 0.1), "of the height is the Gaussian's deviation"),
    "darkness": Kind("vision", (0.5, 0.25, 0.12, 0.06, 0.03), "of the brightness is left, in steps of 1 / 255"),
    "resolution": Kind("vision", (120.0, 72.0, 48.0, 32.0, 20.0), "pixels on the shorter side"),
    "compression": Kind("vision", (30.0, 15.0, 8.0, 4.0, 1.0), "quality of JPEG, of 100"),
    "occlusion": Kind("vision", (0.1, 0.2, 0.35, 0.5, 0.7), "of the picture is covered, near its middle"),
    "frozen": Kind("vision", (0.2, 0.4, 0.6, 0.8, 1.0), "of the time, the picture stands still"),
    "lost_frames": Kind("vision", (0.1, 0.3, 0.5, 0.7, 0.9), "of the time, no picture, in gaps of 0.1 to 0.5 s"),
    "heard_noise": Kind("text", RATIOS, "dB of the sound over white noise, from which the text is heard", "noise"),
    "heard_babble": Kind("text", RATIOS, "dB of the sound over other voices, from which the text is heard", "babble"),
    "lost_words": Kind("text", (0.1, 0.25, 0.4, 0.6, 0.8), "of the words are lost"),
    "misspelt": Kind("text", (0.1, 0.25, 0.5, 0.75, 1.0), "of the words are misspelt"),
    "everything": Kind("all", (1.0, 2.0, 3.0, 4.0, 5.0), "the level of a sound and a picture; text as heard"),
}


def of_modality(modality: str) -> list[str]:
    """The names of the kinds that change this modality."""
    return [name for name, kind in KINDS.items() if kind.modality == modality]
