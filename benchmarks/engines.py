"""What an engine costs: the driver's time for a clip, and two Ray workers against two processes on the sample's faces.

`python -m benchmarks.engines` gives 20,000 clips of a stage that does nothing to two workers of either engine, on this machine.
Where `make repro` has made the sample corpus, it then finds the faces of 48 of its clips and of 24: the difference is the time
of the clips without the start of the workers. The engines take turns.
"""

import argparse
import os
import shutil
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from ruamel.yaml import YAML

import params
from benchmarks import processes
from benchmarks.records import Figures, Record
from benchmarks.stubs import nothing
from preprocess.clips import Task
from preprocess.run import stage, work
from preprocess.run.stage import Job, Stage

ENGINES = ("processes", "ray")
COMMAND = "python -m preprocess"


def stubs(run: params.Run, clips: int) -> Figures:
    """Fill a stage that does nothing, in an empty folder: milliseconds for a clip, and this process's processor time."""
    tasks = [Task(f"clip{i:06d}", {"number": i}, 1.0) for i in range(clips)]
    made = Stage("nothing", "benchmarks.stubs", nothing, parameters={})
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        start, used = time.perf_counter(), time.process_time()
        stage.fill(Job(made, tasks), run.model_copy(update={"store": f"{folder}/store"}))
        figures = {
            "ms_a_clip": 1000 * (time.perf_counter() - start) / clips,
            "driver_ms_a_clip": 1000 * (time.process_time() - used) / clips,
        }
        work.stop()
        os.chdir(processes.ROOT)
    return figures


def prepare(folder: Path, clips: int) -> None:
    """Make a workspace whose corpus is the first clips of the sample, up to their frames and sounds."""
    sample = processes.ROOT / "data/sample"
    (folder / "data").mkdir(parents=True)
    (folder / "data/models").symlink_to(processes.ROOT / "data/models")
    shutil.copytree(sample, folder / "films")
    lines = (sample / "clips.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "films/clips.csv").write_text("".join(lines[: clips + 1]), encoding="utf-8")
    choose(folder, "processes")
    for name in ("manifest", "frames", "audio"):
        processes.run([*COMMAND.split(), name], folder)


def choose(folder: Path, engine: str) -> None:
    """Write parameters with two workers of an engine."""
    editor = YAML()
    tree = editor.load(processes.ROOT / params.PATH)
    tree["corpus"]["root"] = "films"
    tree["run"] |= {"engine": engine, "workers": 2, "address": "", "device": "cpu", "store": ".store"}
    editor.dump(tree, folder / params.PATH)


def faces(folder: Path, engine: str) -> float:
    """Seconds of the stage faces, with none of its clips in the store."""
    choose(folder, engine)
    shutil.rmtree(folder / ".store/faces", ignore_errors=True)
    return processes.run([*COMMAND.split(), "faces"], folder).seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engines", description=__doc__)
    parser.add_argument("--clips", type=int, default=20000)
    parser.add_argument("--faces", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    clips, of_faces, rounds = vars(parser.parse_args()).values()
    record = Record("engines", f"{clips} clips, {of_faces} with faces, {rounds} rounds")
    run = params.load().run.model_copy(update={"workers": 2, "address": "", "device": "cpu"})
    for engine in ENGINES:
        record.add(f"nothing, {engine}", stubs(run.model_copy(update={"engine": engine}), clips))
    if of_faces and (processes.ROOT / "data/sample/clips.csv").is_file():
        compare_faces(record, of_faces, rounds)
    record.write()


def compare_faces(record: Record, clips: int, rounds: int) -> None:
    """The median of several rounds; in each, both engines find the faces of all clips and of half of them."""
    with TemporaryDirectory() as temporary:
        folders = {count: Path(temporary) / str(count) for count in (clips, clips // 2)}
        for count, folder in folders.items():
            prepare(folder, count)
        seconds: dict[tuple[str, int], list[float]] = {(engine, count): [] for engine in ENGINES for count in folders}
        for _ in range(rounds):
            for engine, count in seconds:
                seconds[engine, count].append(faces(folders[count], engine))
    for engine in ENGINES:
        whole, half = (median(seconds[engine, count]) for count in folders)
        record.add(f"faces, {engine}", {"seconds": whole, "seconds_of_half": half, "seconds_between": whole - half})


if __name__ == "__main__":
    main()
