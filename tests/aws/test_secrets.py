"""The stages of a secret's versions; Secrets Manager's answers are written down beforehand."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from qa_eval.aws import secrets

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:x"


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Stubber:
    client = boto3.client("secretsmanager", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
    monkeypatch.setattr(secrets, "client", lambda service, region: client)
    stubber = Stubber(client)
    stubber.activate()
    return stubber


def stages(manager: Stubber, **versions: list[str]) -> None:
    manager.add_response("describe_secret", {"VersionIdsToStages": versions}, {"SecretId": ARN})


@pytest.mark.parametrize("left", [{}, {"v1" * 16: ["AWSCURRENT", "AWSPENDING"]}], ids=["never", "promoted before"])
def test_a_new_value_is_stored_beside_the_present_one(manager: Stubber, left: dict[str, list[str]]) -> None:
    stages(manager, **(left or {"v1" * 16: ["AWSCURRENT"]}))
    stored = {"SecretId": ARN, "SecretString": "new", "VersionStages": ["AWSPENDING"]}
    manager.add_response("put_secret_value", {}, stored)
    assert secrets.prepare(ARN, lambda: "new") == "new"
    manager.assert_no_pending_responses()


def test_what_a_killed_command_prepared_is_used(manager: Stubber) -> None:
    stages(manager, **{"v1" * 16: ["AWSCURRENT"], "v2" * 16: ["AWSPENDING"]})
    manager.add_response("get_secret_value", {"SecretString": "prepared"}, {"SecretId": ARN, "VersionId": "v2" * 16})
    assert secrets.prepare(ARN, lambda: "another") == "prepared"
    manager.assert_no_pending_responses()


def test_the_prepared_value_becomes_the_present_one(manager: Stubber) -> None:
    old, new = "v1" * 16, "v2" * 16
    for _ in range(2):
        stages(manager, **{old: ["AWSCURRENT"], new: ["AWSPENDING"]})
    moved = {"SecretId": ARN, "VersionStage": "AWSCURRENT", "MoveToVersionId": new, "RemoveFromVersionId": old}
    manager.add_response("update_secret_version_stage", {}, moved)
    ended = {"SecretId": ARN, "VersionStage": "AWSPENDING", "RemoveFromVersionId": new}
    manager.add_response("update_secret_version_stage", {}, ended)
    secrets.promote(ARN)
    manager.assert_no_pending_responses()
