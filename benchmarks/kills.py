"""Whether a run that is killed again and again ends in the bytes of one that is not.

`python -m benchmarks.kills --kills 20 --clips 24 --seed 1` takes a small sample corpus from nothing to tensors in two clones
of the last commit with stores and caches of their own. In one of them dvc alone, a stage alone or a worker alone is killed
(SIGKILL) at random moments, and dvc started again at once, after its lock was mended as `make repro` does it. At its end
every output is compared with those of the other; a run that gets there before the last kill begins again from nothing.
"""

import argparse
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from ruamel.yaml import YAML

import mend_lock
from benchmarks import processes
from benchmarks.records import Record

SPEAKERS = 12  # the fewest that the sample may have
DOWNLOADS = Path(".store/downloads")  # of networks, which are not what is tested
COMMAND = ["dvc", "repro", "align"]
TARGETS = ("dvc", "stage", "worker")
PRINTED = "printed.txt"
MOST_FAILURES = 3
REACH = 60.0  # seconds between two kills, at most


def clone(folder: Path, clips: int) -> Path:
    """A clone with a sample of so many clips, an empty store and an empty cache."""
    processes.run(["git", "clone", "--quiet", str(processes.ROOT), str(folder)], folder.parent)
    if DOWNLOADS.is_dir():
        shutil.copytree(DOWNLOADS, folder / DOWNLOADS)
    editor = YAML()
    tree = editor.load(folder / "params.yaml")
    tree["sample"].update(clips=clips, speakers=SPEAKERS)
    editor.dump(tree, folder / "params.yaml")
    return folder


def clear(folder: Path) -> None:
    """Back to a clone in which nothing was run."""
    for path in (folder / ".dvc/cache", folder / ".dvc/tmp", folder / "logs"):
        shutil.rmtree(path, ignore_errors=True)
    for path in [*(folder / "data").iterdir(), *(folder / ".store").iterdir()]:
        if path.is_dir() and path.name != DOWNLOADS.name:
            shutil.rmtree(path)
    processes.run(["git", "checkout", "--quiet", "--", "dvc.lock", "sample/dvc.lock"], folder)


def outputs(folder: Path) -> dict[str, str]:
    """The digest of every file under data, by name."""
    files = sorted(path for path in (folder / "data").rglob("*") if path.is_file() and path.name != ".gitignore")
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def targets(dvc: psutil.Process, kind: str) -> Iterator[psutil.Process]:
    """The processes of a kind of a run that is going on."""
    if kind == "dvc":
        yield dvc
        return
    for process in dvc.children(recursive=True):
        try:
            command, parent = " ".join(process.cmdline()), " ".join(process.parent().cmdline())
        except (psutil.NoSuchProcess, AttributeError):
            continue
        served = "multiprocessing.forkserver" in command
        if kind == "worker" and served and "multiprocessing.forkserver" in parent:
            yield process
        if kind == "stage" and not served and command.startswith(("python", sys.executable)) and " -m " in command:
            yield process


class Disturbed:
    """A run that is started again whenever it was killed."""

    def __init__(self, folder: Path, seed: int, expected: dict[str, str]) -> None:
        self.folder = folder
        self.expected = expected  # outputs
        self.differing: set[str] = set()
        self.drawn = random.Random(seed)  # noqa: S311 – no secret
        self.done: list[str] = []
        self.failures: list[str] = []  # what runs that failed without being killed printed last
        self.wholes = 0  # runs that came to their end
        self.mended = 0  # locks that a killed dvc left broken
        self.start()

    def start(self) -> None:
        self.mended += len(mend_lock.main(self.folder))
        with (self.folder / PRINTED).open("a") as printed:
            self.process = subprocess.Popen(
                COMMAND, cwd=self.folder, env=processes.environment(), stdout=printed, stderr=subprocess.STDOUT
            )

    def kill(self, before: float) -> None:
        """Wait for a random time, then kill a process of a random kind, and start the run again if it ends by that."""
        kind, wait = self.drawn.choice(TARGETS), self.drawn.uniform(0, before)
        end = time.monotonic() + wait
        while self.process.poll() is None:
            found = list(targets(psutil.Process(self.process.pid), kind)) if time.monotonic() > end else []
            if found:
                chosen = self.drawn.choice(found)
                name = " ".join(chosen.cmdline()[:4])[-60:]
                chosen.kill()
                self.done.append(kind)
                print(f"kill {len(self.done)}: {kind} after {wait:.1f} s: {name}", flush=True)
                if kind != "worker":
                    self.process.wait()
                    self.start()
                return
            time.sleep(0.02)
        self.ended()

    def ended(self) -> None:
        """Begin again from nothing where the run came to its end; where it failed by itself, say so and go on."""
        if self.process.returncode == 0:
            self.compare()
            clear(self.folder)
        else:
            self.failures.append("\n".join((self.folder / PRINTED).read_text(errors="replace").splitlines()[-20:]))
            print(f"a run failed by itself:\n{self.failures[-1]}", flush=True)
        self.start()

    def compare(self) -> None:
        """Note what a run that came to its end left otherwise than expected."""
        found = outputs(self.folder)
        names = self.expected.keys() | found.keys()
        self.differing |= {name for name in names if self.expected.get(name) != found.get(name)}
        self.wholes += 1
        print(
            f"after {len(self.done)} kills a run came to its end; files that ever differed: {len(self.differing)}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--clips", type=int, default=24, help=f"a multiple of {SPEAKERS}")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    record = Record("kills", f"{asked.kills} kills, {asked.clips} clips, seed {asked.seed}")
    with TemporaryDirectory() as made:
        calm, killed = (clone(Path(made) / name, asked.clips) for name in ("calm", "killed"))
        taken = processes.run(COMMAND, calm)
        record.add("undisturbed", taken.figures())
        start = time.perf_counter()
        disturbed = Disturbed(killed, asked.seed, outputs(calm))
        while len(disturbed.done) < asked.kills and len(disturbed.failures) < MOST_FAILURES:
            disturbed.kill(min(REACH, taken.seconds / 4))
        disturbed.process.wait()
        processes.run(COMMAND, killed)
        disturbed.compare()
        kinds = {f"kills_of_{kind}": float(count) for kind, count in sorted(Counter(disturbed.done).items())}
        figures = {"seconds": time.perf_counter() - start, "files": float(len(disturbed.expected))}
        ends = {
            "runs_to_their_end": disturbed.wholes,
            "runs_that_failed": len(disturbed.failures),
            "locks_mended": disturbed.mended,
        }
        record.add("killed", figures | kinds | ends)
        record.write()
    if disturbed.differing or disturbed.failures:
        differing = ", ".join(sorted(disturbed.differing)[:20])
        sys.exit(f"{len(disturbed.failures)} runs failed by themselves, {len(disturbed.differing)} files differ: {differing}")
    print(f"{len(disturbed.expected)} files under data are the same, byte for byte")


if __name__ == "__main__":
    main()
