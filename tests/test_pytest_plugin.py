"""The plugin in a pytest of its own, as a user's project has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from made_runs import right

from qa_eval.data import load_dataset

TESTS = """
import pytest
import qa_eval

SAMPLE = {"dataset": "sample"}


def test_passes(qa_eval_gate):
    qa_eval_gate("before.json", "before.json", fail_on="f1 < -0.02", **SAMPLE)


def test_is_unclear(qa_eval_gate):
    qa_eval_gate("before.json", "close.json", fail_on="f1 < -0.02", **SAMPLE)


def test_fails(qa_eval_gate):
    qa_eval_gate("before.json", "worse.json", fail_on=["f1 < -0.02"], require="em >= 0.9", **SAMPLE)


def test_fails_without_the_fixture():
    qa_eval.gate("worse.json", require="em >= 0.9", **SAMPLE)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    sample = load_dataset("sample", examples=None)
    for name, wrong in {"before": 5, "close": 7, "worse": 60}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(right(sample, wrong, seed=wrong)))
    (tmp_path / "test_model.py").write_text(TESTS)
    return tmp_path


def test_gates_in_a_projects_own_tests(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "qa_eval.pytest_plugin", "--junitxml=junit.xml", "-W", "error"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 2 passed" in done.stdout
    verdicts = done.stdout.split("qa-eval gates")[1]
    assert "test_model.py::test_passes\ngate passed: 0 inconclusive" in verdicts
    assert "test_model.py::test_is_unclear\ngate passed: 1 inconclusive; inconclusive rules pass" in verdicts
    assert "test_model.py::test_fails\ngate FAILED: 0 inconclusive" in verdicts
    assert "    FAILED  require em >= 0.9: value 0.4" in done.stdout
    assert 'name="qa_eval_gate" value="gate passed' in (project / "junit.xml").read_text()


def test_it_is_announced_to_pytest() -> None:
    (entry,) = entry_points(group="pytest11", name="qa-eval")
    assert entry.value == "qa_eval.pytest_plugin"
