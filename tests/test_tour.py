"""docs/tour.ipynb runs on what `make repro` leaves."""

import json
import re

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT, Workspace

TOUR = ROOT / "docs" / "tour.ipynb"


def test_the_tour_is_kept_without_outputs() -> None:
    cells = json.loads(TOUR.read_text(encoding="utf-8"))["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.slow
def test_the_tour_runs_on_a_finished_run(sample_run: Workspace) -> None:
    notebook = nbformat.read(TOUR, as_version=4)
    place = {"metadata": {"path": str(sample_run.folder / "docs")}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    shown = "".join(output.get("text", "") for output in outputs)
    assert " s, from " in shown
    assert "happy" in shown
    tiers = re.findall(r"^(\w+) +\S.*\(\d\.\d\d to \d\.\d\d s\)", shown, re.M)
    assert {"text", "words", "confidence", "happy"} <= set(tiers)
