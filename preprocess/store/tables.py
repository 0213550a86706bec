"""Tables that grow row by row: safetensors files, written and read in pieces, so that memory does not grow with the clip.

A column is an array whose first axis is the row. The format (https://github.com/huggingface/safetensors#format) is the
length of a JSON header as a 64-bit little-endian number, the header, then one array after the other.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np

ROWS = 2048  # read at a time
MAX_HEADER = 1 << 20  # bytes; the headers written here have a few hundred
TYPES: dict[str, np.dtype] = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "I32": np.dtype("<i4"), "BOOL": np.dtype("?")}
NAMES = {kind: name for name, kind in TYPES.items()}

Rows = dict[str, np.ndarray]
Kinds = dict[str, tuple[np.dtype, tuple[int, ...]]]  # by column: type, and shape of a row


class Writer:
    """Write a table in pieces, with the bytes that safetensors would write; the file appears when the `with` block ends
    without an error."""

    def __init__(self, path: Path, **metadata: str) -> None:
        self.path = path
        self.metadata = metadata
        self._columns: dict[str, IO[bytes]] = {}
        self._kinds: Kinds = {}
        self._count = 0

    def __enter__(self) -> "Writer":
        return self

    def append(self, rows: Rows) -> None:
        """Add rows: for every column an array (n, …) of the same type and the same shape of a row as before."""
        for name, values in rows.items():
            if name not in self._columns:
                self._columns[name] = TemporaryFile(dir=self.path.parent)  # noqa: SIM115 – closed on leaving the block
                self._kinds[name] = values.dtype, values.shape[1:]
            self._columns[name].write(np.ascontiguousarray(values).tobytes())
        self._count += len(next(iter(rows.values())))

    def __exit__(self, kind: object, *_: object) -> None:
        with ExitStack() as stack:
            for column in self._columns.values():
                stack.enter_context(column)
            if kind is None:
                self._assemble()

    def _assemble(self) -> None:
        head, places = _layout(self._kinds, self._count, self.metadata)
        with self.path.open("wb") as file:
            file.write(head)
            for name in places:
                self._columns[name].seek(0)
                shutil.copyfileobj(self._columns[name], file, 1 << 20)


class Blank:
    """A table of a known number of rows, which can be filled in any order: what is never written is zeros, which take no time
    and, where the file system has sparse files, no room."""

    def __init__(self, file: IO[bytes], kinds: Kinds, count: int, **metadata: str) -> None:
        """A table in an empty file that is open for writing."""
        head, self._places = _layout(kinds, count, metadata)
        self._file = file
        self._sizes = {name: _size(kind, shape) for name, (kind, shape) in kinds.items()}
        file.write(head)
        file.truncate(len(head) + count * sum(self._sizes.values()))

    def write(self, row: int, columns: Rows) -> None:
        """Write values of the columns' types, each from the beginning of a row on; they may end within a row, or in a later
        one."""
        for name, values in columns.items():
            self._file.seek(self._places[name] + row * self._sizes[name])
            self._file.write(np.ascontiguousarray(values).data)


def _size(kind: np.dtype, shape: tuple[int, ...]) -> int:
    """Bytes of a row."""
    return int(np.prod(shape, dtype=int)) * kind.itemsize


def _layout(kinds: Kinds, count: int, metadata: dict[str, str]) -> tuple[bytes, dict[str, int]]:
    """How the file of a table begins, and the byte where each column begins, in the order of the columns."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    places: dict[str, int] = {}
    offset = 0  # bytes
    for name, (kind, shape) in sorted(kinds.items(), key=lambda item: (-item[1][0].itemsize, item[0])):
        size = count * _size(kind, shape)
        places[name] = offset
        header[name] = {"dtype": NAMES[kind], "shape": [count, *shape], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, {name: 8 + len(text) + place for name, place in places.items()}


def read(source: Callable[[], IO[bytes]], rows: int = ROWS, only: tuple[str, ...] = ()) -> Iterator[Rows]:
    """Pieces of at most `rows` rows of a table, of all columns or of some; `source` opens a new stream of the file."""
    with ExitStack() as stack:
        streams: dict[str, tuple[IO[bytes], np.dtype, tuple[int, ...]]] = {}
        count = 0
        for name, (offset, kind, shape) in _header(source).items():
            if not only or name in only:
                stream = stack.enter_context(source())
                stream.seek(offset)
                streams[name] = stream, kind, shape[1:]
                count = shape[0]
        for begin in range(0, count, rows):
            length = min(rows, count - begin)
            yield {name: _take(stream, kind, (length, *shape)) for name, (stream, kind, shape) in streams.items()}


def whole(source: Callable[[], IO[bytes]]) -> Rows:
    """A whole table, held in memory once; `source` opens a new stream of the file."""
    table = {}
    columns = _header(source)
    with source() as stream:
        for name, (offset, kind, shape) in sorted(columns.items(), key=lambda item: item[1][0]):
            stream.seek(offset)
            table[name] = _take(stream, kind, shape)
    return table


def _take(stream: IO[bytes], kind: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(stream.read(_size(kind, shape)), kind).reshape(shape)


def _header(source: Callable[[], IO[bytes]]) -> dict[str, tuple[int, np.dtype, tuple[int, ...]]]:
    """Byte in the file where each column begins, its type and its shape."""
    with source() as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > MAX_HEADER:
            raise ValueError(f"a table's header of {length} bytes: no more than {MAX_HEADER} are read")
        header: dict[str, Any] = json.loads(stream.read(length))
    return {
        name: (8 + length + item["data_offsets"][0], TYPES[item["dtype"]], tuple(item["shape"]))
        for name, item in header.items()
        if name != "__metadata__"
    }
