"""Read the header of a file that was never read before in a process that is started for it.

A header can ask for any amount of memory, so the memory has to be limited. A limit holds for a whole process, and the process
of a program that uses the Python API must keep its own.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from preprocess.media import probe
from preprocess.media.probe import DecoderStoppedError, MediaError, Streams

ROOT = Path(__file__).resolve().parents[2]


def streams_of(path: Path) -> Streams:
    """As `probe.streams_of`, in a process of its own; MediaError where no demuxer takes the file."""
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-P", "-m", "preprocess.media.header", str(path)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": search}, capture_output=True)
    if done.returncode:
        raise MediaError(f"the process that reads its header ended with status {done.returncode}")
    answer = json.loads(done.stdout)
    if "stopped" in answer:
        raise DecoderStoppedError(answer["stopped"])
    if "unreadable" in answer:
        raise MediaError(answer["unreadable"])
    return Streams.from_json(answer["streams"])


class Unchanged:
    """A file whose header was read in a process of limited memory, and is read again without a limit: it must be the same."""

    def __init__(self, path: Path) -> None:
        self.path, self.state = path, self._state(path)

    def require(self) -> None:
        """MediaError where another file has taken its place, or something was written into it."""
        if self._state(self.path) != self.state:
            raise MediaError("it was changed while it was read; try again when it is complete")

    @staticmethod
    def _state(path: Path) -> tuple[int, ...]:
        found = path.stat() if path.is_file() else None
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns) if found else ()


def main(path: Path) -> None:
    """In the process that is started: print what the header says, or why it cannot be read, as JSON."""
    try:
        with probe.limited_memory():
            answer: dict[str, object] = {"streams": asdict(probe.streams_of(path))}
    except DecoderStoppedError as error:
        answer = {"stopped": str(error)}
    except MediaError as error:
        answer = {"unreadable": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
