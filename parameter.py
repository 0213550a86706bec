"""What a single parameter may be, and what is wrong with one: the kinds of values that the sections in params.py use."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
NotNegativeCount = Annotated[int, Field(ge=0)]
Batch = Annotated[int, Field(ge=1, le=65536)]  # items that a network reads at once
Threads = Annotated[int, Field(ge=1, le=1024)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
Language = Annotated[str, Field(pattern=r"^(auto|[a-z]{2,3})$")]
Aligning = Literal["pocketsphinx", "attention", "ctc"]
Characters = Literal["as_written", "simplified", "traditional"]
Precision = Literal["float32", "bfloat16"]


def _upper(value: object) -> object:
    if value == "all" or (type(value) is int and 1 <= value <= 1000):
        return value
    raise ValueError(f"{value!r} is neither all nor a number of upper layers, 1 to 1000")


UpperLayers = Annotated[Literal["all"] | int, BeforeValidator(_upper)]
SOURCE = re.compile(r"pypi:[\w.-]+==[\w.+-]+![^\s]+|hub:[\w.-]+/[\w.-]+@[\w.-]+|file:.+")


def _source(value: object) -> object:
    parts = value if isinstance(value, list) and value else [value]
    for part in parts:
        if not isinstance(part, str) or not SOURCE.fullmatch(part):
            kinds = "pypi:<package>==<version>!<path in the wheel>, hub:<owner>/<name>@<revision> or file:<path>"
            raise ValueError(f"{part!r} names no network: {kinds} is expected, or a list of those that have its parts")
    return value


Source = Annotated[str | list[str], BeforeValidator(_source)]
# A label names a column of a table and files of the plots.
Label = Annotated[str, Field(pattern=r"^[^\W_][\w -]*$")]

# No dot: DVC takes it for the border of two keys of params.yaml.
FolderName = Annotated[str, Field(pattern=r"^[\w-]+$")]


def _layers(value: object) -> object:
    numbers = value if isinstance(value, list) else [value]
    if not numbers or any(type(number) is not int for number in numbers) or len(set(numbers)) < len(numbers):
        raise ValueError(f"{value!r} is expected to be the number of a hidden layer, or a list of different ones, as [1, 2]")
    return value


# One hidden layer of a network, or several whose states are joined.
Layers = Annotated[int | list[int], BeforeValidator(_layers)]

# Kinds of noise in the features, of lddu/noise.py.
Noise = Literal["gaussian", "dropped", "faded", "scaled", "swapped"]

# Kinds of corruption of raw clips, of robustness/kinds.py, and modalities, which stand for all kinds that change them.
Corruption = Literal[
    "noise", "babble", "reverberation", "telephone", "clipping", "dropouts",
    "blur", "darkness", "resolution", "compression", "occlusion", "frozen", "lost_frames",
    "heard_noise", "heard_babble", "lost_words", "misspelt", "everything", "text", "audio", "vision",
]  # fmt: skip


# How one value may be written in two ways; pydantic puts these names into the path of a wrong key.
FORMS = ONE, SEVERAL = "(one)", "(several)"


class Section(BaseModel):
    """A section of params.yaml: no unknown key, no conversion of types, no infinite number, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def problem(error: dict) -> str:
    """One of pydantic's errors in one line: the key, the value, what is valid."""
    key = ".".join(str(part) for part in error["loc"] if part not in FORMS) or "params.yaml"
    if error["type"] == "missing":
        return f"{key} is missing"
    if error["type"] == "extra_forbidden":
        return f"{key} is no parameter"
    message = re.sub(r"^(Input|Value|String) should", "should", error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{key}: {message}"
    return f"{key} is {error['input']!r} ({type(error['input']).__name__}): {message}{_hint(error['input'])}"


def _hint(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        return f" – YAML reads {value} as text, write {float(value):.10f}".rstrip("0")
    return ""
