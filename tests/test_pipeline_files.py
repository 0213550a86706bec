"""dvc.yaml, the constraints and the package say what the code does."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from preprocess.run import sources
from tests.conftest import ROOT

FILES = ("dvc.yaml", "sample/dvc.yaml", "preprocess/packs/dvc.yaml", "robustness/dvc.yaml")
PIPELINES = {name: yaml.safe_load((ROOT / name).read_text(encoding="utf-8")) for name in FILES}
STAGES = {name: stage.get("do", stage) for pipeline in PIPELINES.values() for name, stage in pipeline["stages"].items()}


def module_of(command: str) -> str:
    """The module that a stage's command runs: `python -m preprocess frames`, `python -m lddu train`."""
    package, stage = re.fullmatch(r"python -m ([\w.]+)(?: (\w+))?(?: \$\{key\})?", command).groups(default="")
    return ".".join(filter(None, [package, "stages" if package == "preprocess" else "", stage]))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_every_source_file_that_it_rests_on(name: str) -> None:
    files = [sources.file_of(module).relative_to(ROOT) for module in sources.modules(module_of(STAGES[name]["cmd"]))]
    deps = {Path(path) for path in STAGES[name]["deps"] if "$" not in path}
    uncovered = [str(path) for path in files if not deps.intersection([path, *path.parents])]
    code = {path for path in deps if path.parts[0] in sources.PACKAGES}
    needless = [str(dep) for dep in code if not any(dep in (path, *path.parents) for path in files)]
    assert (uncovered, needless) == ([], [])
    assert Path("constraints.txt") in deps


def test_dvc_yaml_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "dvc.yaml").read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("name", FILES)
def test_no_pipeline_depends_on_its_own_lock(name: str) -> None:
    """DVC writes the lock beside the pipeline's file: in a folder that a stage depends on, it would start that stage again."""
    folder = Path(name).parent
    deps = [Path(path) for stage in PIPELINES[name]["stages"].values() for path in stage.get("do", stage)["deps"]]
    assert not [dep for dep in deps if folder.is_relative_to(dep) and folder != Path()]


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
    named = {name for text in texts for name in re.findall(r'"(preprocess\.\w+\.\w+)"', text)}
    assert {"preprocess.face.finder", "preprocess.encoders.transcription"} <= named
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
