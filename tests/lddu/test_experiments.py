"""The table of experiments: a row a run, the parameters that differ, and the scores on valid of runs that have them."""

import re

import pytest
from rich.console import Console

from lddu import experiments
from tests.conftest import Workspace


def revision(name: str | None, lr: float, f1: float | None, rev: str = "0123456789abcdef") -> dict:
    """What `dvc exp show --json` says of a commit or an experiment; without scores where `f1` is None."""
    scores = {"metrics/valid.json": {"data": {"micro_f1": f1, "bce": 0.4, "per_label": {"happy": {"f1": 0.5}}}}}
    params = {"params.yaml": {"data": {"corpus": {"labels": ["happy"]}, "train": {"lr": lr, "seed": 42}}}}
    return {"rev": rev, "name": name, "data": {"params": params, "metrics": {} if f1 is None else scores}}


def experiment(name: str, lr: float, f1: float | None, state: str) -> dict:
    return {"revs": [revision(name, lr, f1)], "executor": {"state": state}}


def shown(workspace_lr: float = 0.1) -> list[dict]:
    tried = [
        experiment("high", 0.3, 0.7, "success"),
        experiment("low", 0.2, 0.6, "success"),
        experiment("later", 0.4, None, "queued"),
        experiment("broken", 0.5, 0.5, "failed"),  # DVC gives it the commit's scores
    ]
    workspace = revision(None, workspace_lr, 0.5, rev="workspace") | {"experiments": None}
    return [workspace, revision("main", 0.1, 0.5) | {"experiments": tried}]


def lines(runs: list[experiments.Run]) -> list[list[str]]:
    """The cells of each row of the table as it is printed."""
    console = Console(width=200)
    with console.capture() as printed:
        console.print(experiments.table(runs))
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.get().splitlines() if "│" in line]


def test_a_run_is_a_row_with_the_parameters_that_differ_and_its_scores() -> None:
    runs = experiments.runs(shown())
    assert experiments.changed(runs) == ["train.lr"]
    assert lines(runs)[:3] == [
        ["main", "0.1", "0.5000", "", "0.4000"],
        ["low", "0.2", "0.6000", "", "0.4000"],
        ["high", "0.3", "0.7000", "", "0.4000"],
    ]


def test_an_experiment_that_did_not_end_shows_its_state_and_no_scores() -> None:
    assert lines(experiments.runs(shown()))[3:] == [["later", "0.4", "queued", "", ""], ["broken", "0.5", "failed", "", ""]]


def test_the_files_as_they_are_have_a_row_only_where_they_differ_from_the_commit() -> None:
    assert experiments.runs(shown(workspace_lr=0.9))[0].name == "workspace"
    assert "workspace" not in [run.name for run in experiments.runs(shown())]


def test_a_number_is_the_same_however_it_is_written() -> None:
    runs = [experiments.Run("a", {"lr": 0}, {}, ""), experiments.Run("b", {"lr": 0.0}, {}, "")]
    assert experiments.changed(runs) == []


def rows(printed: str) -> list[dict[str, str]]:
    """The rows of the table at the end of what was printed, by the heads of the columns."""
    head = [cell.strip() for cell in next(line for line in printed.splitlines() if "┃ run" in line).split("┃")[1:-1]]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if line.startswith("│")]
    return [dict(zip(head, row, strict=True)) for row in cells]


@pytest.mark.slow
def test_make_ablation_ends_in_a_table_with_the_scores_of_each_run(sample_run: Workspace) -> None:
    """Of a parameter that needs no training again."""
    printed = sample_run.program("make", "--assume-old=install", "ablation", "ABLATION=evaluate.threshold_step=0.01,0.02")
    scores = {row["evaluate.threshold_step"]: [row[head] for head in experiments.SCORES.values()] for row in rows(printed)}
    assert scores.keys() == {"0.01", "0.02"}
    assert all(re.fullmatch(r"\d\.\d{4}", score) for values in scores.values() for score in values)
    assert "evaluate.threshold_step" in sample_run.program("dvc", "exp", "show", "--csv")
