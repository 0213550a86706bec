"""What native libraries read when they are loaded is set by every command, in time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, set_params

LIBRARIES = ("OMP_WAIT_POLICY", "CUBLAS_WORKSPACE_CONFIG")


def environment(**values: str) -> dict[str, str]:
    """That of a user's shell, in which none of this is set."""
    return {name: x for name, x in os.environ.items() if name not in LIBRARIES} | {"PYTHONPATH": str(ROOT)} | values


@pytest.mark.slow
@pytest.mark.parametrize("command", [["preprocess", "tune_text"], ["lddu", "train"]])
def test_threads_of_a_command_sleep_while_they_wait(tmp_path: Path, command: list[str]) -> None:
    """OpenMP prints its settings when torch loads it; then the command ends, since there are no data."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    set_params(tmp_path / "params.yaml", **{"tune.text.epochs": 1})
    (tmp_path / "data/models/text").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env=environment(OMP_DISPLAY_ENV="VERBOSE"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "GOMP_SPINCOUNT = '0'" in done.stderr  # times that a thread looks in vain before it sleeps


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="the tests run in one process")
def test_of_several_processes_one_has_all_tests_of_a_file(request: pytest.FixtureRequest) -> None:
    """Otherwise each would make the shared run of the sample for itself."""
    assert request.node.nodeid.rpartition("@")[2] == str(request.path)
