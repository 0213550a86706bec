"""A program run to its end, and what its processes took: time, and the most memory that each held."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

LOOK = 0.1  # seconds between two looks; the kernel keeps each process' peak meanwhile
ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Taken:
    """What a program took."""

    seconds: float = 0.0
    printed: str = ""
    peaks: dict[str, float] = field(default_factory=dict)  # MB of the largest process by its part in the work

    def figures(self) -> dict[str, float]:
        return {"seconds": self.seconds} | {f"{part}_mb": peak for part, peak in sorted(self.peaks.items())}


def environment() -> dict[str, str]:
    """That of this process, with the programs beside this python, and this checkout's modules unless the folder has its own."""
    programs = Path(sys.executable).parent
    found = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    found.pop("DVC_ROOT", None)
    return found


def run(command: list[str], folder: Path) -> Taken:
    """Run a program in a folder; CalledProcessError, after what it printed, where it fails."""
    taken, done = Taken(), threading.Event()
    start = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        watching = threading.Thread(target=watch, args=(process.pid, taken.peaks, done))
        watching.start()
        taken.printed = process.communicate()[0]
        taken.seconds = time.perf_counter() - start
        done.set()
        watching.join()
    if process.returncode:
        print(taken.printed, file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, command)
    return taken


def watch(pid: int, peaks: dict[str, float], done: threading.Event) -> None:
    """Keep the peaks of a process and of all beneath it up to date."""
    while not done.wait(LOOK):
        try:
            processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                part, peak = part_of(process, pid), peak_of(process.pid)
            except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
                continue
            peaks[part] = max(peaks.get(part, 0.0), peak)


def part_of(process: psutil.Process, root: int) -> str:
    if "ffmpeg" in process.name():
        return "decoder"
    if "multiprocessing" in " ".join(process.cmdline()):
        return "worker"
    return "main" if process.pid == root else "stage"


def peak_of(pid: int) -> float:
    """MB of memory that a process has held at most."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
