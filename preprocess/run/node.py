"""What Ray runs on a node: one worker of a stage. Ray sends the text of this file along, and so it can say what is wrong on a
node that has no checkout, or another one. At its top it imports the standard library alone.
"""

import hashlib
import importlib
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOKS, PAUSE = 10, 0.3  # how often, and after how many seconds, a file is looked for that another machine has just made


@dataclass(frozen=True)
class Order:
    """What a worker needs before its first task, and what has to be so on its node. Plain data alone."""

    checkout: str  # the working folder
    root: str  # of the source files; on Python's path
    sign: str  # a file below the checkout that its owner made just now
    commit: str
    code: dict[str, str]  # sha256 of the files that the stage rests on, relative to `root`
    parameters: dict[str, Any]  # that the stage depends on
    folders: dict[str, str]  # that have to be there, by what they are
    store: str  # a folder in the store that its owner made just now
    log: str
    preload: list[str]
    machine: bytes  # pickled preprocess.run.machine.Machine
    ffmpeg: str
    function: bytes  # pickled


class Worker:
    """One worker; Ray runs its methods one after the other."""

    def join(self, order: Order) -> tuple[str, list[str]]:
        """Get ready. The node's id and, where it would not make the same bytes, why: sentences that begin with its name."""
        import ray

        return ray.get_runtime_context().get_node_id(), self.prepare(order)

    def prepare(self, order: Order) -> list[str]:
        """Move to the checkout, look around, and import what the tasks need."""
        try:
            os.chdir(order.checkout)
        except OSError as error:
            return [f"has no folder {order.checkout} ({error.strerror}): the checkout has to be there on every node, shared"]
        if not _appears(Path(order.sign)):
            return [_stranger(order)]
        lead_group()
        with Path(order.log).open("a") as log:
            os.dup2(log.fileno(), sys.stderr.fileno())
        wrong = [*absent(order.folders), *unwritable(order.store), *_other_machine(order)]
        if wrong:
            return wrong
        with suppress(ImportError):  # raised again, and shown, when a task needs it
            for name in order.preload:
                importlib.import_module(name)
        self._function = pickle.loads(order.function)  # noqa: S301 -- of the process that started this one
        return []

    def lives(self) -> bool:
        return True

    def do(self, task: Any) -> tuple[bool, Any]:
        """Whether the function did a task, and its result, or the exception that it raised."""
        try:
            return True, self._function(task)
        except BaseException as error:
            traceback.print_exc()
            return False, error


def gpu_kinds() -> list[str]:
    """The kinds of GPU that a node has, whether they are in use or not."""
    from preprocess.run import cuda

    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    return cuda.kinds()


def lead_group() -> None:
    """Have a process group whose members, such as decoders, end with this process, however it ends."""
    if os.getpgrp() != os.getpid():
        os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # It reads the pipe until this process, which alone can write to it, has ended.
    subprocess.Popen(["/bin/sh", "-c", "cat > /dev/null; kill -s KILL 0"], stdin=subprocess.PIPE)


def code_of(root: Path, names: list[str]) -> dict[str, str]:
    """sha256 of files; "" for one that is not there."""
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() if (root / name).is_file() else "" for name in names}


def commit_of(root: Path) -> str:
    """The commit that a checkout is at, in short; "" where git does not say."""
    command = ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def leaf(tree: Any, key: str) -> Any:
    """The value of a dotted key; None where there is no such key."""
    for name in key.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def _appears(path: Path) -> bool:
    """Whether a file is there, or becomes visible soon: network file systems show what others made with a delay."""
    for _ in range(LOOKS):
        if path.exists():
            return True
        time.sleep(PAUSE)
    return False


def _stranger(order: Order) -> str:
    """How a checkout that is not the stage's own differs from it."""
    import yaml

    own = f"has another checkout in {order.checkout}"
    other = [name for name, digest in code_of(Path(order.root), list(order.code)).items() if digest != order.code[name]]
    if other:
        commits = f"at commit {commit_of(Path(order.root)) or 'unknown'} instead of {order.commit or 'unknown'}"
        return f"{own}, {commits} ({other[0]} differs): mount the stage's own checkout there"
    try:
        tree = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        tree = None
    for key, value in order.parameters.items():
        if leaf(tree, key) != value:
            return f"{own}, with {key} {leaf(tree, key)!r} instead of {value!r}: mount the stage's own checkout there"
    return f"{own}, with the same code and parameters but data of its own: mount the stage's own checkout there"


def absent(folders: dict[str, str]) -> list[str]:
    gone = {what: folder for what, folder in folders.items() if not Path(folder).is_dir()}
    return [f"does not see {what} in {folder}: mount it there" for what, folder in gone.items()]


def unwritable(store: str) -> list[str]:
    """What is wrong with the store that this node sees. A temporary folder of the stage in it takes a file of every worker."""
    if not _appears(Path(store)):
        return [f"does not see the stage's store in {Path(store).parent}: mount it there"]
    try:
        (Path(store) / f"{os.uname().nodename}-{os.getpid()}").touch()
    except OSError as error:
        return [f"cannot write the store in {Path(store).parent} ({error.strerror}): let {os.getuid()} write there"]
    return []


def _other_machine(order: Order) -> list[str]:
    from preprocess.run import cuda, machine

    wanted = pickle.loads(order.machine)  # noqa: S301 -- of the process that started this one
    kinds = cuda.kinds() if wanted.gpu else []
    return machine.differences(wanted, machine.like(wanted, kinds[0] if kinds else "", order.ffmpeg))
