"""Which source files and pinned libraries can change what a stage makes of a clip: part of every store key.

How work is handed out, shown and counted (`preprocess/run`, `params.py`) cannot, so neither can the libraries it uses.
"""

import ast
import hashlib
import re
from functools import cache
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("preprocess", "lddu", "sample", "contract")
RUN = "preprocess.run"
# Libraries beneath those that are imported, which fetch, show, read options or check types, and compute nothing of a clip.
INERT = {
    "absl-py", "certifi", "click", "filelock", "fsspec", "future", "hf-xet", "huggingface-hub", "jinja2", "matplotlib",
    "networkx", "packaging", "setuptools", "sounddevice", "sympy", "tqdm", "typer", "typing-extensions",
}  # fmt: skip
# What transformers uses only for tokenizers: it counts where one is imported.
OF_TOKENIZERS = {"tokenizers", "regex"}


@cache
def modules(name: str) -> frozenset[str]:
    """The module, and every module of the repository that it imports, directly or through others.

    params is left out: it holds no value (params.yaml does), only checks.
    """
    found, todo = {name}, [name]
    while todo:
        imported = {module for item in imports(todo.pop()) if (module := module_of(item))}
        todo += imported - found
        found |= imported
    return frozenset(found)


@cache
def imports(name: str) -> frozenset[str]:
    """Absolute names of what a module of the repository imports anywhere in its text, as `transformers.AutoModel`."""
    found = set()
    for node in ast.walk(ast.parse(file_of(name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def module_of(imported: str) -> str:
    """The module of the repository that an imported name is or lies in; "" for a library's."""
    if imported.split(".")[0] not in PACKAGES:
        return ""
    return imported if file_of(imported).is_file() else imported.rpartition(".")[0]


def file_of(name: str) -> Path:
    return ROOT / (name.replace(".", "/") + ".py")


def digest(name: str) -> str:
    """Of the bytes of the modules that can change a result, and the versions of their libraries."""
    counted = sorted(module for module in modules(name) if not module.startswith(RUN))
    sources = {module: hashlib.sha256(file_of(module).read_bytes()).hexdigest() for module in counted}
    return hashlib.sha256(repr((sources, libraries(name))).encode()).hexdigest()


def libraries(name: str) -> list[tuple[str, str]]:
    """(distribution, version) of what the modules import, and of all that those libraries need in turn, but INERT ones."""
    distributions = packages_distributions()
    imported = {item for module in modules(name) if not module.startswith(RUN) for item in imports(module)}
    direct = {normal(distribution) for item in imported for distribution in distributions.get(item.split(".")[0], [])}
    todo = {Requirement(distribution) for distribution in direct.difference(PACKAGES)}
    found: set[Requirement] = set()
    while todo:
        found |= todo
        todo = {beneath for item in todo for beneath in needed(item)} - found
    names = {item.name for item in found}
    if not any("Tokenizer" in item for item in imported):
        names -= OF_TOKENIZERS
    return sorted((distribution, version(distribution)) for distribution in names)


@cache
def needed(requirement: Requirement) -> frozenset[Requirement]:
    """What an installed distribution, with the extras that are asked of it, requires here, but INERT ones."""
    extras = ["", *requirement.extras]
    found = set()
    for line in requires(requirement.name) or []:
        item = Requirement(line)
        wanted = item.marker is None or any(item.marker.evaluate({"extra": extra}) for extra in extras)
        if wanted and normal(item.name) not in INERT:
            found.add(Requirement(normal(item.name) + (f"[{','.join(sorted(item.extras))}]" if item.extras else "")))
    return frozenset(found)


def normal(distribution: str) -> str:
    """A distribution's name as the packaging standard writes it, since authors differ in case and dashes."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
