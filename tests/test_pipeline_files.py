"""dvc.yaml, the constraints and the package say what the code does."""

import re
import subprocess
import sys

import pytest
import yaml

from preprocess.run import sources
from tests.conftest import ROOT

FILES = ("dvc.yaml", "sample/dvc.yaml", "preprocess/packs/dvc.yaml")
PIPELINES = {name: yaml.safe_load((ROOT / name).read_text(encoding="utf-8")) for name in FILES}
STAGES = {name: stage for pipeline in PIPELINES.values() for name, stage in pipeline["stages"].items()}


def module_of(command: str) -> str:
    """The module that a stage's command runs: `python -m preprocess frames`, `python -m lddu train`."""
    package, stage = re.fullmatch(r"python -m ([\w.]+)(?: (\w+))?", command).groups(default="")
    return ".".join(filter(None, [package, "stages" if package == "preprocess" else "", stage]))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_every_source_file_that_it_rests_on(name: str) -> None:
    files = {str(sources.file_of(module).relative_to(ROOT)) for module in sources.modules(module_of(STAGES[name]["cmd"]))}
    assert files | {"constraints.txt"} == {path for path in STAGES[name]["deps"] if path.endswith((".py", "constraints.txt"))}


def test_stages_import_nothing_that_only_workers_need() -> None:
    """A stage that has nothing to do, as in most runs, would wait for it."""
    modules = [module_of(stage["cmd"]) for stage in STAGES.values() if stage["cmd"].startswith("python -m preprocess ")]
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"torch", "transformers", "mediapipe", "cv2", "scipy", "pocketsphinx"}.intersection(loaded)


def test_modules_that_stages_name_for_their_workers_are_there() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "preprocess").rglob("*.py")]
    named = {name for text in texts for name in re.findall(r'"(preprocess\.[\w.]+)"', text)}
    assert {"preprocess.face.landmarks", "preprocess.encoders.whisper"} <= named
    assert all(sources.file_of(name).is_file() for name in named)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_says_what_it_does(name: str) -> None:
    assert len(STAGES[name]["desc"]) > 20


def test_no_stage_depends_on_how_the_work_is_done() -> None:
    assert not {key for stage in STAGES.values() for key in stage.get("params", []) if key.split(".")[0] == "run"}


def test_every_dependency_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = project["dependencies"] + [name for extra in project["optional-dependencies"].values() for name in extra]
    pins = {normal(line.split("==")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert {normal(name) for name in asked} <= pins


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_dvc_calls_nobody() -> None:
    text = (ROOT / ".dvc/config").read_text()
    assert "analytics = false" in text
    assert "check_update = false" in text


def test_training_is_not_given_the_known_noise() -> None:
    given = {path for path in STAGES["train"]["deps"] if path.startswith("${tensors}")}
    assert given == {f"${{tensors}}/{name}" for name in TRAINING_FILES}


TRAINING_FILES = ("train.safetensors", "train.csv", "valid.safetensors", "valid.csv", "statistics.safetensors")
