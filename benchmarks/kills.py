"""Whether a run that is killed many times ends in the same bytes as one that is not.

`python -m benchmarks.kills --kills 20 --clips 24 --seed 1` runs a small sample corpus from nothing to tensors in two clones of
the last commit, each with a store and a cache of its own. In one clone DVC, a stage or a worker is killed (SIGKILL) at random
moments; then `dvc.lock` is repaired as `make repro` does it, and DVC started again. When the run ends, every output is
compared with that of the other clone. A run that ends before the last kill is compared too, and begins again from nothing.
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
DOWNLOADS = Path(".store/downloads")  # the networks; they are copied, since downloading them is not tested
COMMAND = ["dvc", "repro", "align"]
TARGETS = ("dvc", "stage", "worker")
PRINTED = "printed.txt"
MOST_FAILURES = 3  # runs that fail without being killed, before the benchmark gives up
LONGEST_WAIT = 60.0  # seconds between two kills


def clone(folder: Path, clips: int, workers: int = 0) -> Path:
    """Clone the last commit, with a sample of so many clips, an empty store and an empty cache."""
    processes.run(["git", "clone", "--quiet", str(processes.ROOT), str(folder)], folder.parent)
    if DOWNLOADS.is_dir():
        shutil.copytree(DOWNLOADS, folder / DOWNLOADS)
    editor = YAML()
    tree = editor.load(folder / "params.yaml")
    tree["sample"].update(clips=clips, speakers=SPEAKERS)
    tree["run"].update(workers=workers)
    editor.dump(tree, folder / "params.yaml")
    return folder


def clear(folder: Path) -> None:
    """Make the clone as it was before anything was run."""
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
    """The processes of a kind (one of TARGETS) beneath a running DVC."""
    if kind == "dvc":
        yield dvc
        return
    for process in dvc.children(recursive=True):
        try:
            command, parent = " ".join(process.cmdline()), " ".join(process.parent().cmdline())
        except (psutil.NoSuchProcess, AttributeError):
            continue
        is_forkserver = "multiprocessing.forkserver" in command  # the fork server itself, or a worker that it started
        if kind == "worker" and is_forkserver and "multiprocessing.forkserver" in parent:
            yield process
        if kind == "stage" and not is_forkserver and command.startswith(("python", sys.executable)) and " -m " in command:
            yield process


class Disturbed:
    """A run that is killed at random moments, and started again each time."""

    def __init__(self, folder: Path, seed: int, expected: dict[str, str]) -> None:
        self.folder = folder
        self.expected = expected  # outputs
        self.differing: set[str] = set()
        self.random = random.Random(seed)  # noqa: S311 – no secret
        self.kills: list[str] = []  # the kind of each process that was killed
        self.failures: list[str] = []  # the last lines of runs that failed without being killed
        self.ended_runs = 0  # that came to their end
        self.repaired_locks = 0  # that a killed DVC left half written
        self.start()

    def start(self) -> None:
        self.repaired_locks += len(mend_lock.main(self.folder))
        with (self.folder / PRINTED).open("a") as printed:
            self.process = subprocess.Popen(
                COMMAND, cwd=self.folder, env=processes.environment(), stdout=printed, stderr=subprocess.STDOUT
            )

    def kill(self, before: float) -> None:
        """After at most `before` seconds kill a process of a random kind; start the run again where that ends it."""
        kind, wait = self.random.choice(TARGETS), self.random.uniform(0, before)
        end = time.monotonic() + wait
        while self.process.poll() is None:
            processes = list(targets(psutil.Process(self.process.pid), kind)) if time.monotonic() > end else []
            if processes:
                target = self.random.choice(processes)
                name = " ".join(target.cmdline()[:4])[-60:]
                target.kill()
                self.kills.append(kind)
                print(f"kill {len(self.kills)}: {kind} after {wait:.1f} s: {name}", flush=True)
                if kind != "worker":
                    self.process.wait()
                    self.start()
                return
            time.sleep(0.02)
        self.ended()

    def ended(self) -> None:
        """A run that came to its end is compared and begins again from nothing; one that failed is noted and started again."""
        if self.process.returncode == 0:
            self.compare()
            clear(self.folder)
        else:
            self.failures.append("\n".join((self.folder / PRINTED).read_text(errors="replace").splitlines()[-20:]))
            print(f"a run failed by itself:\n{self.failures[-1]}", flush=True)
        self.start()

    def compare(self) -> None:
        """Note the files of a run that came to its end whose bytes are not the expected ones."""
        digests = outputs(self.folder)
        names = self.expected.keys() | digests.keys()
        self.differing |= {name for name in names if self.expected.get(name) != digests.get(name)}
        self.ended_runs += 1
        print(
            f"after {len(self.kills)} kills a run came to its end; files that differed in any run: {len(self.differing)}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--clips", type=int, default=24, help=f"a multiple of {SPEAKERS}")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    record = Record("kills", f"{options.kills} kills, {options.clips} clips, seed {options.seed}")
    with TemporaryDirectory() as temporary:
        undisturbed, killed = (clone(Path(temporary) / name, options.clips) for name in ("undisturbed", "killed"))
        program = processes.run(COMMAND, undisturbed)
        record.add("undisturbed", program.figures())
        start = time.perf_counter()
        disturbed = Disturbed(killed, options.seed, outputs(undisturbed))
        while len(disturbed.kills) < options.kills and len(disturbed.failures) < MOST_FAILURES:
            disturbed.kill(min(LONGEST_WAIT, program.seconds / 4))
        disturbed.process.wait()
        processes.run(COMMAND, killed)
        disturbed.compare()
        kinds = {f"kills_of_{kind}": float(count) for kind, count in sorted(Counter(disturbed.kills).items())}
        figures = {"seconds": time.perf_counter() - start, "files": float(len(disturbed.expected))}
        ends = {
            "runs_to_their_end": disturbed.ended_runs,
            "runs_that_failed": len(disturbed.failures),
            "locks_mended": disturbed.repaired_locks,
        }
        record.add("killed", figures | kinds | ends)
        record.write()
    if disturbed.differing or disturbed.failures:
        differing = ", ".join(sorted(disturbed.differing)[:20])
        sys.exit(f"{len(disturbed.failures)} runs failed by themselves, {len(disturbed.differing)} files differ: {differing}")
    print(f"{len(disturbed.expected)} files under data are the same, byte for byte")


if __name__ == "__main__":
    main()
