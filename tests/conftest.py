"""What the tests share: real networks, a small sample corpus, and workspaces in which stages run as users run them."""

import process

process.configure_libraries()  # before torch is imported, as the commands do

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from preprocess.store.shards import Shards

ROOT = Path(__file__).resolve().parent.parent
ENCODERS = ["tune_text", "encode_text", "encode_audio", "encode_vision"]
STAGES = ["manifest", "frames", "audio", "faces", "transcripts", *ENCODERS, "align"]
GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]  # for what has to hold on both


ONE_BY_ONE = """
import sys
from preprocess.__main__ import main
for name in sys.argv[1:]:
    sys.argv = ["preprocess", name]
    main()
"""


def set_params(path: Path, **values: object) -> None:
    """Change leaves of a params.yaml: set_params(path, **{"corpus.root": "films"})."""
    from ruamel.yaml import YAML

    editor = YAML()
    editor.width = 4096
    tree = editor.load(path)
    for key, value in values.items():
        *parents, leaf = key.split(".")
        branch = tree
        for parent in parents:
            branch = branch[parent]
        branch[leaf] = value
    editor.dump(tree, path)


@dataclass(frozen=True)
class Workspace:
    """A folder with params.yaml and data/, in which stages run."""

    folder: Path

    def set(self, **values: object) -> None:
        set_params(self.folder / "params.yaml", **values)

    def run(self, *module: str, fails: bool = False) -> str:
        """Run `python -m …` here; what it printed."""
        return self.program("python", "-m", *module, fails=fails)

    def program(self, *command: str, fails: bool = False) -> str:
        """Run a program of this environment here; what it printed."""
        programs = Path(sys.executable).parent
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        environment.pop("DVC_ROOT", None)
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def stages(self, *names: str) -> str:
        """Run stages of preprocess one after the other, in one process that loads the libraries once; what they printed."""
        return self.program("python", "-c", ONE_BY_ONE, *names)

    def shards(self, stage: str) -> Shards:
        return Shards(self.folder / "data" / stage)

    def bytes_of(self, *stages: str) -> dict[str, bytes]:
        """Every file of the outputs of some stages."""
        files = [path for stage in stages for path in sorted((self.folder / "data" / stage).rglob("*")) if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}


def checkout(folder: Path, **values: object) -> Workspace:
    """A git repository with the files of this one, uncommitted changes included, and parameters changed as asked."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    made = Workspace(folder)
    made.set(**values)
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (["init", "--quiet"], ["add", "--all"], [*identity, "commit", "--quiet", "--message", "as it was"]):
        made.program("git", *command)
    return made


def is_on_ray(item: pytest.Item) -> bool:
    """Whether a test needs a Ray cluster, of which one process has the only one."""
    asked = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return asked.get("address") == "ray" or "nodes" in getattr(item, "fixturenames", ())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several processes, one has all tests of the shared run, and has them first; the others' files stay whole."""
    shared = [item for item in items if "sample_run" in getattr(item, "fixturenames", ()) or is_on_ray(item)]
    others = [item for item in items if item not in set(shared)]
    for item in shared:
        item.add_marker(pytest.mark.xdist_group("sample_run"))
    for item in others:
        item.add_marker(pytest.mark.xdist_group(str(item.path)))
    items[:] = shared + others


SMALL = {"sample.clips": 32, "sample.speakers": 16, "train.epochs": 2, "report.clips": 3}


@pytest.fixture(scope="session")
def sample_run(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A checkout in which `dvc repro` took a small sample corpus from nothing, but for what was downloaded, to the report."""
    made = checkout(tmp_path_factory.mktemp("checkout"), **SMALL)
    downloads = Path(".store/downloads")
    shutil.copytree(models.parents[1] / downloads, made.folder / downloads, copy_function=os.link)
    made.program("dvc", "repro")
    return made


@pytest.fixture(scope="session")
def elsewhere(sample_run: Workspace, make_workspace: Callable[..., Workspace]) -> Workspace:
    """The same corpus made and taken to predictions again by the commands alone: with an empty store of its own, more
    workers than most machines have cores, and the table's rows in the other order."""
    made = make_workspace(**SMALL, **{"run.workers": 3})
    made.run("sample.corpus")
    table = made.folder / "data/sample/clips.csv"
    head, *rows = table.read_text(encoding="utf-8").splitlines(keepends=True)
    table.write_text("".join([head, *reversed(rows)]), encoding="utf-8")
    made.stages(*STAGES)
    for name in ("train", "evaluate", "predictor"):
        made.run("lddu", name)
    table.write_text("".join([head, *rows]), encoding="utf-8")
    return made


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded networks, `<role>/` each, fetched once for all processes of the tests."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "networks"
    with FileLock(f"{folder}.lock"):
        if not (folder / "fetched").exists():
            folder.mkdir()
            (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
            Workspace(folder).stages("models")
            (folder / "fetched").touch()
    return folder / "data" / "models"


@pytest.fixture(scope="session")
def make_workspace(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Workspace]:
    """A new workspace with the networks in place, and parameters changed as asked."""

    def make(**values: object) -> Workspace:
        made = Workspace(tmp_path_factory.mktemp("workspace"))
        (made.folder / "data").mkdir()
        (made.folder / "data" / "models").symlink_to(models)
        (made.folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
        made.set(**values)
        return made

    return make
