"""What was predicted, as every format of lddu/formats and the page of a film writes it: recordings, each with its utterances.

All times are seconds from the start of the recording. Nothing here needs torch, DVC or the stages.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lddu.channels import Channel
from lddu.decisions import Decision


@dataclass(frozen=True)
class Word:
    """A word as written, and when it is said."""

    text: str
    start: float | None  # None where there is no sound
    end: float | None
    confidence: float  # that it is said, and then: 1 found, 0.5 doubtful, 0 not found
    spoken: bool = True  # False: written and not said, as [laughter]


@dataclass(frozen=True)
class Missing:
    """What could not be had of an utterance, and why."""

    stage: str
    code: str
    detail: str


@dataclass(frozen=True)
class Utterance:
    """A part of a recording, or all of it."""

    start: float
    end: float  # equal to start for text alone
    labels: dict[str, Decision]  # probability, answer, doubt, σ of each modality, and the truth where it is known
    modalities: tuple[str, ...]  # that are present
    text: str | None = None  # None: nothing is said
    transcribed: bool | None = None  # by speech recognition; None without text
    words: tuple[Word, ...] = ()
    speaker: str = ""  # "" where unknown
    channels: dict[str, Channel] = field(default_factory=dict)  # noise and ambiguity, by modality that is present
    novelty: dict[str, float] = field(default_factory=dict)  # by modality; "clip" is that of all together
    unlike: bool = False  # anything that the network learned from: trust neither probabilities nor doubts
    missing: tuple[Missing, ...] = ()
    clip_id: str = ""  # "" where it is no clip of a corpus
    split: str = ""


@dataclass(frozen=True)
class Glimpse:
    """A small picture of the speaker's face."""

    time: float
    jpeg: bytes


@dataclass(frozen=True)
class Recording:
    """A film, a sound or a text, and its utterances in order of time."""

    source: str  # its path as it was named, or the text's name
    utterances: tuple[Utterance, ...]
    path: Path | None = None  # of the film or sound; None for text
    notes: tuple[tuple[str, str], ...] = ()  # code and detail of what is strange about it
    error: str | None = None  # why nothing more could be read
    glimpses: tuple[Glimpse, ...] = ()  # in order of time; only a page of the film needs them

    @property
    def name(self) -> str:
        """The source's file name without folder and ending."""
        return Path(self.source).stem

    @property
    def end(self) -> float:
        """Where its last utterance or word ends; 0 for text alone."""
        words = (word.end or 0.0 for utterance in self.utterances for word in utterance.words)
        return max([0.0, *(utterance.end for utterance in self.utterances), *words])

    @property
    def timed(self) -> bool:
        """Whether it has a time line; text alone has none."""
        return any(utterance.end > utterance.start for utterance in self.utterances)


@dataclass(frozen=True)
class Document:
    """Everything that one call of `lddu predict` or `lddu write` found."""

    labels: tuple[str, ...]
    modalities: tuple[str, ...]  # that the network knows
    recordings: tuple[Recording, ...]
    learned: dict[str, object] = field(default_factory=dict)  # corpus, clips and people of training
    thresholds: dict[str, float] = field(default_factory=dict)  # by label: probability from which it is decided to be present

    def utterances(self) -> Iterator[tuple[Recording, Utterance]]:
        return ((recording, utterance) for recording in self.recordings for utterance in recording.utterances)
