"""DVC's experiments as a table: one row a run, with the parameters that differ between runs and the scores on valid.

`python -m lddu.experiments` shows the experiments of the last commit, `--commits 3` those of the last three.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

SCORES = {"micro_f1": "micro F1", "micro_ap": "micro AP", "bce": "BCE"}  # keys of metrics/valid.json, heads of columns
DONE = "success"  # DVC's state of an experiment that ran to its end
PLACES = 4  # decimals of a score
WIDTH = 200  # characters of a line where the output is a file or a pipe


@dataclass(frozen=True)
class Run:
    """A state of the project: the files as they are, a commit, or an experiment."""

    name: str
    parameters: dict[str, Any]  # by their name in params.yaml, as train.lr
    scores: dict[str, float]  # of valid, by SCORES; empty where the run has none
    state: str  # shown where it has none: queued, running, failed


def show(commits: int) -> list[dict[str, Any]]:
    """What `dvc exp show` knows of the last commits; CalledProcessError where it fails."""
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json", "--num", str(commits)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def runs(shown: list[dict[str, Any]]) -> list[Run]:
    """The files as they are where they differ from the last commit, then each commit with its experiments."""
    now, *commits = shown
    found = [run for commit in commits for run in (_run(commit), *_experiments(commit))]
    workspace = _run(now)
    same = (workspace.parameters, workspace.scores) == (found[0].parameters, found[0].scores)
    return found if same else [workspace, *found]


def _experiments(commit: dict[str, Any]) -> list[Run]:
    """In order of their parameters."""
    experiments = [_run(item["revs"][0], item["executor"]) for item in commit["experiments"] or []]
    return sorted(experiments, key=lambda run: (json.dumps(run.parameters, sort_keys=True), run.name))


def _run(revision: dict[str, Any], executor: dict[str, Any] | None = None) -> Run:
    data = revision["data"] or {}
    name = revision["name"] or (revision["rev"] if revision["rev"] == "workspace" else revision["rev"][:7])
    parameters = dict(_leaves(_content(data, "params", "params.yaml")))
    state = (executor or {}).get("state", DONE)
    # DVC shows the commit's metrics for an experiment that failed before it wrote its own.
    metrics = _content(data, "metrics", "metrics/valid.json") if state == DONE else {}
    scores = {key: metrics[key] for key in SCORES if key in metrics}
    return Run(name, parameters, scores, "no scores" if state == DONE else state)


def _content(data: dict[str, Any], kind: str, file: str) -> dict[str, Any]:
    """What DVC read of a file of parameters or metrics; empty where it could not."""
    return (data.get(kind) or {}).get(file, {}).get("data") or {}


def _leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of every single parameter, as ("train.lr", 0.0005)."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def changed(runs: list[Run]) -> list[str]:
    """Names of the parameters that do not have one value in all runs."""
    names = dict.fromkeys(name for run in runs for name in run.parameters)
    return [name for name in names if any(run.parameters.get(name) != runs[0].parameters.get(name) for run in runs)]


def table(runs: list[Run]) -> Table:
    names = changed(runs)
    drawn = Table("run", *names, title="scores on valid")
    for head in SCORES.values():
        drawn.add_column(head, justify="right")
    for run in runs:
        values = [str(run.parameters.get(name, "")).removesuffix(".0") for name in names]
        scores = [f"{run.scores[key]:.{PLACES}f}" if key in run.scores else "" for key in SCORES]
        drawn.add_row(run.name, *values, *(scores if run.scores else [run.state]))
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lddu.experiments", description=__doc__)
    parser.add_argument("--commits", type=int, default=1, metavar="N", help="show the experiments of the last N commits")
    asked = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(table(runs(show(asked.commits))))


if __name__ == "__main__":
    main()
