"""What a single parameter may be, and what is wrong with one: the kinds of values that the sections in params.py use."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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
Precision = Literal["float32", "bfloat16"]
SOURCE = re.compile(r"pypi:[\w.-]+==[\w.+-]+![^\s]+|hub:[\w.-]+/[\w.-]+@[\w.-]+|file:.+")


def _source(value: str) -> str:
    if not SOURCE.fullmatch(value):
        kinds = "pypi:<package>==<version>!<path in the wheel>, hub:<owner>/<name>@<revision> or file:<path>"
        raise ValueError(f"{value!r} names no network: {kinds} is expected")
    return value


Source = Annotated[str, AfterValidator(_source)]
# A label names a column of a table and files of the plots.
Label = Annotated[str, Field(pattern=r"^[^\W_][\w -]*$")]

# No dot: DVC takes it for the border of two keys of params.yaml.
FolderName = Annotated[str, Field(pattern=r"^[\w-]+$")]

# Kinds of noise in the features, of lddu/noise.py.
Noise = Literal["gaussian", "dropped", "faded", "scaled", "swapped"]

# Kinds of corruption of raw clips, of robustness/kinds.py, and modalities, which stand for all kinds that change them.
Corruption = Literal[
    "noise", "babble", "reverberation", "telephone", "clipping", "dropouts",
    "blur", "darkness", "resolution", "compression", "occlusion", "frozen", "lost_frames",
    "heard_noise", "heard_babble", "lost_words", "misspelt", "everything", "text", "audio", "vision",
]  # fmt: skip


class Section(BaseModel):
    """A section of params.yaml: no unknown key, no conversion of types, no infinite number, no change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def problem(error: dict) -> str:
    """One of pydantic's errors in one line: the key, the value, what is valid."""
    key = ".".join(str(part) for part in error["loc"]) or "params.yaml"
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
