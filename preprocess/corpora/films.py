"""Finding the film of a clip in somebody's folder, and bringing it into the corpus."""

import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from preprocess.corpus import CorpusError

PICTURES = frozenset(
    [".mp4", ".mkv", ".mov", ".avi", ".webm", ".mpg", ".mpeg", ".m4v", ".flv", ".wmv", ".asf", ".3gp", ".3g2", ".ts", ".mts"]
)
SOUNDS = frozenset([".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".w64", ".wma"])


@dataclass(frozen=True)
class Films:
    """The media below a folder, to be asked for by name."""

    folder: Path

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise CorpusError(f"{self.folder} is no folder: name the one that holds the films")
        if not self.paths:
            kinds = " ".join(sorted(PICTURES | SOUNDS))
            raise CorpusError(f"no film or sound file lies in {self.folder} or below; known by their endings: {kinds}")

    @cached_property
    def paths(self) -> list[Path]:
        """Every medium, sorted; hidden files are none."""
        found = (path for path in self.folder.rglob("*") if path.suffix.lower() in PICTURES | SOUNDS and path.is_file())
        return sorted(path for path in found if not path.name.startswith("."))

    @cached_property
    def _named(self) -> dict[str, Path]:
        """By the last part of the path, and by the last two, endings left out; of several a film goes before a sound."""
        named: dict[str, Path] = {}
        for path in sorted(self.paths, key=lambda path: (path.suffix.lower() not in PICTURES, path)):
            named.setdefault(path.stem, path)
            named.setdefault(f"{path.parent.name}/{path.stem}", path)
        return named

    def find(self, *names: str) -> Path | None:
        """The medium of the first of these names that there is: `stem`, or `folder/stem`."""
        return next((self._named[name] for name in names if name in self._named), None)

    def nothing_found(self, wanted: str, examples: list[str]) -> CorpusError:
        """What to say where no clip at all has its film."""
        there = ", ".join(str(path.relative_to(self.folder)) for path in self.paths[:3])
        return CorpusError(
            f"none of the {len(self.paths)} media in {self.folder} belongs to a clip: looked for {wanted}, such as "
            f"{' or '.join(examples)} with any of the endings {' '.join(sorted(PICTURES | SOUNDS))}; there are {there} …"
        )


def place(film: Path, films: Path, corpus: Path) -> str:
    """The film's path relative to the corpus; one from elsewhere is linked (copied, on another disk) into `media/` there."""
    inside = corpus.resolve()
    if film.resolve().is_relative_to(inside):
        return film.resolve().relative_to(inside).as_posix()
    target = corpus / "media" / film.relative_to(films)
    if not (target.is_file() and target.samefile(film)):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(film.resolve(), target)
        except OSError:
            shutil.copy2(film, target)
    return target.relative_to(corpus).as_posix()
