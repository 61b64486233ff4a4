"""Which CDK command is called, and how."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from qa_eval.deployment import cdk
from qa_eval.errors import DeploymentError

LOCK = Path(__file__).parents[1] / "support" / "cdk" / "package-lock.json"


def program(folder: Path, name: str, said: str) -> Path:
    """A program that writes down what it was called with."""
    path = folder / name
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{said}"; else echo "$@" > {folder}/called; fi\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("QA_EVAL_CDK", raising=False)
    return tmp_path


def test_the_one_that_the_user_names_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(folder, "cdk", f"{cdk.VERSION} (build 1)")
    monkeypatch.setenv("QA_EVAL_CDK", "node '/a b/cdk'")
    assert cdk.command() == ["node", "/a b/cdk"]


def test_an_installed_one_of_our_version_is_taken(folder: Path) -> None:
    found = program(folder, "cdk", f"{cdk.VERSION} (build 1)")
    assert cdk.command() == [str(found)]


def test_another_version_is_left_alone_and_ours_is_fetched(folder: Path) -> None:
    program(folder, "cdk", "3.0.0 (build 1)")
    npx = program(folder, "npx", "11")
    assert cdk.command() == [str(npx), "--yes", f"aws-cdk@{cdk.VERSION}"]


def test_without_any_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(DeploymentError, match="The CDK command is missing"):
        cdk.command()


def test_a_verb_gets_all_stacks_of_the_assembly(folder: Path) -> None:
    program(folder, "cdk", cdk.VERSION)
    cdk.run("diff", folder / "out", ["--strict"])
    called = (folder / "called").read_text().split()
    assert called[:4] == ["diff", "--all", "--app", str(folder / "out")]
    assert "--strict" in called


def test_a_failure_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_EVAL_CDK", f"{sys.executable} -c 'raise(SystemExit(3))'")
    with pytest.raises(DeploymentError, match=r"`cdk deploy` failed \(exit code 3\)"):
        cdk.call(["deploy"], "deploy")


def test_what_outlives_a_stack_is_read_from_its_template(tmp_path: Path) -> None:
    resources = {
        "Logs": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"},
        "Data": {"Type": "AWS::RDS::DBCluster", "DeletionPolicy": "Snapshot"},
        "Gone": {"Type": "AWS::SNS::Topic", "DeletionPolicy": "Delete"},
        "Too": {"Type": "AWS::SNS::Topic"},
    }
    (tmp_path / "a.template.json").write_text(json.dumps({"Resources": resources}))
    assert cdk.retained(tmp_path) == (
        cdk.RetainedResource("AWS::S3::Bucket", "Logs", "Retain"),
        cdk.RetainedResource("AWS::RDS::DBCluster", "Data", "Snapshot"),
    )


def test_the_tests_lock_file_is_of_the_same_version_and_names_no_registry() -> None:
    lock = json.loads(LOCK.read_text())
    assert lock["packages"]["node_modules/aws-cdk"]["version"] == cdk.VERSION
    assert lock["packages"]["node_modules/aws-cdk"]["integrity"].startswith("sha512-")
    assert "resolved" not in LOCK.read_text()
