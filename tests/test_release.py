"""The wheel, as a stranger has it: in an environment of its own, outside the repository, from another folder."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import uv
from fake_gateway import KEY, Serve

import qa_eval

REPOSITORY = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program's end, in the user's environment without what the test's own Python adds to it."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=kept | environment, capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, cwd=REPOSITORY)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has nothing to do with the repository."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def installed(wheel: Path, elsewhere: Path) -> Path:
    """The command of a clean environment that has the wheel, with the locked versions of all that it needs."""
    environment = elsewhere / "venv"
    program = uv.find_uv_bin()
    run(program, "venv", "--no-project", "--python", sys.executable, environment, cwd=elsewhere)
    constraints = ("--constraints", REPOSITORY / "requirements" / "dev.txt")
    options = ("--no-config", "--python", environment / "bin" / "python", *constraints)
    run(program, "pip", "install", *options, f"{wheel}[local,infra]", cwd=elsewhere)
    return environment / "bin" / "qa-eval"


@pytest.fixture
def stopped(installed: Path, elsewhere: Path) -> Iterator[None]:
    yield
    run(installed, "stack", "down", cwd=elsewhere)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_tree_and_the_sdist_make_the_same_wheel(wheel: Path, dist: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, cwd=REPOSITORY)
    assert contents(tmp_path / wheel.name) == contents(wheel)
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"tests/conftest.py", "Makefile", "requirements/dev.txt", "LICENSE"} <= names


def test_the_wheel_has_all_data_and_nothing_else(wheel: Path) -> None:
    content = contents(wheel)
    (record,) = (text for name, text in content.items() if name.endswith("/RECORD"))
    assert {row[0] for row in csv.reader(record.decode().splitlines())} == set(content)
    for name in (
        "qa_eval/py.typed",
        "qa_eval/data/qa-eval-sample.json",
        "qa_eval/data/qa-eval-free-sample.json",
        "qa_eval/blueprint/config.yaml",
        "qa_eval/spec/qa-eval.schema.json",
        "qa_eval/spec/starter_files/qa-eval.yaml",
        "qa_eval/spec/starter_files/prompts/few-shot.yaml",
        "qa_eval/blueprint/servers/litellm.txt",
        "qa_eval/stack/node/package-lock.json",
        "qa_eval/stack/node/query_engine.mjs",
    ):
        assert name in content
    assert {name.split("/")[0] for name in content} == {
        "qa_eval",
        "qa_eval_infra",
        f"qa_eval-{qa_eval.__version__}.dist-info",
    }
    assert not [name for name in content if "__pycache__" in name or "/node_modules/" in name]


def test_it_runs_from_another_folder(installed: Path, elsewhere: Path, serve: Serve) -> None:
    assert run(installed, "--version", cwd=elsewhere).stdout == f"qa-eval {qa_eval.__version__}\n"
    findings = json.loads(run(installed, "doctor", "--json", cwd=elsewhere).stdout)
    assert findings["problems"] == 0
    assert run(installed, "datasets", "show", "sample", cwd=elsewhere).stdout.count("References:") == 5
    gateway = serve(lambda g, p: "Paris")
    asked = ("run-experiment", "--gateway", gateway.url, "--no-phoenix", "--examples", "10", "--json")
    done = run(installed, *asked, "--model", "qa", "--model", "other", cwd=elsewhere, QA_EVAL_GATEWAY_KEY=KEY)
    result = json.loads(done.stdout)
    assert [experiment["answered"] for experiment in result["experiments"]] == [10, 10]
    compared = run(installed, "compare", "latest:qa", "latest:other", cwd=elsewhere)
    assert "other and qa have identical scores on all 10 questions" in compared.stdout
    run(installed, "report", "latest", "--output", "report.html", cwd=elsewhere)
    assert "<html" in (elsewhere / "report.html").read_text()


@pytest.mark.usefixtures("stopped")
def test_it_brings_up_the_local_stack_and_measures_it(installed: Path, elsewhere: Path) -> None:
    done = run(installed, "run-experiment", "--local", "--examples", "10", "--json", cwd=elsewhere)
    result = json.loads(done.stdout)
    (experiment,) = result["experiments"]
    # The small model now and then says nothing, which is no error.
    assert experiment["outcomes"].keys() <= {"answered", "empty"}
    assert experiment["examples"] == 10
    assert (result["unrecorded"], result["stopped"]) == (0, None)
    assert "/datasets/" in result["url"]


def test_it_synthesises_the_platform(installed: Path, elsewhere: Path) -> None:
    run(installed, "infra", "synth", "--output", "out", cwd=elsewhere)
    assert (elsewhere / "out" / "qa-eval.template.json").exists()
