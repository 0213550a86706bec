"""How fast each stage takes clips, and how that compares with the bare cost of the same work (benchmarks/bare.py).

`python -m benchmarks.stages` takes clips of the corpus that params.yaml names through the stages with empty stores: half of
them and all of them, with one worker and with two. What the other half costs more is the cost of clips; the rest is start-up.
Seconds of processor time hold on a busy machine too; wall time, and what the second worker gains, on an idle one alone.

For so many clips: `media` is how long they are; `start` and `cpu` the processor time of two workers; `bare` that of the same
work alone, and `decoding` that of ffmpeg when it decodes to nowhere, without choosing, scaling and compressing pictures.
`gain` is how many times faster two workers are than one; `cpu/bare` and `wall/bare` leave the start out, `all/bare` has the
part of it that falls to so many clips of the whole corpus.
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
from preprocess.run.work import THREADS

RESULTS = Path("logs/benchmarks/stages.json")
STAGES = ["frames", "audio", "faces", "transcripts", "tune_text", "encode_text", "encode_audio", "encode_vision"]
WORKERS = (1, 2)
PR_SET_CHILD_SUBREAPER = 36  # of prctl(2)
BUSY = 1.15  # seconds of wall time for one of work above which one worker was kept waiting


def prepare(folder: Path, corpus: Path, rows: list[dict[str, str]]) -> None:
    """A workspace with some clips of the corpus, whose networks are linked to."""
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


def program(folder: Path, *command: str, given: str = "") -> str:
    """Run a Python program in a folder, one thread a process; what it printed."""
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())} | dict.fromkeys(THREADS, "1")
    environment.pop("DVC_ROOT", None)
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, input=given, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def run(folder: Path, stage: str) -> Spent:
    """What a stage takes, its workers and decoders included, which come to this process when their own parents are gone."""
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
    """The bare cost of these clips, and of decoding them alone where the stage decodes."""
    printed = program(folder, "-c", "from benchmarks import bare; bare.main()", stage, given="\n".join(clip_ids))
    return [Spent(**spent) for spent in json.loads(printed.splitlines()[-1])]


def ratios(row: dict[str, float], share: float) -> dict[str, float]:
    """What the sums say; so large a `share` of the corpus was measured."""
    return {
        "x real": row["media"] / row["wall two"],
        "gain": row["wall one"] / row["wall two"],
        "cpu/bare": row["cpu"] / row["bare"],
        "all/bare": (row["cpu"] + share * row["start"]) / row["bare"],
        "wall/bare": 2 * row["wall two"] / row["wall bare"],
    }


def show(name: str, row: dict[str, float], earlier: dict[str, float]) -> None:
    before = f"   all/bare was {earlier['all/bare']:.2f}" if earlier else ""
    print(f"{name:14}" + "".join(f"{value:10.2f}" for value in row.values()) + before, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages", description=__doc__)
    parser.add_argument("--clips", type=int, default=96)
    asked = parser.parse_args().clips
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    corpus = Path(params.load().corpus.root)
    with (corpus / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["media"]]
    chosen = rows[: asked // 2 * 2]
    others = [row["clip_id"] for row in chosen[1::2]]
    earlier = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    found: dict[str, dict[str, float]] = {}
    with TemporaryDirectory() as made:
        half, whole = Path(made) / "half", Path(made) / "whole"
        for folder, part in ((half, chosen[::2]), (whole, chosen)):
            prepare(folder, corpus, part)
            set_run(folder, 1)
            program(folder, "-m", "preprocess", "manifest")
        with (whole / "data/manifest/media.csv").open(encoding="utf-8", newline="") as file:
            spans = {row["clip_id"]: float(row["end"]) - float(row["start"]) for row in csv.DictReader(file)}
        media, share = sum(spans.get(clip_id, 0.0) for clip_id in others), len(others) / len(rows)
        print(f"{len(others)} of {len(rows)} clips, {media:.0f} s of media, after as many others")
        for stage in STAGES:
            taken: dict[int, tuple[Spent, Spent]] = {}
            for workers in WORKERS:
                for folder in (half, whole):
                    set_run(folder, workers)
                taken[workers] = run(half, stage), run(whole, stage)
            if stage not in WORK:
                continue
            alone, *decoding = bare(whole, stage, others)
            one, two = (taken[workers][1] - taken[workers][0] for workers in WORKERS)
            row = {"media": media, "start": taken[2][0].cpu - two.cpu, "cpu": two.cpu, "bare": alone.cpu}
            row["decoding"] = decoding[0].cpu if decoding else 0.0
            row |= {"wall one": one.wall, "wall two": two.wall, "wall bare": alone.wall, "cpu one": one.cpu}
            found[stage] = row | ratios(row, share)
            if len(found) == 1:
                print(f"{'':14}" + "".join(f"{name:>10}" for name in found[stage]))
            show(stage, found[stage], earlier.get(stage, {}))
    sums = {key: sum(row[key] for row in found.values()) for key in row} | {"media": media}
    found["all"] = sums | ratios(sums, share)
    show("all", found["all"], earlier.get("all", {}))
    waited = sums["wall one"] / sums["cpu one"]
    if waited > BUSY:
        print(f"The machine was busy: a second of work took one worker {waited:.1f} s, so that wall times mean nothing.")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {len(others)} clips"
    RESULTS.write_text(json.dumps({"machine": machine, **found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
