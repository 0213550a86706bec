"""Which source files a module of this repository rests on, and which pinned libraries: part of every store key."""

import ast
import hashlib
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("preprocess", "lddu", "sample")


@cache
def modules(name: str) -> frozenset[str]:
    """The module, and every module of the repository that it imports, directly or through others.

    params is left out: it holds no value (params.yaml does), only checks.
    """
    found, open_ends = {name}, [name]
    while open_ends:
        own = {imported for imported in imports(open_ends.pop()) if imported.split(".")[0] in ROOMS}
        open_ends += own - found
        found |= own
    return frozenset(found)


@cache
def imports(name: str) -> frozenset[str]:
    """Absolute names of what a module of the repository imports anywhere in its text."""
    found = set()
    for node in ast.walk(ast.parse(file_of(name).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            submodules = {module for module in inside if module.split(".")[0] in ROOMS and file_of(module).is_file()}
            found |= submodules or {node.module}
    return frozenset(found)


def file_of(name: str) -> Path:
    return ROOT / (name.replace(".", "/") + ".py")


def digest(name: str) -> str:
    """Of the bytes of all these modules and the versions of the libraries that they import."""
    sources = {module: hashlib.sha256(file_of(module).read_bytes()).hexdigest() for module in sorted(modules(name))}
    return hashlib.sha256(repr((sources, libraries(name))).encode()).hexdigest()


def libraries(name: str) -> list[tuple[str, str]]:
    """(distribution, version) of everything outside the standard library that the modules import."""
    distributions = packages_distributions()
    names = {imported.split(".")[0] for module in modules(name) for imported in imports(module)}
    found = {distribution for name in names for distribution in distributions.get(name, []) if name not in ROOMS}
    return sorted((distribution, version(distribution)) for distribution in found - {"lddu"})
