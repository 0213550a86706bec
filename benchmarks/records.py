"""The results of a benchmark, written to logs/benchmarks and compared with those of the run before."""

import json
import os
import platform
from pathlib import Path

FOLDER = Path("logs/benchmarks")

Figures = dict[str, float]


class Record:
    """The results of a benchmark, case by case: a case is printed when it is added, and `write` saves all of them."""

    def __init__(self, name: str, settings: str) -> None:
        self.path = FOLDER / f"{name}.json"
        self.earlier = json.loads(self.path.read_text()) if self.path.is_file() else {}
        self.results: dict[str, object] = {
            "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {settings}"
        }

    def add(self, case: str, figures: Figures) -> None:
        self.results[case] = figures
        print(case)
        for key, value in figures.items():
            earlier = self.earlier.get(case, {}).get(key)
            comparison = f"   {value / earlier:5.2f} times the earlier {earlier:.4f}" if earlier else ""
            print(f"  {key:24} {value:12.4f}{comparison}", flush=True)

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.results, indent=2) + "\n")
