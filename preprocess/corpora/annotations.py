"""Annotation made in ELAN (`.eaf`) or Praat (`.TextGrid`) as rows of a table: an utterance a row.

Tiers, whatever their capitals. `text` (or utterance, transcript, transcription, sentence, default, or what --tier names) has
the utterances with their times. A tier named as a label has what is felt then: a number, yes or no, or an empty annotation
for yes. A tier `emotion` or `emotions` has names of labels, separated by commas, or none. `speaker` says who speaks; in ELAN so
does the participant of the text's tier. A tier with an end such as text@Ann or text#2 goes with other tiers of that end.

An annotation of a label holds for an utterance of which it covers at least half. An utterance with any is labelled, and labels
without one are absent; an utterance with none is unlabelled, and so is one with "unsure". Where a label is annotated and no
utterance is, there is an utterance of its time, whose text will be transcribed.
"""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from preprocess import header
from preprocess.corpora import tables
from preprocess.corpora.tables import Row
from preprocess.corpus import CorpusError

ENDINGS = (".eaf", ".textgrid")
TEXTS = ("text", "texts", "utterance", "utterances", "transcript", "transcription", "sentence", "sentences", "default")
EMOTIONS = ("emotion", "emotions")
SPEAKERS = ("speaker", "speakers")
PRESENT, ABSENT, UNSURE = ("yes", "y", "true", "x", "+", "present"), ("no", "n", "false", "-", "absent"), ("unsure", "?")
NEUTRAL = ("", "none", "neutral", "no")
COVERED = 0.5  # of an utterance, from which an annotation holds for it


@dataclass(frozen=True)
class Span:
    """One annotation."""

    start: float  # seconds
    end: float
    text: str

    def shared(self, other: "Span") -> float:
        """Seconds that both cover."""
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))


@dataclass(frozen=True)
class Tier:
    """A tier that is read."""

    name: str  # as it is written
    spans: list[Span]
    participant: str = ""
    untimed: int = 0  # annotations that ELAN has without times, as parts of others

    @property
    def stem(self) -> str:
        return header.plain(re.split("[@#]", self.name)[0])

    @property
    def end(self) -> str:
        """What is behind the name, as @Ann or #2."""
        return self.name[len(re.split("[@#]", self.name)[0]) :]


def is_annotation(path: Path) -> bool:
    """Whether a table is a file of ELAN or Praat, or a folder of such files."""
    return path.suffix.lower() in ENDINGS or path.is_dir()


def rows(path: Path, labels: list[str], tier: str = "", encoding: str = "") -> list[Row]:
    """The utterances of a file, or of all files of a folder; their column `media` names the film, by its name or its stem.

    CorpusError lists every tier that is missing, every value that is no label's, and every two annotations at one time.
    """
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS) if path.is_dir() else [path]
    if not files:
        raise CorpusError(f"{path} has no file that ends in .eaf or .TextGrid")
    found: list[Row] = []
    problems: list[str] = []
    for file in files:
        media, tiers = _read(file, encoding)
        reader = _Reader(file, tiers, labels, tier, problems)
        cells = [{"media": media, **row} for row in reader.rows()]
        found += [Row(file, i, row) for i, row in enumerate(cells, 1)]
    if problems:
        raise CorpusError("\n  ".join(["the annotation has mistakes:", *dict.fromkeys(problems)]))
    return found


def _read(path: Path, encoding: str) -> tuple[str, list[Tier]]:
    """The film's name, and the tiers; points of a TextGrid are left out."""
    try:
        return _elan(path) if path.suffix.lower() == ".eaf" else (path.stem, _praat(path, encoding))
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}; expected a file of ELAN or Praat") from None
    except (UnicodeError, LookupError) as error:
        raise CorpusError(
            f"{path} is no text in {encoding or 'UTF-8'} ({error}): name its encoding, as --encoding cp1252"
        ) from None
    except Exception as error:  # the library raises all kinds
        kind = "annotation document of ELAN" if path.suffix.lower() == ".eaf" else "TextGrid of Praat"
        raise CorpusError(f"{path} cannot be read as {kind} ({type(error).__name__}: {error}); save it again there") from None


def _elan(path: Path) -> tuple[str, list[Tier]]:
    from pympi import Eaf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a version of the format
        eaf = Eaf(path)
    tiers = []
    for name in eaf.get_tier_names():
        found: list[Any] = eaf.get_annotation_data_for_tier(name)
        timed = [(start, end, text) for start, end, text, *_ in found if start is not None and end is not None]
        spans = sorted((Span(start / 1000, end / 1000, text or "") for start, end, text in timed), key=lambda span: span.start)
        tiers.append(Tier(name, spans, eaf.tiers[name][2].get("PARTICIPANT") or "", len(found) - len(timed)))
    linked = [item.get("MEDIA_URL", "") for item in eaf.media_descriptors]
    name = PurePosixPath(unquote(urlsplit(linked[0]).path).replace("\\", "/")).name if linked else ""
    return name or path.stem, tiers


def _praat(path: Path, encoding: str) -> list[Tier]:
    from pympi import TextGrid

    with path.open("rb") as file:
        start = file.read(3)
    codec = encoding or next((name for mark, name in tables.MARKS.items() if start.startswith(mark)), "utf-8")
    grid = TextGrid(path, codec=codec)
    return [
        Tier(tier.name, [Span(start, end, text) for start, end, text in tier.get_intervals(sort=True) if text.strip()])
        for tier in grid.get_tiers()
        if tier.tier_type == "IntervalTier"
    ]


