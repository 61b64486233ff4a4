"""A real Ray cluster on loopback: a head without work and some nodes, each a tree of processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

# Read when Ray is imported: its processes, and whoever joins them, use loopback alone, as on macOS.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
# Else whoever joins would use the token that a cluster of `--ray local` has left in the home folder.
os.environ["RAY_AUTH_MODE"] = "disabled"

import psutil
from ray.cluster_utils import Cluster

import qa_eval

SOURCE = Path(qa_eval.__file__).parents[1]
LOOPBACK: dict[str, Any] = {"node_ip_address": "127.0.0.1", "object_store_memory": 100 * 2**20}


_ENDING_S = 10.0


@contextmanager
def ray_cluster(*cpus: int, source: Path = SOURCE) -> Iterator[Cluster]:
    """A cluster with a node for each number of cores; its workers import qa-eval from `source`."""
    variables = {
        "PYTHONPATH": f"{source}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_prestart_worker_first_driver": "0",  # each core would have a worker before one is needed
        "RAY_health_check_period_ms": "1000",  # a dead node is noticed after 5 of these
    }
    with mock.patch.dict(os.environ, variables):
        cluster = Cluster(initialize_head=True, head_node_args={**LOOPBACK, "num_cpus": 0, "include_dashboard": False})
        try:
            for each in cpus:
                cluster.add_node(**LOOPBACK, num_cpus=each)
            yield cluster
        finally:
            family = [each for node in cluster.list_all_nodes() for each in _processes(node)]
            cluster.shutdown()
            _, left = psutil.wait_procs(family, timeout=_ENDING_S)
            for each in left:
                each.kill()


@contextmanager
def two_more_nodes(cluster: Cluster, resource: str) -> Iterator[list[Any]]:
    """Nodes that have a resource of their own, and room for another stage's worker, for a test that kills one."""
    nodes = [cluster.add_node(**LOOPBACK, num_cpus=2, resources={resource: 1}) for _ in range(2)]
    try:
        yield nodes
    finally:
        for each in nodes:
            kill_node(each)


def connections(node: Any, url: str) -> int:
    """How many connections a node's processes have to a server."""
    port = urlsplit(url).port
    found = 0
    for process in _processes(node):
        with suppress(psutil.NoSuchProcess):
            found += sum(bool(each.raddr) and each.raddr.port == port for each in process.net_connections("tcp"))
    return found


def kill_node(node: Any) -> None:
    """End a node's raylet and all that it started at once, as when its machine loses power."""
    for each in _processes(node):
        with suppress(psutil.NoSuchProcess):
            each.kill()


def _processes(node: Any) -> list[psutil.Process]:
    """A node's own processes that live, and all that they started."""
    found: dict[int, psutil.Process] = {}
    for started in (each for kind in node.all_processes.values() for each in kind):
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(started.process.pid)
            found |= {each.pid: each for each in (process, *process.children(recursive=True))}
    return [*found.values()]
