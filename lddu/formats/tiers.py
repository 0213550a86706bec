"""The tiers of a recording, as ELAN and Praat show them: spans with a text each.

`text` has the utterances, `words` what is said when, `confidence` how sure that is, `speaker` who speaks, and each label has a
tier of its own with the decision on every utterance. Where utterances, or words, overlap, as of two people, the later one
stands on a second set of tiers, `text#2` and so on: a tier holds one span at a time. Times are whole milliseconds.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from lddu.formats.document import Recording, Utterance, Word
from lddu.formats.endings import FormatError
from lddu.formats.text import decision, line

Item = TypeVar("Item")

FIXED = ("text", "words", "confidence", "speaker")


@dataclass
class Tier:
    """Spans that do not overlap, in order of time."""

    name: str
    spans: list[tuple[int, int, str]] = field(default_factory=list)  # milliseconds from the recording's start


def of(recording: Recording, labels: Iterable[str]) -> list[Tier]:
    """FormatError where the recording has no time line."""
    if not recording.timed:
        raise FormatError(
            f"{recording.source} has no time line, as text alone has none; write .json, .csv, .parquet or .labelstudio.json"
        )
    tiers: dict[str, Tier] = {}
    values: dict[str, Callable[[Utterance], str]] = {"text": lambda utterance: line(utterance.text or "")}
    if any(utterance.speaker for utterance in recording.utterances):
        values["speaker"] = lambda utterance: line(utterance.speaker)
    values |= {label_tier(label): partial(_decision, label) for label in labels}
    spans = [(_milliseconds(utterance.start, utterance.end), utterance) for utterance in recording.utterances]
    words = [
        (_milliseconds(word.start, word.end), word)
        for utterance in recording.utterances
        for word in utterance.words
        if word.start is not None and word.end is not None
    ]
    of_word: dict[str, Callable[[Word], str]] = {
        "words": lambda word: line(word.text),
        "confidence": lambda word: f"{word.confidence:g}",
    }
    _fill(tiers, spans, {"text": values.pop("text")})
    _fill(tiers, words, of_word)
    _fill(tiers, spans, values)
    return list(tiers.values())


def _decision(label: str, utterance: Utterance) -> str:
    return decision(utterance.labels[label])


def label_tier(label: str) -> str:
    """The name of a label's tier."""
    return f"label {label}" if label in FIXED else label


def _milliseconds(start: float, end: float) -> tuple[int, int]:
    begin = round(max(start, 0.0) * 1000)
    return begin, max(round(end * 1000), begin + 1)  # neither program shows a span of no length


def _fill(tiers: dict[str, Tier], items: list[tuple[tuple[int, int], Item]], values: dict[str, Callable[[Item], str]]) -> None:
    """Put each item on the first set of tiers that is free when it begins."""
    ends: list[int] = []  # of each set
    for name in values:
        tiers.setdefault(name, Tier(name))
    for (start, end), item in sorted(items, key=lambda pair: pair[0]):
        layer = next((i for i, busy in enumerate(ends) if busy <= start), len(ends))
        ends[layer : layer + 1] = [end]
        for name, value in values.items():
            key = name if layer == 0 else f"{name}#{layer + 1}"
            tiers.setdefault(key, Tier(key)).spans.append((start, end, value(item)))
