"""The media files in a user's folder: finding that of a clip, and linking it into the corpus."""

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
    """The media files (films and sounds) in a folder and its subfolders, found by name."""

    folder: Path

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise CorpusError(f"{self.folder} is no folder: name the folder with the films")
        if not self.paths:
            kinds = " ".join(sorted(PICTURES | SOUNDS))
            raise CorpusError(f"no film or sound file lies in {self.folder} or below; known by their endings: {kinds}")

    @cached_property
    def paths(self) -> list[Path]:
        """Every media file, sorted; hidden files are left out."""
        media = (path for path in self.folder.rglob("*") if path.suffix.lower() in PICTURES | SOUNDS and path.is_file())
        return sorted(path for path in media if not path.name.startswith("."))

    @cached_property
    def _named(self) -> dict[str, Path]:
        """By file name, and by `folder/file name`, without ending; where several have the name, a film comes before a sound."""
        named: dict[str, Path] = {}
        for path in sorted(self.paths, key=lambda path: (path.suffix.lower() not in PICTURES, path)):
            named.setdefault(path.stem, path)
            named.setdefault(f"{path.parent.name}/{path.stem}", path)
        return named

    def find(self, *names: str) -> Path | None:
        """The file with the first of these names that exists; a name is `stem` or `folder/stem`."""
        return next((self._named[name] for name in names if name in self._named), None)

    def nothing_found(self, wanted: str, examples: list[str]) -> CorpusError:
        """The error where not a single clip has its film."""
        present = ", ".join(str(path.relative_to(self.folder)) for path in self.paths[:3])
        return CorpusError(
            f"none of the {len(self.paths)} media in {self.folder} belongs to a clip: looked for {wanted}, such as "
            f"{' or '.join(examples)} with any of the endings {' '.join(sorted(PICTURES | SOUNDS))}; there are {present} …"
        )


def place(film: Path, films: Path, corpus: Path) -> str:
    """The film's path relative to the corpus folder.

    A film from outside is linked into `media/` there (copied, if it lies on another disk), under its path relative to `films`.
    """
    root = corpus.resolve()
    if film.resolve().is_relative_to(root):
        return film.resolve().relative_to(root).as_posix()
    target = corpus / "media" / film.relative_to(films)
    if not (target.is_file() and target.samefile(film)):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(film.resolve(), target)
        except OSError:
            shutil.copy2(film, target)
    return target.relative_to(corpus).as_posix()
