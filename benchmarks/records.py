"""What a benchmark measured, written to logs/benchmarks, each number beside that of the last run."""

import json
import os
import platform
from pathlib import Path

FOLDER = Path("logs/benchmarks")

Figures = dict[str, float]


class Record:
    """The results of a benchmark, case by case; a case is printed and kept as soon as it is known."""

    def __init__(self, name: str, how: str) -> None:
        self.path = FOLDER / f"{name}.json"
        self.earlier = json.loads(self.path.read_text()) if self.path.is_file() else {}
        self.results: dict[str, object] = {
            "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {how}"
        }

    def add(self, case: str, figures: Figures) -> None:
        self.results[case] = figures
        print(case)
        for key, value in figures.items():
            before = self.earlier.get(case, {}).get(key)
            beside = f"   {value / before:5.2f} times the earlier {before:.4f}" if before else ""
            print(f"  {key:24} {value:12.4f}{beside}", flush=True)

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.results, indent=2) + "\n")
