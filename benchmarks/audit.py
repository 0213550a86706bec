"""How many faults in the sample corpus the audit finds, and how many clips without one it accuses.

    python -m benchmarks.audit            # four faults of each of ten kinds in all clips of data/sample
    python -m benchmarks.audit --each 2 --clips 150 --seed 3

It puts faults into a copy of the sample corpus (benchmarks/faults.py), runs the stages on it with the store of this checkout,
so that only changed clips are computed, and then `python -m preprocess audit`.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from benchmarks import faults
from benchmarks.faults import Fault
from benchmarks.records import Record

FOLDER = Path("logs/benchmarks/audit")
STAGES = (
    "manifest", "frames", "audio", "faces", "transcripts", "tune_text", "encode_text", "encode_audio", "encode_vision", "align",
)  # fmt: skip
TIMES = ("start", "end")
CHECKS = {  # of each kind of fault, what the audit should call it
    "shifted_times": {"times"},
    "text_of_neighbour": {"text"},
    "cut_words": {"times", "cut_words"},
    "clipped": {"clipped"},
    "silent": {"silent"},
    "broken_sound": {"gap"},
    "copied": {"same"},
    "other_length": {"lengths", "gap"},
    "flipped_labels": {"labels"},
    "wrong_face": {"face"},
}


def prepare(folder: Path, store: Path, models: Path) -> None:
    """Parameters and networks of this checkout, in a folder of its own."""
    editor = YAML()
    editor.width = 4096
    settings = editor.load(Path("params.yaml"))
    settings["run"]["store"] = str(store.resolve())
    editor.dump(settings, folder / "params.yaml")
    (folder / "data/models").symlink_to(models.resolve())


def accused(folder: Path) -> dict[str, set[str]]:
    """The checks that found a fault, by clip."""
    found: dict[str, set[str]] = {}
    with (folder / "report/audit.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["level"] == "fault":
                found.setdefault(row["clip_id"], set()).add(row["check"])
    return found


def compare(put: list[Fault], found: dict[str, set[str]], clips: int) -> dict[str, dict[str, float]]:
    """Counts by kind of fault: how many there are, are found, and are called what they are; and of clips without a fault."""
    results: dict[str, dict[str, float]] = {}
    for fault in put:
        checks = set[str]().union(*(found.get(clip_id, set()) for clip_id in fault.clip_ids))
        counts = results.setdefault(fault.kind, {"faults": 0, "found": 0, "named": 0})
        counts["faults"] += 1
        counts["found"] += bool(checks)
        counts["named"] += bool(checks & CHECKS[fault.kind])
    faulty = {clip_id for fault in put for clip_id in fault.clip_ids}
    wrong = sorted(set(found) - faulty)
    total = {key: sum(counts[key] for counts in results.values()) for key in ("faults", "found", "named")}
    results["all"] = total | {"others": clips - len(faulty), "accused": len(wrong), "share": len(wrong) / (clips - len(faulty))}
    print("wrongly accused:", ", ".join(f"{name} ({'/'.join(sorted(found[name]))})" for name in wrong) or "none")
    print("by check:", dict(Counter(check for name in wrong for check in found[name])))
    missed = [fault for fault in put if not any(clip_id in found for clip_id in fault.clip_ids)]
    print("missed:", ", ".join(f"{fault.clip_ids[0]} ({fault.kind})" for fault in missed) or "none")
    return results


def proposed_times(folder: Path, put: list[Fault]) -> dict[str, float]:
    """By how many seconds starts and ends of shifted clips are off, before and after their proposals, where there are some."""
    cells: dict[tuple[str, str], float] = {}
    with (folder / "report/corrections.csv").open(encoding="utf-8", newline="") as file:
        cells = {(row["clip_id"], row["column"]): float(row["new"]) for row in csv.DictReader(file) if row["column"] in TIMES}
    with (folder / "data/sample/clips.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["clip_id"]: row for row in csv.DictReader(file)}
    before, after = list[float](), list[float]()
    for clip_id, span in ((fault.clip_ids[0], fault.span) for fault in put if fault.span):
        now = [float(rows[clip_id][column]) for column in TIMES]
        new = [cells.get((clip_id, column), value) for column, value in zip(TIMES, now, strict=True)]
        if new != now:
            before += [abs(value - right) for value, right in zip(now, span, strict=True)]
            after += [abs(value - right) for value, right in zip(new, span, strict=True)]
    return {"cells": len(after), "off_before": float(np.mean(before or [0])), "off_after": float(np.mean(after or [0]))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=4, help="faults of each kind")
    parser.add_argument("--clips", type=int, default=0, help="clips of the corpus, its first ones; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="of the places; the limits were chosen with seeds 100 and above")
    parser.add_argument("--data", type=Path, default=Path("data"), help="of the finished run of the sample corpus")
    parser.add_argument("--store", type=Path, default=Path(".store"), help="of that run")
    arguments = parser.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    put = faults.put(arguments.data / "sample", FOLDER / "data/sample", arguments.seed, arguments.each, arguments.clips)
    prepare(FOLDER, arguments.store, arguments.data / "models")
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    seconds = {}
    for name in (*STAGES, "audit", "audit"):
        begin = time.monotonic()
        subprocess.run([sys.executable, "-m", "preprocess", name], cwd=FOLDER, env=environment, check=True)
        seconds["audit_again" if name in seconds else name] = time.monotonic() - begin
    with (FOLDER / "data/sample/clips.csv").open(encoding="utf-8", newline="") as file:
        clips = sum(1 for _ in csv.DictReader(file))
    record = Record("audit", f"{arguments.each} faults of each kind in {clips} clips, seed {arguments.seed}")
    for case, figures in compare(put, accused(FOLDER), clips).items():
        record.add(case, figures)
    record.add("times", proposed_times(FOLDER, put))
    record.add("seconds", {name: seconds[name] for name in ("audit", "audit_again")})
    record.write()


if __name__ == "__main__":
    main()
