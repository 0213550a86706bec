"""The pipeline as users drive it, with DVC, in a checkout of its own."""

import re
from pathlib import Path

import pytest
import yaml

import mend_lock
import params
from contract import SPLITS
from tests.conftest import ROOT, STAGES, Workspace

RATE = params.load(ROOT / "params.yaml").train.lr


def ran(printed: str) -> list[str]:
    return re.findall(r"Running stage '(?:(?:sample|robustness)/dvc\.yaml:)?(\w+)'", printed)


def nothing_is_computed(workspace: Workspace, stages: list[str]) -> None:
    """These stages run, whose outputs are `persist: true` and so not in DVC's run cache; the clip store has all of them."""
    printed = workspace.program("dvc", "repro")
    assert sorted(ran(printed)) == sorted(stages)
    assert set(re.findall(r"^\w+: \d+ clips, (\d+) computed", printed, re.MULTILINE)) == {"0"}


def test_a_first_run_ends_with_metrics_predictions_and_a_report(sample_run: Workspace) -> None:
    for name in ("metrics/test.json", "data/predictions/test.csv", "data/plots/calibration.png", "report/index.html"):
        assert (sample_run.folder / name).stat().st_size > 100, name


def test_a_second_run_runs_nothing(sample_run: Workspace) -> None:
    printed = sample_run.program("dvc", "repro")
    assert ran(printed) == []
    assert "up to date" in printed


def test_a_lock_that_dvc_left_half_written_costs_nothing(sample_run: Workspace) -> None:
    locks = [sample_run.folder / name for name in ("dvc.lock", "sample/dvc.lock")]
    whole = [yaml.safe_load(lock.read_text()) for lock in locks]
    locks[0].write_text(locks[0].read_text().partition("size: ")[0] + "si")
    locks[1].write_text("")
    sample_run.program("dvc", "repro", fails=True)
    printed = sample_run.program("python", "mend_lock.py")
    assert all(f"{name} was broken" in printed for name in ("dvc.lock", "sample/dvc.lock"))
    nothing_is_computed(sample_run, [stage for stage in STAGES if stage not in ("manifest", "tune_text")])
    assert [yaml.safe_load(lock.read_text()) for lock in locks] == whole
    assert sample_run.program("python", "mend_lock.py") == ""


def test_a_lock_that_two_branches_changed_is_left_to_git(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n=======\n>>>>>>> other\n")
    assert mend_lock.main(tmp_path) == []
    assert (tmp_path / "dvc.lock").exists()


def test_the_commands_of_the_readme_work(sample_run: Workspace) -> None:
    assert "micro_f1" in sample_run.program("dvc", "metrics", "show")
    sample_run.program("dvc", "plots", "show")
    page = (sample_run.folder / "dvc_plots/index.html").read_text(encoding="utf-8")
    for plot in ("Cross-entropy by epoch", "Micro F1 by epoch", "precision_recall", "confusion", "calibration"):
        assert plot in page
    assert "evaluate" in sample_run.program("dvc", "dag")
    sample_run.set(**{"train.lr": RATE / 2})
    assert "train.lr" in sample_run.program("dvc", "params", "diff")
    sample_run.set(**{"train.lr": RATE})


def test_nothing_that_git_would_have_to_keep_is_left_over(sample_run: Workspace) -> None:
    """All that a run writes is either an output of DVC's, ignored, or meant to be committed."""
    names = {line[3:] for line in sample_run.program("git", "status", "--porcelain", "--untracked-files=all").splitlines()}
    allowed = re.compile(r"(dvc\.lock|(sample|robustness)/dvc\.lock|params\.yaml|metrics/\w+\.json|(\w+/)*\.gitignore)")
    assert {name for name in names if not allowed.fullmatch(name)} == set()


@pytest.mark.slow
def test_a_clone_gets_every_output_from_a_remote_and_nothing_is_in_the_way(sample_run: Workspace, tmp_path: Path) -> None:
    sample_run.program("dvc", "remote", "add", "--local", "disk", str(tmp_path / "remote"))
    sample_run.program("dvc", "push", "--remote", "disk")
    sample_run.program("git", "clone", "--quiet", ".", str(tmp_path / "clone"))
    clone = Workspace(tmp_path / "clone")
    for name in ("dvc.lock", "sample/dvc.lock", *(f"metrics/{split}.json" for split in SPLITS)):  # what git has of a run
        (clone.folder / name).write_bytes((sample_run.folder / name).read_bytes())
    assert "metrics/valid.json" in clone.program("dvc", "metrics", "show")
    clone.program("dvc", "remote", "add", "--default", "disk", str(tmp_path / "remote"))
    for command in (["pull"], ["checkout"], ["push"]):
        clone.program("dvc", *command)
    assert "data/tensors/summary.json" in clone.program("dvc", "metrics", "show")
    assert clone.bytes_of("tensors", "model") == sample_run.bytes_of("tensors", "model")
    assert ran(clone.program("dvc", "repro")) == []


@pytest.mark.slow
def test_a_parameter_of_training_runs_training_and_what_follows_alone(sample_run: Workspace) -> None:
    sample_run.set(**{"train.lr": RATE / 2})
    assert ran(sample_run.program("dvc", "repro")) == ["train", "evaluate", "predictor", "report"]
    assert "metrics/test.json" in sample_run.program("dvc", "metrics", "diff", "--all")
    sample_run.set(**{"train.lr": RATE})
    assert ran(sample_run.program("dvc", "repro")) == []  # DVC remembers the first run


@pytest.mark.slow
def test_the_frame_rate_runs_no_stage_of_sound_and_branches_keep_what_was_done(sample_run: Workspace) -> None:
    def commit(branch: str) -> None:
        for command in (["switch", "--quiet", "--create", branch], ["add", "--all"]):
            sample_run.program("git", *command)
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        sample_run.program("git", *identity, "commit", "--quiet", "--message", branch)

    commit("ten")
    before = sample_run.bytes_of(*STAGES, "tensors", "model")
    sample_run.set(**{"frames.rate": 5})
    expected = ["frames", "faces", "encode_vision", "align", "train", "evaluate", "predictor", "report"]
    assert ran(sample_run.program("dvc", "repro")) == expected
    commit("five")
    sample_run.set(**{"frames.rate": 10})
    nothing_is_computed(sample_run, ["frames", "faces", "encode_vision", "align"])
    for branch in ("five", "ten"):
        sample_run.program("git", "checkout", "--quiet", "--force", branch)
        sample_run.program("dvc", "checkout")
        assert ran(sample_run.program("dvc", "repro")) == []
    assert sample_run.bytes_of(*STAGES, "tensors", "model") == before


@pytest.mark.slow
def test_neither_dvc_nor_workers_nor_order_nor_an_empty_store_change_a_byte(
    sample_run: Workspace, elsewhere: Workspace
) -> None:
    outputs = ["sample", *STAGES, "tensors", "model", "predictions", "predictor"]
    assert elsewhere.bytes_of(*outputs) == sample_run.bytes_of(*outputs)
    for name in (f"metrics/{split}.json" for split in SPLITS):
        assert (elsewhere.folder / name).read_bytes() == (sample_run.folder / name).read_bytes()
