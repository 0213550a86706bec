"""The media files in a user's folder: finding that of a clip, and linking it into the corpus."""

import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path

from preprocess.corpora.conversion import ClipRow
from preprocess.corpus import CorpusError
from preprocess.header import nfc
from preprocess.media import probe
from preprocess.media.probe import MediaError

PICTURES = frozenset([
    ".mp4", ".mkv", ".mov", ".avi", ".webm", ".mpg", ".mpeg", ".m4v", ".flv", ".wmv", ".asf", ".3gp", ".3g2", ".ts", ".mts",
    ".m2ts", ".vob", ".ogv", ".dv", ".mxf",
])  # fmt: skip
SOUNDS = frozenset([
    ".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".w64", ".wma", ".mka", ".amr", ".ac3",
    ".eac3", ".au", ".caf", ".wv", ".tta", ".ape", ".voc", ".dts",
])  # fmt: skip


@dataclass(frozen=True)
class Films:
    """The media files (films and sounds) in a folder and its subfolders, found by name."""

    folder: Path
    corpus: Path  # that is written; what an earlier conversion linked into it is no further film of the folder

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
        linked = self.corpus.resolve() / "media"
        inside = linked.parent != self.folder.resolve() and linked.is_relative_to(self.folder.resolve())
        return sorted(
            path for path in media if not path.name.startswith(".") and not (inside and path.resolve().is_relative_to(linked))
        )

    def name(self, path: Path) -> str:
        """The file's path relative to the folder, in composed Unicode as names are compared."""
        return nfc(path.relative_to(self.folder).as_posix())

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        return self._grouped(lambda path: path.stem)

    @cached_property
    def _by_file_name(self) -> dict[str, list[Path]]:
        return self._grouped(lambda path: path.name)

    def _grouped(self, key: Callable[[Path], str]) -> dict[str, list[Path]]:
        groups: dict[str, list[Path]] = {}
        for path in self.paths:
            groups.setdefault(nfc(key(path)), []).append(path)
        return groups

    def find(self, *names: str) -> Path | None:
        """The file with the first of these names that exists; a name is `stem` or `folder/stem`. ValueError as in `only`."""
        return next((self.only(name, paths) for name in names if (paths := self._ending_in(nfc(name), self._by_stem))), None)

    def named(self, stem: str) -> list[Path]:
        """Every file of this name, whatever its folder and ending."""
        return self._by_stem.get(nfc(stem), [])

    def _ending_in(self, name: str, groups: dict[str, list[Path]]) -> list[Path]:
        """Of the files by stem or by file name, those whose path ends in `name`, which may begin with the folder's name."""
        *folders, last = name.split("/")
        top = nfc(self.folder.resolve().name)
        return [
            path
            for path in groups.get(last, [])
            if not folders or [top, *self.name(path).split("/")[:-1]][-len(folders) :] == folders
        ]

    def only(self, name: str, paths: list[Path]) -> Path:
        """The one file of a name: of films and sounds the film. ValueError names the candidates if there are several."""
        pictures = [path for path in paths if path.suffix.lower() in PICTURES]
        candidates = pictures or paths
        if len(candidates) > 1:
            listed = ", ".join(f"./{path.relative_to(self.folder).as_posix()}" for path in candidates)
            raise ValueError(f"{name!r} is the name of {len(candidates)} files in {self.folder}: {listed}")
        return candidates[0]

    def of_table(self, written: str, paths_written: Collection[str]) -> Path | None:
        """The file that a table means: by its path, or by its last parts, with or without ending; None if there is none.

        A name that several folders have is no name of one file: ValueError names the candidates. The file at the top of the
        folder still has it if the name begins with ./, or if `paths_written`, all names of the table, has the others' paths.
        """
        name = table_name(written)
        if Path(name).is_relative_to(self.folder.absolute()):
            name = f"./{Path(name).relative_to(self.folder.absolute()).as_posix()}"
        path = name.removeprefix("./")
        alike = self._ending_in(path, self._by_file_name)
        exact = [film for film in alike if self.name(film) == path]
        if exact and (name != path or all(self.name(film) in paths_written for film in alike if film not in exact)):
            return self.only(written, exact)
        alike = alike or self._ending_in(path, self._by_stem)
        return self.only(written, alike) if alike else None

    def nothing_found(self, wanted: str, examples: list[str]) -> CorpusError:
        """The error where not a single clip has its film."""
        present = ", ".join(str(path.relative_to(self.folder)) for path in self.paths[:3])
        return CorpusError(
            f"none of the {len(self.paths)} media in {self.folder} belongs to a clip: looked for {wanted}, such as "
            f"{' or '.join(examples)} with any of the endings {' '.join(sorted(PICTURES | SOUNDS))}; there are {present} …"
        )


def table_name(written: str) -> str:
    """A file's name in a table as names are compared: with / for the \\ of Windows, in composed Unicode."""
    return nfc(written.replace("\\", "/"))


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


def note_length(clip: ClipRow, film: Path, longest: float = inf) -> None:
    """Set a clip's seconds to those of the film that was cut for it; note it where they differ much from the table's times.

    Much is more than half of the shorter, and a second; or more than `longest` where the times are unknown (0). A film that
    cannot be read is left to the manifest, which refuses it.
    """
    try:
        duration = probe.streams_of(film).duration
    except (MediaError, OSError):
        return
    short, long = sorted((duration, clip.seconds))
    if clip.seconds and long > 1.5 * short + 1.0:
        how = "longer" if duration > clip.seconds else "shorter"
        clip.notes.append(f"film much {how} than its utterance: {duration:.1f} s instead of {clip.seconds:.1f} s")
    elif not clip.seconds and duration > longest:
        clip.notes.append(f"film too long for an utterance: {duration:.1f} s")
    clip.seconds = duration
