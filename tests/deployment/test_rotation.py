"""Secrets are replaced in an order in which somebody always takes what somebody else sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from qa_eval.aws import deployed, secrets
from qa_eval.blueprint import outputs
from qa_eval.blueprint import secrets as blueprint
from qa_eval.deployment import keys, rotation
from qa_eval.errors import DeploymentError, InputError
from qa_eval_infra.settings import load_settings

TOLD = {value: f"the-{value}" for name, value in vars(outputs).items() if name.isupper() and name != "DESCRIPTION"}


class Told(list[str]):
    """What was done, in its order, and the stubs of the services."""

    stubs: dict[str, Stubber]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    happened = Told()
    clients = {
        service: boto3.client(service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
        for service in ("ecs", "elasticache")
    }
    happened.stubs = {service: Stubber(client) for service, client in clients.items()}

    def note(name: str, result: Any = None) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            happened.append(name)
            return result

        return call

    for stubber in happened.stubs.values():
        stubber.activate()
    for service, client in clients.items():
        client.meta.events.register(
            "provide-client-params.*.*",
            lambda model, params, service=service, **_: happened.append(
                f"{service}:{model.name}{params.get('AuthTokenUpdateStrategy', '')}{params.get('service', '')}"
            ),
        )
    monkeypatch.setattr(rotation, "client", lambda service, region: clients[service])
    monkeypatch.setattr(deployed, "platform_outputs", lambda name, region: TOLD)
    monkeypatch.setattr(deployed, "read_secret", lambda secret, region: "former")
    monkeypatch.setattr(secrets, "prepare", lambda secret, make, region: note(f"prepare {secret}", make())())
    monkeypatch.setattr(secrets, "promote", note("promote"))
    monkeypatch.setattr(keys, "succeed", note("admit the key"))
    monkeypatch.setattr(keys, "retire", lambda url, master, value, now: note(f"retire {value} now={now}")())
    return happened


def expect_restart(told: Told, service: str) -> None:
    ecs = told.stubs["ecs"]
    where = {"cluster": "the-ClusterName", "service": f"the-{service}"}
    ecs.add_response("update_service", {}, {**where, "forceNewDeployment": True})
    stable = {"deployments": [{}], "runningCount": 1, "desiredCount": 1}
    ecs.add_response(
        "describe_services",
        {"services": [{**stable, "status": "ACTIVE"}]},
        {"cluster": "the-ClusterName", "services": [where["service"]]},
    )


def expect_valkey(told: Told, strategy: str) -> None:
    elasticache = told.stubs["elasticache"]
    group = {"ReplicationGroupId": "the-ValkeyGroupId"}
    changed = {**group, "AuthToken": ANY, "AuthTokenUpdateStrategy": strategy, "ApplyImmediately": True}
    elasticache.add_response("modify_replication_group", {}, changed)
    elasticache.add_response("describe_replication_groups", {"ReplicationGroups": [{"Status": "available"}]}, group)


def rotate(name: str, told: Told, **options: bool) -> list[str]:
    rotation.rotate(name, load_settings(), lambda line: None, **options)
    for stubber in told.stubs.values():
        stubber.assert_no_pending_responses()
    return [each for each in told if "Describe" not in each]


def test_valkey_takes_both_passwords_until_every_gateway_has_the_new_one(told: Told) -> None:
    expect_valkey(told, "ROTATE")
    expect_restart(told, "GatewayServiceName")
    expect_valkey(told, "SET")
    assert rotate("valkey-password", told) == [
        "prepare the-ValkeyPasswordSecret",
        "elasticache:ModifyReplicationGroupROTATE",
        "promote",
        "ecs:UpdateServicethe-GatewayServiceName",
        "elasticache:ModifyReplicationGroupSET",
    ]


@pytest.mark.parametrize(
    ("name", "secret", "services"),
    [
        ("master-key", "MasterKeySecret", ["GatewayServiceName"]),
        ("phoenix-secret", "PhoenixSigningSecret", ["PhoenixServiceName"]),
        ("phoenix-admin-secret", "PhoenixKeySecret", ["PhoenixServiceName", "GatewayServiceName"]),
    ],
)
def test_the_readers_of_a_secret_are_replaced_one_after_the_other(
    name: str, secret: str, services: list[str], told: Told
) -> None:
    for service in services:
        expect_restart(told, service)
    replaced = [f"ecs:UpdateServicethe-{service}" for service in services]
    assert rotate(name, told) == [f"prepare the-{secret}", "promote", *replaced]


@pytest.mark.parametrize(("name", "secret"), [("experiment-key", "ExperimentKey"), ("chatbot-key", "ChatbotKey")])
@pytest.mark.parametrize("now", [False, True])
def test_a_virtual_keys_former_value_is_ended_last(name: str, secret: str, now: bool, told: Told) -> None:
    assert rotate(name, told, now=now) == [
        *(f"prepare the-{secret}Secret", "admit the key", "promote", f"retire former now={now}")
    ]


def test_every_secret_of_the_platform_is_replaced_or_says_why_not() -> None:
    named = {secret.name for secret in blueprint.SECRETS}
    assert named <= rotation.ROTATIONS.keys() | rotation.FIXED.keys()
    for name in rotation.FIXED:
        with pytest.raises(InputError, match=f"{name} is not replaced: "):
            rotation.rotate(name, load_settings(), lambda line: None)
    with pytest.raises(InputError, match="There is no secret 'x': give one of master-key, "):
        rotation.rotate("x", load_settings(), lambda line: None)


def test_a_platform_of_an_older_version_is_told_what_to_do(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployed, "platform_outputs", lambda name, region: {"GatewayUrl": "https://x"})
    with pytest.raises(DeploymentError, match="has no valkey-password: deploy it with this version first"):
        rotation.rotate("valkey-password", load_settings(), lambda line: None)


def test_a_new_value_is_shown_nowhere() -> None:
    assert "sk-" not in repr(rotation.Change("sk-former", "sk-new"))
