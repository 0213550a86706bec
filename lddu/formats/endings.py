"""The formats that `-o FILE` writes, by the ending of FILE.

To add one, write a module with `write(document: Document, path: Path) -> None` and name it in FORMATS. It is imported when
the format is asked for.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path

from lddu.formats.document import Document


class FormatError(ValueError):
    """A file cannot be written; the message names it and says what to do."""


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    ending: str
    module: str  # has `write`
    about: str
    alone: bool = False  # one file holds one recording

    def write(self, document: Document, path: Path) -> None:
        importlib.import_module(self.module).write(document, path)


FORMATS = (
    Format(".html", "lddu.page.film", "a page on which the film plays beside its words and labels"),
    Format(".json", "lddu.formats.json_document", "everything, as one document"),
    Format(".csv", "lddu.formats.tables", "a table with a row an utterance"),
    Format(".parquet", "lddu.formats.tables", "the same table with types"),
    Format(".vtt", "lddu.formats.subtitles", "subtitles", alone=True),
    Format(".srt", "lddu.formats.subtitles", "subtitles", alone=True),
    Format(".TextGrid", "lddu.formats.praat", "tiers for Praat", alone=True),
    Format(".eaf", "lddu.formats.elan", "tiers for ELAN", alone=True),
    Format(".labelstudio.json", "lddu.formats.label_studio", "tasks for Label Studio"),
)


def known() -> str:
    """The endings, in words."""
    return ", ".join(of.ending for of in FORMATS)


def of(path: Path) -> Format:
    """The format of the longest known ending that the file's name has, whatever its case; FormatError lists all endings."""
    name = path.name.lower()
    fitting = [of for of in FORMATS if name.endswith(of.ending.lower()) and len(name) > len(of.ending)]
    if not fitting:
        raise FormatError(f"{path}: nobody knows this ending; known are {known()}")
    return max(fitting, key=lambda of: len(of.ending))
