"""A Ray cluster of three nodes on this machine, each with one processor; it listens to this machine alone."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import params
from preprocess.run import cluster
from tests.conftest import ROOT

RUN = params.load(ROOT / params.PATH).run


@dataclass
class Nodes:
    """The cluster, whose nodes can be killed and started again."""

    cluster: Any
    workers: list[Any]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def run(self, **values: object) -> params.Run:
        """The section `run` of somebody who joins the cluster."""
        return RUN.model_copy(update={"engine": "ray", "address": self.address, "device": "cpu", **values})

    def kill_one(self) -> None:
        """As if a machine were switched off."""
        self.cluster.remove_node(self.workers.pop(), allow_graceful=False)

    def start_one(self, **values: object) -> None:
        self.workers.append(self.cluster.add_node(num_cpus=1, **values))
        self.cluster.wait_for_nodes()


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    os.environ.update(cluster.QUIET | cluster.LOCAL)
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    of_three = Nodes(made, [])
    for _ in range(2):
        of_three.start_one()
    yield of_three
    cluster.leave()
    made.shutdown()
