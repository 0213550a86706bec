"""Where predictions are written: the files of `-o`, each in the format of its ending."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from lddu.formats import endings
from lddu.formats.document import Document, Recording
from lddu.formats.endings import FormatError

NAME = "{name}"  # in a file's name: one file for each recording
LONGEST = 200  # bytes of a recording's name in a file's name


def add_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help=f"write a file, in the format of its ending: {endings.known()}; may be given several times; "
        f"with {NAME} in it, a file for each recording",
    )


def require_writable(outputs: list[str], recordings: int | None = None) -> None:
    """FormatError, before any work: an unknown ending, or a file that could not hold all of so many recordings."""
    for output in outputs:
        of = endings.of(Path(output))
        if recordings is not None and recordings > 1 and of.alone and NAME not in Path(output).name:
            raise FormatError(
                f"{output}: a file {of.ending} holds one recording, and there are {recordings}: write {NAME} in its name, "
                f"as {Path(output).with_name(NAME + of.ending)}"
            )
        if Path(output).is_dir():
            raise FormatError(f"{output} is a folder")


def write(document: Document, outputs: list[str]) -> list[str]:
    """Write all files; one that cannot be written costs none of the others. Returns what went wrong."""
    problems: list[str] = []
    for output in outputs:
        of = endings.of(Path(output))
        written = 0
        for part, path in parts(document, Path(output)):
            try:
                _write(of, part, path)
                written += 1
            except (FormatError, OSError) as error:
                problems.append(f"{path} was not written: {error}")
        if written:
            print(f"{output}: {of.about}" + (f", {written} files" if NAME in output else ""), file=sys.stderr)
    return problems


def parts(document: Document, output: Path) -> list[tuple[Document, Path]]:
    """What goes into which file."""
    if NAME not in output.name:
        return [(document, output)]
    names: dict[str, int] = {}
    found = []
    for recording in document.recordings:
        name = file_name(recording)
        names[name] = names.get(name, 0) + 1
        number = f"-{names[name]}" if names[name] > 1 else ""
        path = output.with_name(output.name.replace(NAME, name + number))
        found.append((replace(document, recordings=(recording,)), path))
    return found


def file_name(recording: Recording) -> str:
    """The recording's name without what no file's name may have."""
    kept = "".join("_" if letter in '/\\:*?"<>|' or not letter.isprintable() else letter for letter in recording.name)
    return os.fsencode(kept.strip(". ") or "recording")[:LONGEST].decode("utf-8", "ignore")


def _write(of: endings.Format, document: Document, path: Path) -> None:
    """A reader finds the whole file or the former one."""
    if of.alone and len(document.recordings) != 1:
        raise FormatError(f"it holds one recording, and there are {len(document.recordings)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = f".{os.getpid()}"
    unfinished = path.with_name(mark + of.ending)
    try:
        of.write(document, unfinished)
        for beside in path.parent.glob(f"{mark}.*"):  # Label Studio's form has a second file
            if beside != unfinished:
                beside.replace(path.with_name(path.name[: -len(of.ending)] + beside.name.removeprefix(mark)))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
