"""The passport of a folder of features: of which corpus they are, which networks made them how, and what each number is.

`passport.json` lies in data/tensors and in every folder of data/features; a pack has it beside its files, with the commit it
was written at. Nothing of it depends on the time, the machine or the commit, until it is packed.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import params
from preprocess import clips
from preprocess.packs import dimensions
from preprocess.packs.problem import PackError

FILE = "passport.json"
MODELS, TEXT_MODEL = Path("data/models"), Path("data/text_model")
TABLES = ("labels.csv", "media.csv", "texts.csv")  # of the manifest: all that the corpus says, and the digest of each file
SECTIONS = ("frames", "faces", "transcripts", "tune", "encode", "align")
OF_FEATURES = ("modalities", "clock")  # parts that two kinds of features must share for one network to read both
UNKNOWN_CLOCK = {"unit": "unknown"}
SHOWN = 12  # differences that an error lists

Passport = dict[str, Any]


def write(folder: Path, settings: params.Params, widths: Mapping[str, int]) -> None:
    """That of tensors made by this pipeline, whose rows have these widths by modality."""
    labels = settings.corpus.labels
    save(
        folder,
        {
            "corpus": {"name": Path(settings.corpus.root).name, "sha256": _digest(clips.FOLDER / name for name in TABLES)},
            "labels": labels,
            "modalities": {
                m: {
                    "width": width,
                    "encoder": _encoder(settings, m),
                    "dimensions": dimensions.names(settings, labels, m, width),
                }
                for m, width in widths.items()
            },
            "clock": {"unit": "seconds from the clip's start", "mode": settings.align.mode, "hop": settings.align.hop},
            "parameters": {name: getattr(settings, name).model_dump() for name in SECTIONS},
        },
    )


def of_source(source: Path, labels: list[str], widths: Mapping[str, int], packed: Passport | None) -> Passport:
    """That of published features; `packed` is the passport in the file itself, where this program wrote it."""
    packed = packed or {}
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    numbered = {
        m: {"width": width, "encoder": None, "dimensions": [f"{m}_{i}" for i in range(width)]} for m, width in widths.items()
    }
    return {
        "corpus": packed.get("corpus") or {"name": source.stem, "sha256": _digest(files)},
        "labels": labels,
        "modalities": packed.get("modalities") or numbered,
        "clock": packed.get("clock") or UNKNOWN_CLOCK,
        "parameters": packed.get("parameters") or {},
    }


def inside(tree: Any) -> Passport | None:
    """That of an unpickled file, which a pack of this program has as JSON."""
    try:
        found = json.loads(tree["passport"])
    except (KeyError, TypeError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def save(folder: Path, passport: Passport) -> None:
    (folder / FILE).write_text(json.dumps(passport, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Passport:
    """Of a folder, or the file itself; PackError where there is none."""
    file = path / FILE if path.is_dir() else path
    try:
        passport = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PackError(f"{file} is not there: name a folder of tensors or a pack with its passport") from None
    except (OSError, ValueError) as error:
        raise PackError(f"{file} is no passport ({error})") from None
    if not isinstance(passport, dict):
        raise PackError(f"{file} is no passport: it holds no table of names")
    return passport


def differences(first: Passport, second: Passport, parts: Iterable[str] = ()) -> list[str]:
    """In what two passports differ, a line each; only in some `parts`, where they are named."""
    wanted = tuple(parts)
    found = (dict(_leaves({k: v for k, v in of.items() if not wanted or k in wanted})) for of in (first, second))
    one, other = found
    return [
        f"{key}: {_shown(one, key)} | {_shown(other, key)}"
        for key in dict.fromkeys([*one, *other])
        if _shown(one, key) != _shown(other, key)
    ]


def require_same(expected: Passport, found: Passport, whose: str) -> None:
    """PackError where features were made in another way than those that a network learned from."""
    unlike = differences(expected, found, OF_FEATURES)
    if unlike:
        more = f"\n  and {len(unlike) - SHOWN} more" if len(unlike) > SHOWN else ""
        listed = "\n  ".join(unlike[:SHOWN])
        raise PackError(f"{whose} are features of another kind than the network learned from (its | theirs):\n  {listed}{more}")


def _leaves(tree: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its dotted name; a list of names is one value."""
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{above}.{key}" if above else str(key))
    else:
        yield above, tree


def _shown(leaves: dict[str, Any], key: str) -> str:
    if key not in leaves:
        return "none"
    value = leaves[key]
    text = json.dumps(value, ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return text if len(text) <= 80 else f"{text[:60]}… ({len(value)} long, {digest})"


def _encoder(settings: params.Params, modality: str) -> dict[str, Any]:
    """The networks whose states a modality's features are, with the digest of their weights, and how they are read."""
    encode = getattr(settings.encode, modality).model_dump(exclude={"batch_size"})
    if modality == "text":
        networks = {"text": _weights(TEXT_MODEL)}
    elif modality == "audio":
        networks = {} if encode["features"] == "prosody" else {"audio": _weights(MODELS / "audio")}
    else:
        networks = {"face": _weights(MODELS / "face")}
        networks |= {} if encode["features"] == "blendshapes" else {"vision": _weights(MODELS / "vision")}
    pooling = {"pooling_of_rows": settings.align.pooling} if modality != "text" else {}
    context = {"context": settings.align.context} if modality == "audio" else {}
    return {"networks": networks, **encode, **pooling, **context, "normalised": modality in settings.align.normalise}


def _weights(folder: Path) -> Any:
    """The digest of a network's weights; of a tuned one those of its files. None where it is not on this machine."""
    path = folder / "model.json"
    card = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return card.get("tuned") or card.get("sha256")


def _digest(files: Iterable[Path]) -> str:
    """sha256 of the digests of all files, in their order."""
    total = hashlib.sha256()
    for path in files:
        if path.is_file():
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
