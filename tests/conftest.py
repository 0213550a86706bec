"""What the tests share: real networks, a small sample corpus, and workspaces in which stages run as users run them."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from preprocess.shards import Shards

ROOT = Path(__file__).resolve().parent.parent
STAGES = ["manifest", "frames", "audio", "faces", "transcripts", "encode_text", "encode_audio", "encode_vision", "align"]


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
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        environment.pop("DVC_ROOT", None)
        done = subprocess.run(
            [sys.executable, "-m", *module], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def stages(self, *names: str) -> str:
        return "".join(self.run("preprocess", name) for name in names)

    def shards(self, stage: str) -> Shards:
        return Shards(self.folder / "data" / stage)

    def bytes_of(self, *stages: str) -> dict[str, bytes]:
        """Every file of the outputs of some stages."""
        files = [path for stage in stages for path in sorted((self.folder / "data" / stage).rglob("*")) if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded networks, `<role>/` each, fetched once."""
    made = Workspace(tmp_path_factory.mktemp("models"))
    (made.folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    made.run("preprocess", "models")
    return made.folder / "data" / "models"


@pytest.fixture(scope="session")
def make_workspace(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Workspace]:
    """A new workspace with the networks in place, and parameters changed as asked."""

    def make(**values: object) -> Workspace:
        made = Workspace(tmp_path_factory.mktemp("workspace"))
        (made.folder / "data").mkdir()
        (made.folder / "data" / "models").symlink_to(models)
        (made.folder / "constraints.txt").symlink_to(ROOT / "constraints.txt")
        (made.folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
        made.set(**values)
        return made

    return make


@pytest.fixture(scope="session")
def sample_run(make_workspace: Callable[..., Workspace]) -> Workspace:
    """A sample corpus of sixteen clips, taken to tensors."""
    made = make_workspace(**{"sample.clips": 16})
    made.run("sample.corpus")
    made.stages(*STAGES)
    return made
