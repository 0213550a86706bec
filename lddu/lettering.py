"""How labels stand in pictures: fonts that have their characters, long names in several lines, short names where no font does.

Matplotlib comes with DejaVu Sans, which has Latin, Greek, Cyrillic, Arabic and Hebrew letters; for others the fonts of the
system are searched. A label whose characters no font has is drawn as its number, with a note, and named once on the terminal.
"""

import textwrap
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

DEFAULT = "DejaVu Sans"
LINE, LINES = 28, 3  # the width of a title in characters, and how many lines a label has at most
FILE_NAME = 200  # bytes that a label has in a file's name; file systems allow 255


@dataclass(frozen=True)
class Lettering:
    """How each label is written, and the font families that have all of it."""

    names: dict[str, str]  # by label
    families: tuple[str, ...]

    @property
    def note(self) -> str:
        """What a picture says below itself; "" if every label is written as it is called."""
        numbers = [name for label, name in self.names.items() if name == number_of(label, self.names)]
        return f"{', '.join(numbers)}: counted in corpus.labels; no font here has all characters of the name" if numbers else ""


@cache
def lettering(labels: tuple[str, ...]) -> Lettering:
    """Names and fonts for these labels; says once which of them no font has."""
    families = (DEFAULT, *_further_families(_lacking(DEFAULT, "".join(labels))))
    absent = frozenset("".join(labels)).intersection(*(_lacking(family, "".join(labels)) for family in families))
    names: dict[str, str] = {}
    for label in labels:
        number = number_of(label, labels)
        if absent.intersection(label):
            print(f"plots: no font has all characters of {label!r}: drawn as {number}; install one, such as those called Noto")
        name = number if absent.intersection(label) else _in_lines(label, number)
        names[label] = number if name in names.values() else name
    return Lettering(names, families)


def number_of(label: str, labels: Iterable[str]) -> str:
    """A name that no label has, since # is in none."""
    return f"label #{list(labels).index(label) + 1}"


def title(name: str, rest: str) -> str:
    """A label's name and what is said of it, on one line if that is short enough."""
    line = f"{name}: {rest}"
    if unicodedata.bidirectional(name[0]) in ("R", "AL"):
        line = f"\u200e{line}"  # left-to-right mark: the line as a whole is in English
    return line if width(line) <= LINE + 12 and "\n" not in name else f"{name}\n{rest}"


def width(text: str) -> int:
    """In columns, of which Chinese characters have two, and accents that stand on others none."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)


def file_name(label: str) -> str:
    """A label as the name of a file; a very long one ends in a digest of it."""
    if len(label.encode()) <= FILE_NAME:
        return label
    return f"{label.encode()[:FILE_NAME].decode(errors='ignore')}-{sha256(label.encode()).hexdigest()[:8]}"


def _in_lines(label: str, number: str) -> str:
    """A long label in lines of LINE columns; what is beyond LINES of them is replaced by its number."""
    if width(label) <= LINE:
        return label
    characters = max(LINE * len(label) // width(label), 1)
    lines = textwrap.wrap(label, characters)
    return "\n".join(lines if len(lines) <= LINES else [*lines[: LINES - 1], f"… ({number})"])


def _lacking(family: str, text: str) -> frozenset[str]:
    """The characters of a text that a font family does not have; those that are not drawn are in all."""
    return _lacking_in(font_manager.findfont(family), text)


def _lacking_in(path: str | Path, text: str) -> frozenset[str]:
    drawn = {c for c in text if unicodedata.category(c) not in ("Cf", "Zs")}
    charmap = FT2Font(path).get_charmap()
    return frozenset(c for c in drawn if ord(c) not in charmap)


def _further_families(characters: frozenset[str]) -> list[str]:
    """Families of the system's fonts, upright and of ordinary weight, that have these characters as far as any has."""
    families: list[str] = []
    remaining = "".join(sorted(characters))
    for path in sorted(font_manager.findSystemFonts(), key=_preference) if characters else []:
        try:
            lacking = _lacking_in(path, remaining)
        except (OSError, RuntimeError):  # no font, or one that FreeType does not read
            continue
        if len(lacking) < len(remaining):
            font_manager.fontManager.addfont(path)
            families.append(FT2Font(path).family_name)
            remaining = "".join(sorted(lacking))
        if not remaining:
            break
    return families


def _preference(path: str) -> tuple[bool, bool, str]:
    """Fonts without serifs and without weight or slant first; then by name, so that a machine always takes the same."""
    name = Path(path).stem.casefold()
    upright = not any(word in name for word in ("bold", "italic", "oblique", "light", "thin", "black", "mono", "condensed"))
    return not upright, "sans" not in name, path
