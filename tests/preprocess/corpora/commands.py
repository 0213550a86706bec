"""The commands of preprocess/corpora as tests run them, and the files that they read and write."""

import csv
import os
import sys
from pathlib import Path

import pytest

from preprocess.corpora import __main__ as command

# A folder with the published tables (mosei/, m3ed/, meld/), which are not for this repository to carry.
PUBLISHED = Path(os.environ.get("PUBLISHED_CORPORA", "nowhere"))


published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason="PUBLISHED_CORPORA names no folder with the published tables")


def run(*arguments: object) -> None:
    """`python -m preprocess.corpora …` in this process; CorpusError instead of its exit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["corpora", *map(str, arguments)])
        command.main()


def refusal(*arguments: object) -> str:
    """What the command says as it ends with an error."""
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    assert isinstance(end.value.code, str)
    return end.value.code


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["clip_id"]: row for row in csv.DictReader(file)}


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def touch(*paths: Path) -> None:
    for path in paths:
        write(path, "a film that nobody opens here")
