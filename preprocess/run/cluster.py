"""The Ray cluster: joining it, or starting one on this machine, and what its nodes have."""

import os
import signal
import socket
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from params import Run
from preprocess.run import cuda, devices, node
from preprocess.run.devices import VISIBLE
from preprocess.run.engine import EngineError, environment

ANSWER = 5.0  # seconds in which a cluster has to answer
OBJECTS = 100 << 20  # bytes of shared memory for a cluster on this machine; tasks and results are small
# Read when Ray is imported. Nothing is reported to its makers, `uv run` in a command line starts no other environment, and of a
# node that is lost the stage prints which one it was, and not the last twenty lines of its log.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^Raylet is terminated",
}
# For a cluster on this machine alone. The first variable keeps Ray from taking another address than that of the loopback, on
# Linux too, so that nobody else can reach it. The memory monitor would count the host's memory in some containers.
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "")
LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_memory_monitor_refresh_ms": "0"}


@dataclass(frozen=True)
class Node:
    id: str
    name: str
    cpus: float
    gpus: float
    labels: dict[str, str]

    def room(self, run: Run, on_gpu: bool) -> int:
        """How many workers the node takes at once."""
        by_processor = int(self.cpus / run.cpus + 1e-9)
        return min(by_processor, int(self.gpus) * int(1 / run.gpus + 1e-9)) if on_gpu else by_processor


def connect(run: Run) -> ModuleType:
    """Join the cluster that `run.address` names, or start one; once in a process. EngineError where that cannot be done."""
    is_local = run.address != "auto" and run.address.rpartition(":")[0] in LOOPBACK
    for name, value in (QUIET | (LOCAL if is_local else {})).items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise EngineError(
            "run.engine is ray, which is not installed here: pip install -c constraints.txt -e '.[ray]', or write processes"
        ) from None
    if not ray.is_initialized():
        before = signal.getsignal(signal.SIGTERM)
        try:
            _join(ray, run.address) if run.address else _start(ray, run)
        finally:
            signal.signal(signal.SIGTERM, before)  # Ray sets another one
        ray.cloudpickle.register_pickle_by_value(node)
        ray.cloudpickle.register_pickle_by_value(cuda)
    return ray


def _join(ray: ModuleType, address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        if host:
            socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise EngineError(
            f"run.address is {address}, and no Ray cluster answers there that {os.uname().nodename} belongs to ({reason}): "
            "start one with `ray start --head`, and `ray start --address=…` on every other machine, this one included"
        ) from None


def _start(ray: ModuleType, run: Run) -> None:
    gpus = devices.chosen(run)
    folder = os.path.abspath(run.temporary) if run.temporary else None  # noqa: PTH100 -- Ray takes strings
    with environment({VISIBLE: ",".join(gpus)} if gpus else {}):
        ray.init(
            address="local",
            num_cpus=len(os.sched_getaffinity(0)),
            num_gpus=len(gpus),
            object_store_memory=OBJECTS,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
        )


def leave() -> None:
    """Leave the cluster, which ends the workers of this process; end it if it was started here."""
    ray: Any = sys.modules.get("ray")
    if ray and ray.is_initialized():
        ray.shutdown()


def nodes(ray: ModuleType, label: str = "") -> list[Node]:
    """The nodes that are alive; with `label`, `name=value`, those that have it."""
    key, _, value = label.partition("=")
    found = [
        Node(
            id=item["NodeID"],
            name=" ".join(dict.fromkeys([item["NodeManagerHostname"], item["NodeName"]])),
            cpus=item["Resources"].get("CPU", 0),
            gpus=item["Resources"].get("GPU", 0),
            labels=item.get("Labels") or {},
        )
        for item in ray.nodes()
        if item["Alive"]
    ]
    return [item for item in found if not key or item.labels.get(key) == value]


def room(ray: ModuleType, run: Run, on_gpu: bool) -> int:
    """How many workers the cluster takes at once. EngineError, with what each node has, where it takes none."""
    usable = nodes(ray, run.label)
    if not usable:
        raise EngineError(
            f"run.label is {run.label}, and no node of the Ray cluster has that label ({_names(nodes(ray))}): "
            f"start some with `ray start --labels {run.label}`, or change run.label"
        )
    total = sum(item.room(run, on_gpu) for item in usable)
    if not total:
        asked = f"run.cpus {run.cpus:g}" + (f" and run.gpus {run.gpus:g}" if on_gpu else "")
        have = "; ".join(f"{item.name} has {item.cpus:g} processors and {item.gpus:g} GPUs" for item in usable)
        raise EngineError(
            f"a worker takes {asked}, which no node of the Ray cluster has ({have}): "
            "ask for less, or start nodes that have it (`ray start --num-cpus … --num-gpus …`)"
        )
    return total


def gpu_kind(run: Run) -> str:
    """The kind of GPU that the nodes have; EngineError where they have several kinds, whose sums differ."""
    ray = connect(run)
    usable = [item for item in nodes(ray, run.label) if item.gpus]
    ask = ray.remote(num_cpus=0, max_calls=1)(node.gpu_kinds)
    asked = [ask.options(label_selector={"ray.io/node-id": item.id}).remote() for item in usable]
    kinds = {item.name: kind for item, found in zip(usable, ray.get(asked), strict=True) for kind in found}
    if len(set(kinds.values())) > 1:
        found = "; ".join(f"{name}: {kind}" for name, kind in kinds.items())
        raise EngineError(
            f"the GPUs of the Ray cluster are of several kinds, which would not make the same bytes ({found}): "
            "name nodes of one kind in run.label"
        )
    return next(iter(kinds.values()), "")


def _names(found: list[Node]) -> str:
    return ", ".join(item.name for item in found) or "there is none"
