"""Whether three Ray nodes end in the bytes of one process, also when nodes are lost and drivers killed half-way.

`python -m benchmarks.nodes --clips 60` starts three raylets on this machine, which listen on loopback alone. In two clones of
the last commit a small sample corpus is taken to the tensors: in one by a single worker process; in the other on the nodes,
three times from an empty store. The second time a node is switched off in every stage over clips when half of its clips are
done, and another started; the third time the driver (the process of the stage) is killed then, and DVC started again. After
each time all files under data are compared.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from ruamel.yaml import YAML

import mend_lock
from benchmarks import kills, processes
from benchmarks.records import Record
from preprocess.overview.foreseen import BY_CLIP
from preprocess.run import cluster

NODES = 3
PRINTED = "printed.txt"
SAMPLE = ("data/sample", "sample")  # the corpus, and what DVC knows of it
LEAST = 5  # stages that have to be met half-way in a case

Disturb = Callable[[subprocess.Popen], None]


class Nodes:
    """Three Ray nodes on this machine, with one processor each. Those besides the head can be switched off."""

    def __init__(self) -> None:
        os.environ.update(cluster.QUIET | cluster.LOCAL)
        from ray.cluster_utils import Cluster

        self.cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        self.others: list[Any] = []
        for _ in range(NODES - 1):
            self.start_one()

    def start_one(self) -> None:
        self.others.append(self.cluster.add_node(num_cpus=1))
        self.cluster.wait_for_nodes()

    def replace_one(self) -> None:
        """Switch a node off, as if its plug were pulled, and start another."""
        self.cluster.remove_node(self.others.pop(0), allow_graceful=False)
        self.start_one()

    def end(self) -> None:
        self.cluster.shutdown()


def entries(folder: Path, stage: str) -> int:
    """Clips of a stage that are in the store."""
    return sum(1 for _ in (folder / ".store" / stage).glob("??/*.zip"))


def forget(folder: Path) -> None:
    """Make a clone as it was before any stage over clips was run."""
    stages = [folder / place / stage for place in ("data", ".store") for stage in (*BY_CLIP, "tensors")]
    for path in (folder / ".dvc/cache", folder / ".dvc/tmp", folder / "logs", *stages):
        shutil.rmtree(path, ignore_errors=True)
    processes.run(["git", "checkout", "--quiet", "--", "dvc.lock"], folder)
    (folder / PRINTED).unlink(missing_ok=True)


def start(folder: Path) -> subprocess.Popen:
    mend_lock.main(folder)
    with (folder / PRINTED).open("a") as printed:
        return subprocess.Popen(
            kills.COMMAND, cwd=folder, env=processes.environment(), stdout=printed, stderr=subprocess.STDOUT
        )


def kill_driver(dvc: subprocess.Popen) -> None:
    for process in kills.targets(psutil.Process(dvc.pid), "stage"):
        process.send_signal(signal.SIGKILL)
    dvc.wait()


def run(folder: Path, expected: dict[str, int], disturb: Disturb | None) -> dict[str, int]:
    """Run the stages to their end, and `disturb` each when half of its clips are done: how many were then, by stage."""
    dvc, disturbed = start(folder), {}
    for stage in [stage for stage in BY_CLIP if disturb and expected[stage] > 1]:
        while dvc.poll() is None and entries(folder, stage) < expected[stage] / 2:
            time.sleep(0.02)
        if dvc.poll() is None and disturb and (done := entries(folder, stage)) < expected[stage]:
            disturb(dvc)
            disturbed[stage] = done
        if dvc.poll() is not None:
            dvc = start(folder)
    if dvc.wait():
        sys.exit((folder / PRINTED).read_text(errors="replace"))
    return disturbed


def join(folder: Path, address: str) -> None:
    """Let the stages in a clone run on a cluster."""
    editor = YAML()
    tree = editor.load(folder / "params.yaml")
    tree["run"].update(engine="ray", address=address, workers=NODES)
    editor.dump(tree, folder / "params.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nodes", description=__doc__)
    parser.add_argument("--clips", type=int, default=60, help=f"a multiple of {kills.SPEAKERS}")
    clips = parser.parse_args().clips
    record = Record("nodes", f"{clips} clips, {NODES} nodes")
    with TemporaryDirectory() as temporary:
        alone, many = (kills.clone(Path(temporary) / name, clips, workers=1) for name in ("alone", "many"))
        record.add("one process", processes.run(kills.COMMAND, alone).figures())
        expected = {stage: entries(alone, stage) for stage in BY_CLIP}
        for name in SAMPLE:  # made once
            shutil.copytree(alone / name, many / name, dirs_exist_ok=True)
        nodes = Nodes()
        join(many, nodes.cluster.address)
        try:
            cases: dict[str, Disturb | None] = {
                "three nodes": None,
                "a node is switched off in every stage": lambda dvc: nodes.replace_one(),
                "the driver is killed in every stage": kill_driver,
            }
            differing = [
                name for case, disturb in cases.items() for name in compare(record, case, many, alone, expected, disturb)
            ]
        finally:
            nodes.end()
    record.write()
    if differing:
        sys.exit(f"{len(differing)} files differ: {', '.join(differing[:20])}")


def compare(record: Record, case: str, many: Path, alone: Path, expected: dict[str, int], disturb: Disturb | None) -> list[str]:
    """Run a case from an empty store: the files under data that are not those of one process."""
    forget(many)
    began = time.perf_counter()
    disturbed = run(many, expected, disturb)
    seconds = time.perf_counter() - began
    wanted, outputs = kills.outputs(alone), kills.outputs(many)
    differing = sorted(name for name in wanted.keys() | outputs.keys() if wanted.get(name) != outputs.get(name))
    record.add(case, {"seconds": seconds, "files": len(wanted), "differing": len(differing), "disturbed": len(disturbed)})
    for stage, done in disturbed.items():
        print(f"  {stage}: disturbed with {done} of {expected[stage]} clips done")
    if disturb and len(disturbed) < LEAST:
        sys.exit(f"{case}: only {len(disturbed)} stages were met half-way")
    return differing


if __name__ == "__main__":
    main()
