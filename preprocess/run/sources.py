"""Which source files and pinned libraries can change what a stage makes of a clip. They are part of every store key, which
decides whether a clip is computed again.

Left out is how work is given to processes, shown and counted (`preprocess/run`, `params.py`), with the libraries for it:
these cannot change a result.
"""

import ast
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("preprocess", "lddu", "sample", "robustness", "contract", "csv_table")
RUN = "preprocess.run"
# Libraries that imported ones need, but which only download, print, read options or check types: they change no result.
INERT = {
    "absl-py", "certifi", "click", "filelock", "fsspec", "future", "hf-xet", "huggingface-hub", "jinja2", "matplotlib",
    "networkx", "packaging", "setuptools", "sounddevice", "sympy", "tqdm", "typer", "typing-extensions",
}  # fmt: skip
# transformers needs these only for tokenizers: they count only where a tokenizer is imported.
OF_TOKENIZERS = {"tokenizers", "regex"}


@cache
def modules(name: str) -> frozenset[str]:
    """The module, and every module of the repository that it imports, directly or through others.

    params.py is left out: it holds only checks; the values are in params.yaml.
    """
    reached, todo = {name}, [name]
    while todo:
        imported = {module for item in imports(todo.pop()) if (module := module_of(item))}
        todo += imported - reached
        reached |= imported
    return frozenset(reached)


@cache
def imports(name: str) -> frozenset[str]:
    """Absolute names of everything that a module of the repository imports, such as `transformers.AutoModel`; also of imports
    inside functions."""
    names = set()
    for node in ast.walk(ast.parse(file_of(name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def module_of(imported: str) -> str:
    """The module of the repository that an imported name is, or is in; "" for a library's name."""
    if imported.split(".")[0] not in PACKAGES:
        return ""
    return imported if file_of(imported).is_file() else imported.rpartition(".")[0]


def file_of(name: str) -> Path:
    return ROOT / (name.replace(".", "/") + ".py")


def digest(name: str) -> str:
    """sha256 over the source of the modules that can change a result, and the versions of their libraries."""
    counted = sorted(module for module in modules(name) if not module.startswith(RUN))
    sources = {module: hashlib.sha256(file_of(module).read_bytes()).hexdigest() for module in counted}
    return hashlib.sha256(repr((sources, libraries(name))).encode()).hexdigest()


def libraries(name: str) -> list[tuple[str, str]]:
    """(distribution, version) of the libraries that the modules import, and of all that these need in turn, without INERT."""
    imported = {item for module in modules(name) if not module.startswith(RUN) for item in imports(module)}
    direct = {normal(distribution) for item in imported for distribution in distributions().get(item.split(".")[0], [])}
    todo = {Requirement(distribution) for distribution in direct.difference(PACKAGES)}
    reached: set[Requirement] = set()
    while todo:
        reached |= todo
        todo = {below for item in todo for below in needed(item)} - reached
    names = {item.name for item in reached}
    if not any("Tokenizer" in item for item in imported):
        names -= OF_TOKENIZERS
    return sorted((distribution, version(distribution)) for distribution in names)


@cache
def distributions() -> Mapping[str, list[str]]:
    """The installed distributions that an imported name may come from; to find them all out takes half a second."""
    return packages_distributions()


@cache
def needed(requirement: Requirement) -> frozenset[Requirement]:
    """What an installed distribution, with its extras, requires on this machine, without INERT."""
    extras = ["", *requirement.extras]
    requirements = set()
    for line in requires(requirement.name) or []:
        item = Requirement(line)
        wanted = item.marker is None or any(item.marker.evaluate({"extra": extra}) for extra in extras)
        if wanted and normal(item.name) not in INERT:
            requirements.add(Requirement(normal(item.name) + (f"[{','.join(sorted(item.extras))}]" if item.extras else "")))
    return frozenset(requirements)


def normal(distribution: str) -> str:
    """A distribution's name in the standard form (lower case, single dashes): packages write it in different ways."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
