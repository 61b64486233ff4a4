"""The Ray cluster of a run: joined, or started on this machine, and left again."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import ray
from ray._private import ray_constants

from qa_eval.errors import ClusterError, InputError
from qa_eval.spec.ray import RaySpec, RayStage

_CONNECT_S = 5.0


@contextmanager
def joined(spec: RaySpec, cpus: int) -> Iterator[None]:
    """Connected with the cluster in here.

    Args:
        spec: Which cluster, and the environment of its workers.
        cpus: Processor cores of a cluster on this machine, if it has fewer.

    Raises:
        QaEvalError: It cannot be joined; the message says why.
    """
    if ray.is_initialized():
        if spec.runtime_env:
            raise InputError("`ray.runtime_env` has no effect where Ray is connected already: give it to `ray.init`.")
        yield
        return
    _join(spec, cpus)
    try:
        yield
    finally:
        ray.shutdown()


def room(stage: RayStage) -> int:
    """How many workers of a stage the cluster would hold if it were empty."""
    return sum(_fitting(node["Resources"], stage.required) for node in _nodes())


def machines(stage: RayStage) -> int:
    """How many machines could hold a worker of a stage if they were empty."""
    return sum(_fitting(node["Resources"], stage.required) > 0 for node in _nodes())


def _nodes() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _fitting(has: Mapping[str, float], needed: Mapping[str, float]) -> int:
    return min((int(has.get(name, 0.0) / amount) for name, amount in needed.items()), default=1)


def _join(spec: RaySpec, cpus: int) -> None:
    how: dict[str, Any] = {"address": spec.address}
    if spec.address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        how |= {"num_cpus": max(cpus, os.cpu_count() or 1), "include_dashboard": False}
    elif (address := os.environ.get("RAY_ADDRESS", "auto") if spec.address == "auto" else spec.address) != "auto":
        _check_address(address)
    sigterm = signal.getsignal(signal.SIGTERM)
    try:
        with _on_loopback() if spec.address == "local" else nullcontext():
            ray.init(**how, runtime_env=dict(spec.runtime_env), log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError:
        where = "here" if spec.address == "auto" else f"at {spec.address}"
        raise ClusterError(
            f"No Ray cluster answers {where}: start one with `ray start --head`, or check `ray`."
        ) from None
    except (RuntimeError, ValueError) as error:
        ray.shutdown()  # it is half connected
        problem = " ".join(str(error).split())
        if problem.startswith("Version mismatch"):
            raise ClusterError(
                f"The Ray cluster has other versions than this machine ({problem}): use the same."
            ) from None
        raise ClusterError(f"The Ray cluster cannot be used ({problem}): check `ray`.") from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, sigterm)  # Ray has put its own in place


@contextmanager
def _on_loopback() -> Iterator[None]:
    """A cluster that starts in here listens on loopback alone, as Ray's always do on macOS and Windows."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _check_address(address: str) -> None:
    """Refuse an address where nothing listens: Ray itself would end this process after a minute."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"`ray` must be local, auto, none or HOST:PORT, not `{address}`.")
    try:
        socket.create_connection((host, int(port)), _CONNECT_S).close()
    except OSError:
        raise ClusterError(
            f"No Ray cluster answers at {address}: start one with `ray start --head`, or check `ray`."
        ) from None
