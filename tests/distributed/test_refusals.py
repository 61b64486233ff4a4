"""Clusters that cannot be used: one sentence, exit code 2, and nothing asked."""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path

import pytest
from commands import as_file, qa_eval
from numbers_dataset import dataset
from ray._private import services
from ray_cluster import SOURCE, Cluster, ray_cluster

SPEC = """
dataset: {{ path: {path} }}
systems: [{{ name: own, task: "own_task:answer" }}]
metrics: [exact_match]
recording: {{ phoenix: false }}
ray: {ray}
"""


def refused(folder: Path, ray: str, code: int = 2) -> str:
    """What the command says to a specification with this cluster."""
    (folder / "own_task.py").write_text("def answer(example): return 'x'\n")
    (folder / "qa-eval.yaml").write_text(SPEC.format(path=as_file(dataset(3), folder), ray=ray))
    done = qa_eval("run-experiment", folder / "qa-eval.yaml", folder=folder)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def test_what_is_not_there_or_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Another test process may have a cluster on this machine, which `auto` would find.
    monkeypatch.setattr(services, "find_bootstrap_address", lambda folder: None)
    monkeypatch.setattr(services, "find_gcs_addresses", cache(set))
    assert "No Ray cluster answers at 127.0.0.1:1: start one with" in refused(tmp_path, "127.0.0.1:1")
    assert "must be local, auto, none or HOST:PORT, not `somewhere`" in refused(tmp_path, "somewhere")
    assert "`ray.address` must be local, auto or HOST:PORT" in refused(tmp_path, "{ address: 'ray://a:1' }")
    assert "No Ray cluster answers here" in refused(tmp_path, "auto")
    assert "there is no key `ray.taks`: did you mean `tasks`?" in refused(tmp_path, "{ taks: {} }")


def test_a_variable_that_is_not_set_and_values_in_the_file(tmp_path: Path) -> None:
    assert "names QA_NOT_SET, which is not set" in refused(tmp_path, "{ environment: [QA_NOT_SET] }")
    assert "name the variables in `ray.environment`" in refused(tmp_path, "{ runtime_env: { env_vars: { A: b } } }")


def test_a_full_cluster_another_qa_eval_and_another_python(tmp_path: Path) -> None:
    copy = tmp_path / "other"
    shutil.copytree(SOURCE / "qa_eval", copy / "qa_eval", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "qa_eval" / "_version.py").write_text('__version__ = "0.0.1"\n')
    with ray_cluster(1, source=copy) as cluster:
        full = refused(tmp_path, f"{{ address: '{cluster.address}', tasks: {{ num_gpus: 1 }}, wait: 2 }}")
        assert "had no room for a worker of `ray.tasks` (1 CPU and 1 GPU) for 2 s" in full
        assert re.search(r"has qa-eval 0\.0\.1 and this is .*: install", refused(tmp_path, cluster.address))
        pretend_python(cluster, b"3.9.1")
        assert "The Ray cluster has other versions than this machine" in refused(tmp_path, cluster.address)


def pretend_python(cluster: Cluster, version: bytes) -> None:
    """Let a cluster say that it runs on another Python."""
    import ray
    from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put

    ray.init(cluster.address, log_to_driver=False)
    try:
        metadata = _internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster")
        other = re.sub(rb'"python_version": "[^"]+"', b'"python_version": "' + version + b'"', metadata)
        assert other != metadata
        _internal_kv_put(b"CLUSTER_METADATA", other, overwrite=True, namespace=b"cluster")
    finally:
        ray.shutdown()


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name == "ray" or name.startswith(("ray.", "qa_eval.distributed"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install 'qa-eval[ray]'" in refused(tmp_path, "local")