class _Reader:
    """The tiers of one file; `problems` is the list to which it adds its own."""

    def __init__(self, path: Path, tiers: list[Tier], labels: list[str], text_tier: str, problems: list[str]) -> None:
        self.path, self.labels, self.problems = path, labels, problems
        wanted = (header.plain(text_tier),) if text_tier else TEXTS
        self.texts = [tier for tier in tiers if tier.stem in wanted]
        if text_tier and not self.texts:  # a name with @ in it
            self.texts = [tier for tier in tiers if tier.name == text_tier]
        stems = {tier.stem for tier in tiers}
        plain = {header.plain(label): label for label in labels}  # `label text` is the tier of a label that is called as a tier
        names = {f"label{name}" if f"label{name}" in stems else name: label for name, label in plain.items()}
        self.of_label = {tier.name: names[tier.stem] for tier in tiers if tier.stem in names and tier not in self.texts}
        self.emotions = [tier for tier in tiers if tier.name in self.of_label or tier.stem in EMOTIONS]
        self.speakers = [tier for tier in tiers if tier.stem in SPEAKERS]
        if not self.texts and (text_tier or not self.emotions):
            listed = ", ".join(tier.name for tier in tiers) or "none"
            problems.append(
                f"{path.name} has no tier {text_tier or ', '.join(TEXTS)}, and none named as a label: it has {listed}; "
                "name the one with the utterances: --tier NAME"
            )
        for tier in (*self.texts, *self.emotions, *self.speakers):
            self._require_one_at_a_time(tier)

    def _require_one_at_a_time(self, tier: Tier) -> None:
        if tier.untimed:
            self.problems.append(
                f"{self.path.name}, tier {tier.name}: {tier.untimed} annotations have no times: align them first"
            )
        for before, after in pairwise(tier.spans):
            if after.start < before.end - 1e-6:
                self.problems.append(
                    f"{self.path.name}, tier {tier.name}: {before.text[:30]!r} ({before.start:g} to {before.end:g} s) and "
                    f"{after.text[:30]!r} ({after.start:g} to {after.end:g} s) overlap: move a border, or put one on a tier "
                    f"{tier.name}#2"
                )

    def rows(self) -> Iterator[dict[str, str]]:
        utterances = [(span, tier) for tier in self.texts for span in tier.spans]
        for tier in self.emotions:  # where nothing is said
            for span in tier.spans:
                if not any(span.shared(other) > 0 for other, _ in utterances):
                    utterances.append((Span(span.start, span.end, ""), Tier(f"text{tier.end}", [])))
        for span, tier in sorted(utterances, key=lambda pair: (pair[0].start, pair[0].end, pair[1].name)):
            speaker = next((other.text for _, other in self._holding(self.speakers, span, tier)), "") or tier.participant
            speaker = speaker or tier.end[1:] * tier.end.startswith("@")
            times = {"start": repr(round(span.start, 6)), "end": repr(round(span.end, 6))}
            yield times | {"text": span.text, "speaker": speaker, **self._values(span, tier)}

    def _holding(self, tiers: list[Tier], utterance: Span, of: Tier) -> Iterator[tuple[Tier, Span]]:
        """The annotations that hold for an utterance, from tiers that go with that of the utterance."""
        stems = {tier.stem for tier in tiers if tier.end == of.end}
        for tier in tiers:
            if tier.end == of.end or (not tier.end and tier.stem not in stems):
                for span in tier.spans:
                    if utterance.shared(span) >= COVERED * (utterance.end - utterance.start) > 0:
                        yield tier, span

    def _values(self, utterance: Span, of: Tier) -> dict[str, str]:
        """Of every label; blank, with a note, where one is unsure, and blank where nothing is annotated."""
        values: dict[str, float | None] = {}
        for tier, span in self._holding(self.emotions, utterance, of):
            label = self.of_label.get(tier.name)
            if label is not None:
                values[label] = self._value(tier, span, label)
            else:
                values |= dict.fromkeys(self.labels, 0.0) | values | dict.fromkeys(self._named(tier, span), 1.0)
        if None in values.values():
            unsure = ", ".join(label for label, value in values.items() if value is None)
            return dict.fromkeys(self.labels, "") | {"note": f"unlabelled: unsure of {unsure}"}
        return {label: repr(values.get(label, 0.0)) if values else "" for label in self.labels}

    def _value(self, tier: Tier, span: Span, label: str) -> float | None:
        """None: unsure, or, with a problem, a value that says nothing."""
        word = re.split(r"[\s;,]", span.text.strip().casefold(), maxsplit=1)[0]
        if word in UNSURE:
            return None
        if not word or word in PRESENT or header.plain(span.text) == header.plain(label):
            return 1.0
        if word in ABSENT:
            return 0.0
        try:
            return self._number(word)
        except ValueError:
            self._wrong(tier, span, "a number, yes, no or unsure")
            return None

    @staticmethod
    def _number(word: str) -> float:
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", word):
            raise ValueError(word)
        return float(word)

    def _named(self, tier: Tier, span: Span) -> list[str]:
        names = {header.plain(label): label for label in self.labels}
        written = [part for part in map(header.plain, re.split("[,;/|+]", span.text)) if part not in NEUTRAL]
        if any(part not in names for part in written):
            self._wrong(tier, span, f"some of {', '.join(self.labels)}, or none")
        return [names[part] for part in written if part in names]

    def _wrong(self, tier: Tier, span: Span, expected: str) -> None:
        self.problems.append(
            f"{self.path.name}, tier {tier.name}, {span.start:g} to {span.end:g} s: {span.text[:40]!r}: expected {expected}"
        )
