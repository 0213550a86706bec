"""Reading pickles from unknown authors as data: numpy arrays, strings, numbers, lists, tuples, dicts, and nothing else.

A pickle is a program that may name any function and call it. Here every name is looked up in one short table; any other name
is refused before anything is called. The table does not even have numpy's own functions, which trust their arguments about
memory: replacements in this file build plain arrays from bytes.
"""

import codecs
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

ADMITTED = "numpy arrays, strings, numbers, lists, tuples and dicts"
PLAIN = re.compile(r"[biufcSU]\d+|O\d*|b1|\?")  # numpy types of numbers, strings and objects

# What unpickling raises on bytes that are no pickle, or only a part of one.
BROKEN = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    MemoryError,
    OverflowError,
    RecursionError,
)


class PickleError(ValueError):
    """A pickle cannot be read; the message names the file and what it asks for."""


class Unadmitted(pickle.UnpicklingError):
    """A pickle asks for something that is not admitted; the message names it."""


class DType:
    """A numpy dtype that is being unpickled: only plain types, no fields."""

    def __init__(self, name: str | type, align: bool = False, copy: bool = False) -> None:
        if not isinstance(name, str) or not PLAIN.fullmatch(name):
            raise Unadmitted(f"an array of type {str(name)[:40]!r}")
        self.numpy = np.dtype("O" if name.startswith("O") else name)

    def __setstate__(self, state: tuple) -> None:
        order, inner = state[1], state[2:5]
        if order not in ("<", ">", "|", "=") or any(part for part in inner):
            raise Unadmitted("an array of a type with parts")
        if order in "<>":
            self.numpy = self.numpy.newbyteorder(order)


class Array:
    """A numpy array that is being unpickled; `value` is there after its state was read."""

    value: np.ndarray

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, by_column, content = state
        self.value = array(content, dtype, shape, "F" if by_column else "C")


class Admitted:
    """A function that a pickle may call and cannot change."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: object) -> None:
        raise Unadmitted("a change of what it may call")


def array(content: Any, dtype: DType, shape: tuple, order: str = "C") -> np.ndarray:
    """An array of numbers or strings from its bytes, or of objects from their list."""
    if dtype.numpy.hasobject:
        objects = np.empty(len(content), object)
        for i, item in enumerate(content):  # one by one: numpy makes lists of equal length one array of more dimensions
            objects[i] = item
        return objects.reshape(shape)  # numpy lists objects row by row, whatever their order in memory
    raw = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(raw, dtype.numpy).reshape(shape, order=order)  # type: ignore[call-overload]


def scalar(dtype: DType, content: Any) -> Any:
    return array(content, dtype, (1,))[0]


def from_buffer(content: Any, dtype: DType, shape: tuple, order: str) -> np.ndarray:
    return array(bytes(content), dtype, shape, "F" if order == "F" else "C")


def encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise Unadmitted(f"bytes encoded as {encoding}")
    return codecs.encode(text, "latin1")


BY_NAME = {
    "_reconstruct": Admitted(lambda *_: Array()),
    "scalar": Admitted(scalar),
    "_frombuffer": Admitted(from_buffer),
    "ndarray": Admitted(lambda *_: Array()),
    "dtype": Admitted(DType),
    "encode": Admitted(encoded),
    "bytes": Admitted(lambda: b""),
    "complex": Admitted(complex),
}
HOMES = {
    "numpy": ("ndarray", "dtype"),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy.core.numeric": ("_frombuffer",),
    "numpy._core.numeric": ("_frombuffer",),
    "_codecs": ("encode",),
    "__builtin__": ("bytes", "complex"),
    "builtins": ("bytes", "complex"),
}


class Unpickler(pickle.Unpickler):
    """An unpickler that finds only the names in HOMES."""

    def find_class(self, module: str, name: str) -> Any:
        if name not in HOMES.get(module, ()):
            raise Unadmitted(f"{module}.{name}")
        return BY_NAME[name]

    def persistent_load(self, pid: Any) -> Any:
        raise Unadmitted(f"an object outside of it ({str(pid)[:60]})")


def read(path: Path) -> Any:
    """The content of a pickle, or of a file that torch.save wrote. PickleError if it is broken, or holds more than ADMITTED."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                pickled = [name for name in archive.namelist() if name.endswith("/data.pkl")]
                if len(pickled) != 1:
                    raise PickleError(
                        f"{path} is an archive without one data.pkl: expected a pickle, or what torch.save writes"
                    )
                with archive.open(pickled[0]) as file:
                    return _load(file)
        with path.open("rb") as file:
            return _load(file)
    except Unadmitted as error:
        raise PickleError(f"{path} was refused, and nothing of it ran. It asks for {error}: admitted are {ADMITTED}") from None
    except OSError as error:
        raise PickleError(f"{path}: {error.strerror or error}; expected a pickled dict of splits") from None
    except PickleError:
        raise
    except BROKEN as error:
        raise PickleError(f"{path} is no whole pickle ({type(error).__name__}: {error})") from None


def _load(file: IO[bytes]) -> Any:
    return _with_arrays(Unpickler(file, encoding="latin1").load(), {})


def _with_arrays(value: Any, seen: dict[int, Any]) -> Any:
    """The value with each Array in it replaced by its numpy array; each container is visited once."""
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, Array):
        if not hasattr(value, "value"):
            raise ValueError("an array without content")
        seen[id(value)] = value.value
        if value.value.dtype.hasobject:
            for index in np.ndindex(value.value.shape):
                value.value[index] = _with_arrays(value.value[index], seen)
        return value.value
    if isinstance(value, dict):
        seen[id(value)] = value
        for key in value:
            value[key] = _with_arrays(value[key], seen)
    elif isinstance(value, list):
        seen[id(value)] = value
        value[:] = [_with_arrays(item, seen) for item in value]
    elif isinstance(value, tuple):
        seen[id(value)] = tuple(_with_arrays(item, seen) for item in value)
        return seen[id(value)]
    return value
