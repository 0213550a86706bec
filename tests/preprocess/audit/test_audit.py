"""The audit of real clips, in which there are faults."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import faults
from benchmarks.audit import CHECKS, STAGES, accused
from benchmarks.faults import Fault
from preprocess.audit import page
from preprocess.audit.findings import FAULT, Check, Finding
from preprocess.corpora import correct
from preprocess.corpus import Clip
from tests.conftest import Workspace

KINDS = (
    faults.shifted_times,
    faults.text_of_neighbour,
    faults.cut_words,
    faults.clipped,
    faults.silent,
    faults.broken_sound,
    faults.copied,
    faults.other_length,
)


@pytest.fixture(scope="module")
def audited(sample_run: Workspace, make_workspace: Callable[..., Workspace]) -> tuple[Workspace, list[Fault]]:
    """The shared run's corpus with a fault of each kind that can be known in so few clips, and its audit."""
    made = make_workspace(**{"corpus.max_refused": 1.0})
    shutil.copytree(sample_run.folder / ".store", made.folder / ".store", copy_function=os.link)
    put = faults.put(sample_run.folder / "data/sample", made.folder / "data/sample", seed=5, each=1, kinds=KINDS)
    made.stages(*STAGES, "audit")
    return made, put


@pytest.mark.slow
def test_faults_are_found_and_named(audited: tuple[Workspace, list[Fault]]) -> None:
    made, put = audited
    found = accused(made.folder)
    named = [fault.kind for fault in put if any(found.get(name, set()) & CHECKS[fault.kind] for name in fault.clip_ids)]
    assert len(named) >= len(put) - 1, sorted({fault.kind for fault in put} - set(named))


@pytest.mark.slow
def test_clips_without_a_fault_are_not_accused(audited: tuple[Workspace, list[Fault]]) -> None:
    made, put = audited
    assert len(set(accused(made.folder)) - {name for fault in put for name in fault.clip_ids}) <= 1


@pytest.mark.slow
def test_corrections_are_taken_into_the_table(audited: tuple[Workspace, list[Fault]]) -> None:
    made, _ = audited
    labels = list(faults.LABELS)
    table = correct.read_table(made.folder / "data/sample", labels)
    taken, refused = correct.apply(correct.read(made.folder / "report/corrections.csv"), table, labels)
    assert taken
    assert refused == []


@pytest.mark.slow
def test_a_second_audit_computes_nothing_and_says_the_same(audited: tuple[Workspace, list[Fault]]) -> None:
    made, _ = audited
    first = (made.folder / "report/audit.csv").read_bytes()
    assert " 0 computed" in made.run("preprocess", "audit")
    assert (made.folder / "report/audit.csv").read_bytes() == first


@pytest.mark.slow
def test_an_audit_of_another_table_than_the_stages_had_is_refused(audited: tuple[Workspace, list[Fault]]) -> None:
    made, _ = audited
    table = made.folder / "data/sample/clips.csv"
    before = table.read_text(encoding="utf-8")
    table.write_text(before.replace(",,,,", ",,,other words,", 1), encoding="utf-8")
    try:
        assert "run `dvc repro align` first" in made.run("preprocess", "audit", fails=True)
    finally:
        table.write_text(before, encoding="utf-8")


def test_nothing_of_a_table_is_markup_on_the_page(tmp_path: Path) -> None:
    clip = Clip("a", 'films/"><script>x.mp4', text="<script>alert('1')</script>")
    page.write(tmp_path / "p.html", [Finding("a", Check.TEXT, FAULT, "<b>", "&")], [clip], tmp_path)
    shown = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<script" not in shown
    assert "<b>" not in shown
