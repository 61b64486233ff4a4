"""What `qa-eval doctor` sees: on this machine as it is, and where something is made to be missing."""

from __future__ import annotations

import json
import socket
from collections import namedtuple
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qa_eval import doctor
from qa_eval.cli.main import app
from qa_eval.doctor import DoctorFinding
from qa_eval.stack import RunningStack, ports


def found(name: str) -> DoctorFinding:
    return next(each for each in doctor.run_checks() if each.name == name)


def test_this_machine_is_well_and_no_secret_is_shown(
    in_stack_folder: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = {"QA_EVAL_GATEWAY_KEY": "sk-very-secret", "AWS_SECRET_ACCESS_KEY": "very-secret-too"}
    for name, value in {**secrets, "AWS_ACCESS_KEY_ID": "AKIAVERYSECRET"}.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["doctor", "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    states = {each["name"]: each for each in document["findings"]}
    assert document["problems"] == 0
    assert "litellm 1." in states["libraries"]["text"]
    assert "arize-phoenix " in states["server locks"]["text"]
    assert states["environment litellm"]["state"] == "ok"
    assert states["server phoenix"]["text"] == "healthy"
    assert states["QA_EVAL_GATEWAY_KEY"]["state"] == "ok"
    assert states["AWS credentials"]["text"] == "in the environment"
    shown = CliRunner().invoke(app, ["doctor"]).output
    for secret in (*secrets.values(), "AKIAVERYSECRET", in_stack_folder.gateway_key):
        assert secret not in done.output + shown
    assert "No problem." in shown


def test_every_finding_that_is_not_well_has_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QA_EVAL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    findings = doctor.run_checks()
    assert [each for each in findings if each.state != "ok" and not each.remedy] == []
    states = {each.name: each.state for each in findings}
    assert states["environment model"] == "note"
    assert states["Node.js"] == "problem"
    assert states["CDK command"] == "note"


def test_a_full_disk_is_a_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage(0, 0, 5_000_000))
    monkeypatch.setenv("QA_EVAL_CACHE_DIR", str(tmp_path / "cache"))
    assert found("disk space for the servers").state == found("disk space for runs").state == "problem"
    assert "set QA_EVAL_CACHE_DIR" in found("disk space for the servers").remedy
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "2 problems." in done.output


def test_a_folder_that_cannot_be_written_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    assert found("folder").state == "problem"


def test_a_library_that_is_missing_or_too_old_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    known = doctor.version

    def version(package: str) -> str:
        if package in ("scipy", "uv"):
            raise PackageNotFoundError
        return "0.1" if package == "pandas" else known(package)

    monkeypatch.setattr(doctor, "version", version)
    problems = [each.text for each in doctor.run_checks() if each.state == "problem"]
    assert problems == ["pandas is 0.1, required is >=2.2", "scipy is missing, required is >=1.15"]
    assert found("extra local").state == "note"
    assert found("extra local").remedy == "pip install 'qa-eval[local]'"


def test_a_port_that_another_program_has_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(ports, "DEFAULTS", {"edge": port, "model": None})
        assert found(f"port {port}").state == "note"
    assert found(f"port {port}").text == "free"
