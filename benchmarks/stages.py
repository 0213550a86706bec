"""How fast each stage is, and how its cost compares with that of its bare work (benchmarks/bare.py).

`python -m benchmarks.stages` runs the stages with empty stores on clips of the corpus that params.yaml names: on half of the
clips and on all of them, with one worker and with two. The difference between all and half is the cost of the other half;
what remains is the start of the stage. Processor time can be trusted on a busy machine too; wall time and `gain` only on an
idle one.

The columns, all for the other half of the clips, in seconds:
  media               how long the clips are
  start, cpu          processor time of the stage's start and of its work, with two workers
  bare                processor time of the bare work
  decoding            the same of ffmpeg when it only decodes, without choosing, scaling and compressing pictures
  wall one, wall two  wall time with one worker and with two; `wall bare` of the bare work, `cpu one` processor time with one
And without a unit:
  x real              seconds of media in a second of wall time, with two workers
  gain                how many times faster two workers are than one
  cpu/bare, wall/bare  the stage's time over that of the bare work, without the start
  all/bare            the same with the share of the start that falls to these clips when the whole corpus is run
"""

import argparse
import csv
import ctypes
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from ruamel.yaml import YAML

import params
from benchmarks.bare import WORK, Spent
from preprocess.run.engine import THREADS

RESULTS = Path("logs/benchmarks/stages.json")
STAGES = ["frames", "audio", "faces", "transcripts", "tune_text", "encode_text", "encode_audio", "encode_vision"]
WORKERS = (1, 2)
PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)
BUSY = 1.15  # wall time of one worker over its processor time above which the machine was doing other work


def prepare(folder: Path, corpus: Path, rows: list[dict[str, str]]) -> None:
    """Make a workspace with some clips of the corpus, and a link to the networks of this checkout."""
    films = folder / "films"
    for row in rows:
        (films / row["media"]).parent.mkdir(parents=True, exist_ok=True)
        (films / row["media"]).write_bytes((corpus / row["media"]).read_bytes())
    with (films / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    (folder / "data").mkdir()
    (folder / "data" / "models").symlink_to(Path("data/models").resolve())


def set_run(folder: Path, workers: int) -> None:
    editor = YAML()
    tree = editor.load(Path("params.yaml"))
    tree["corpus"]["root"] = "films"
    tree["run"].update(workers=workers, store=f"store{workers}", device="cpu")
    editor.dump(tree, folder / "params.yaml")


def program(folder: Path, *command: str, stdin: str = "") -> str:
    """Run a Python program in a folder, with one thread for each process; returns what it printed."""
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())} | dict.fromkeys(THREADS, "1")
    environment.pop("DVC_ROOT", None)
    process = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, input=stdin, capture_output=True, text=True, check=False
    )
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{process.stdout}{process.stderr}")
    return process.stdout


def run(folder: Path, stage: str) -> Spent:
    """The time of a stage with its workers and decoders.

    Where their parents have ended, they become children of this process (PR_SET_CHILD_SUBREAPER), which waits for them.
    """
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    program(folder, "-m", "preprocess", stage)
    wall = time.perf_counter() - wall
    try:
        while True:
            os.wait()
    except ChildProcessError:
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def bare(folder: Path, stage: str, clip_ids: list[str]) -> list[Spent]:
    """The cost of the bare work on these clips; where the stage decodes, of decoding alone too."""
    printed = program(folder, "-c", "from benchmarks import bare; bare.main()", stage, stdin="\n".join(clip_ids))
    return [Spent(**spent) for spent in json.loads(printed.splitlines()[-1])]


def ratios(row: dict[str, float], share: float) -> dict[str, float]:
    """The columns without a unit; `share` is the measured clips' share of the corpus."""
    return {
        "x real": row["media"] / row["wall two"],
        "gain": row["wall one"] / row["wall two"],
        "cpu/bare": row["cpu"] / row["bare"],
        "all/bare": (row["cpu"] + share * row["start"]) / row["bare"],
        "wall/bare": 2 * row["wall two"] / row["wall bare"],
    }


def show(name: str, row: dict[str, float], earlier: dict[str, float]) -> None:
    comparison = f"   all/bare was {earlier['all/bare']:.2f}" if earlier else ""
    print(f"{name:14}" + "".join(f"{value:10.2f}" for value in row.values()) + comparison, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("--clips", type=int, default=96)
    count = parser.parse_args().clips
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    corpus = Path(params.load().corpus.root)
    with (corpus / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["media"]]
    chosen = rows[: count // 2 * 2]
    others = [row["clip_id"] for row in chosen[1::2]]
    earlier = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    results: dict[str, dict[str, float]] = {}
    with TemporaryDirectory() as temporary:
        half, whole = Path(temporary) / "half", Path(temporary) / "whole"
        for folder, clips in ((half, chosen[::2]), (whole, chosen)):
            prepare(folder, corpus, clips)
            set_run(folder, 1)
            program(folder, "-m", "preprocess", "manifest")
        with (whole / "data/manifest/media.csv").open(encoding="utf-8", newline="") as file:
            spans = {row["clip_id"]: float(row["end"]) - float(row["start"]) for row in csv.DictReader(file)}
        media, share = sum(spans.get(clip_id, 0.0) for clip_id in others), len(others) / len(rows)
        print(f"{len(others)} of {len(rows)} clips, {media:.0f} s of media, after as many others")
        for stage in STAGES:
            spent: dict[int, tuple[Spent, Spent]] = {}
            for workers in WORKERS:
                for folder in (half, whole):
                    set_run(folder, workers)
                spent[workers] = run(half, stage), run(whole, stage)
            if stage not in WORK:
                continue
            alone, *decoding = bare(whole, stage, others)
            one, two = (spent[workers][1] - spent[workers][0] for workers in WORKERS)
            row = {"media": media, "start": spent[2][0].cpu - two.cpu, "cpu": two.cpu, "bare": alone.cpu}
            row["decoding"] = decoding[0].cpu if decoding else 0.0
            row |= {"wall one": one.wall, "wall two": two.wall, "wall bare": alone.wall, "cpu one": one.cpu}
            results[stage] = row | ratios(row, share)
            if len(results) == 1:
                print(f"{'':14}" + "".join(f"{name:>10}" for name in results[stage]))
            show(stage, results[stage], earlier.get(stage, {}))
    sums = {key: sum(row[key] for row in results.values()) for key in row} | {"media": media}
    results["all"] = sums | ratios(sums, share)
    show("all", results["all"], earlier.get("all", {}))
    waited = sums["wall one"] / sums["cpu one"]
    if waited > BUSY:
        print(f"The machine was busy: a second of work took one worker {waited:.1f} s, so that wall times mean nothing.")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {len(others)} clips"
    RESULTS.write_text(json.dumps({"machine": machine, **results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
