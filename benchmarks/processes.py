"""Run a program to its end and measure it: its time, and the most memory that each of its processes held."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PAUSE = 0.1  # seconds between two looks at the processes; the kernel keeps the peak of each
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Measured:
    """A program that was run: its time, output and memory."""

    seconds: float = 0.0
    printed: str = ""
    peaks: dict[str, float] = field(default_factory=dict)  # MB of the largest process of a kind: main, stage, worker, decoder

    def figures(self) -> dict[str, float]:
        return {"seconds": self.seconds} | {f"{kind}_mb": peak for kind, peak in sorted(self.peaks.items())}


def environment() -> dict[str, str]:
    """The environment variables of a program: it finds this Python's programs, and the modules of this checkout.

    A folder with modules of its own comes first, since Python looks there before it looks in PYTHONPATH.
    """
    programs = Path(sys.executable).parent
    variables = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    variables.pop("DVC_ROOT", None)
    return variables


def run(command: list[str], folder: Path) -> Measured:
    """Run a program in a folder. Where it fails its output is printed, and CalledProcessError raised."""
    measured, ended = Measured(), threading.Event()
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        watching = threading.Thread(target=watch, args=(process.pid, measured.peaks, ended))
        watching.start()
        measured.printed = process.communicate()[0]
        measured.seconds = time.perf_counter() - start
        ended.set()
        watching.join()
    if process.returncode:
        print(measured.printed, file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, command)
    return measured


def watch(pid: int, peaks: dict[str, float], ended: threading.Event) -> None:
    """Until `ended`, note the peak memory of a process and of all its descendants in `peaks`."""
    while not ended.wait(PAUSE):
        try:
            processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                kind, peak = kind_of(process, pid), peak_of(process.pid)
            except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
                continue
            peaks[kind] = max(peaks.get(kind, 0.0), peak)


def kind_of(process: psutil.Process, root: int) -> str:
    """What a process is in a run whose first process is `root`: main, stage, worker or decoder."""
    if "ffmpeg" in process.name():
        return "decoder"
    if "multiprocessing" in " ".join(process.cmdline()):
        return "worker"
    return "main" if process.pid == root else "stage"


def peak_of(pid: int) -> float:
    """The most memory that a process has held so far, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
