"""What the tests on Ray share: a cluster for each file, and a module of own functions for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_cluster import Cluster, ray_cluster

OWN = """
import os, time

def answer(example):
    return example.references[0] if not example.id.endswith("3") else "another"

def slow(example):
    time.sleep(0.05)
    return example.references[0]

def wrong(example):
    return "another"

def poison(example):
    if example.id.endswith("-7"):
        os.kill(os.getpid(), 9)
    time.sleep(0.02)
    return example.references[0]

def marks(example):
    open("begun", "w").close()
    time.sleep(2)
    return os.environ.get("QA_TEST_VALUE", "none")

def letters(example, answer):
    if example.id.endswith("5"):
        raise ValueError("no fives")
    return float(len(answer))

def deadly(example, answer):
    if example.id.endswith("-9"):
        os.kill(os.getpid(), 9)
    return 1.0
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head and two nodes of four cores each."""
    with ray_cluster(4, 4) as started:
        yield started


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of own functions in the working folder, by a name of its own."""
    name = f"own_{abs(hash(tmp_path)):x}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    return name
