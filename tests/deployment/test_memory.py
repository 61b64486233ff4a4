"""Remembered configurations, with each call of AWS checked against the service's model."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from botocore.stub import ANY, Stubber

from qa_eval.deployment import memory
from qa_eval.errors import DeploymentError
from qa_eval_infra.settings import QaEvalSettings, load_settings

NAME = "/qa-eval/qa-eval/configuration"
PASSED = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)


class Stubbed:
    """An account's Systems Manager and CloudFormation."""

    def __init__(self) -> None:
        options = {"region_name": "us-east-1", "aws_access_key_id": "nobody", "aws_secret_access_key": "nothing"}
        self.clients = {name: boto3.client(name, **options) for name in ("ssm", "cloudformation")}
        self.stubs = {name: Stubber(client) for name, client in self.clients.items()}
        for stub in self.stubs.values():
            stub.activate()

    def holds(self, value: str | None, version: int = 1, asked: str = NAME) -> None:
        if value is None:
            code = "ParameterVersionNotFound" if ":" in asked else "ParameterNotFound"
            self.stubs["ssm"].add_client_error("get_parameter", code, expected_params={"Name": asked})
            return
        parameter = {"Name": NAME, "Value": value, "Version": version, "LastModifiedDate": PASSED}
        self.stubs["ssm"].add_response("get_parameter", {"Parameter": parameter}, {"Name": asked})

    def puts(self) -> None:
        wanted = {"Name": NAME, "Description": ANY, "Value": ANY, "Type": "String", "Overwrite": True}
        self.stubs["ssm"].add_response("put_parameter", {"Version": 2}, {**wanted, "Tier": "Intelligent-Tiering"})

    def has_template(self, body: str, stack: str = "qa-eval") -> None:
        wanted = {"StackName": stack, "TemplateStage": "Original"}
        self.stubs["cloudformation"].add_response("get_template", {"TemplateBody": body}, wanted)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubbed]:
    stubbed = Stubbed()
    monkeypatch.setattr(memory, "client", lambda service, region: stubbed.clients[service])
    yield stubbed
    for stub in stubbed.stubs.values():
        stub.assert_no_pending_responses()


def nothing(line: str) -> None:
    raise AssertionError(line)


def test_the_first_that_passes_is_kept_and_comes_back_whole(account: Stubbed, tmp_path: Path) -> None:
    config = tmp_path / "own.yml"
    config.write_bytes(load_settings().config_file.read_bytes().replace(b"\n", b"\r\n"))
    settings = load_settings(assignments=[f"config={config}", "rate_limit=500", "tags={team: qa}"])
    account.holds(None)
    account.puts()
    memory.remember(settings, nothing)
    account.holds(memory._packed(settings), 4)
    remembered = memory.recall("qa-eval", "us-east-1")
    assert (remembered.version, remembered.passed) == (4, PASSED)
    restored = memory.restore(remembered, tmp_path / "out")
    assert restored.config_file.read_bytes() == config.read_bytes()
    assert restored.config_file.suffix == ".yml", "part of the name under which the gateway reads it"
    assert restored.model_copy(update={"config": config}) == settings


def test_the_same_again_is_no_new_version(account: Stubbed) -> None:
    account.holds(memory._packed(load_settings()))
    memory.remember(load_settings(), nothing)


def test_the_blueprints_configuration_fits_and_one_that_does_not_is_said(account: Stubbed, tmp_path: Path) -> None:
    assert len(memory._packed(load_settings())) < memory.LARGEST
    config = tmp_path / "config.yaml"
    noise = "".join(f"# {hash((place, 'noise'))}\n" for place in range(2000))
    config.write_text(load_settings().config_file.read_text() + noise)
    said: list[str] = []
    memory.remember(load_settings(assignments=[f"config={config}"]), said.append)
    assert "too large to be remembered" in said[0]


def test_an_earlier_version_can_be_had_and_one_that_is_not_kept_is_a_sentence(account: Stubbed) -> None:
    value = memory._packed(load_settings())
    account.holds(value, 12)
    account.holds(value, 11, f"{NAME}:11")
    assert memory.recall("qa-eval", "us-east-1", 11).version == 11
    for wrong in (1, 13):
        account.holds(value, 12)
        with pytest.raises(DeploymentError, match=f"Version {wrong} .* give one from 3 to 12"):
            memory.recall("qa-eval", "us-east-1", wrong)
    account.holds(value, 12)
    account.holds(None, asked=f"{NAME}:5")
    with pytest.raises(DeploymentError, match="Version 5"):
        memory.recall("qa-eval", "us-east-1", 5)


def test_nothing_remembered_is_a_sentence(account: Stubbed) -> None:
    account.holds(None)
    with pytest.raises(DeploymentError, match="No configuration of qa-eval in us-east-1 is remembered"):
        memory.recall("qa-eval", "us-east-1")


def test_what_somebody_else_wrote_there_is_a_sentence(account: Stubbed) -> None:
    account.holds("hello")
    with pytest.raises(DeploymentError, match="holds no configuration of qa-eval"):
        memory.recall("qa-eval", "us-east-1")


def test_settings_of_another_version_name_the_version_that_takes_them(account: Stubbed, tmp_path: Path) -> None:
    settings = {**load_settings().model_dump(mode="json", exclude={"config"}), "colour": "blue"}
    config = load_settings().config_file.read_text()
    old = memory.RememberedConfiguration(1, PASSED, "0.0.9", settings, config, ".yaml")
    with pytest.raises(DeploymentError, match=r"does not take the remembered colour: use version 0\.0\.9"):
        memory.restore(old, tmp_path)


@pytest.mark.parametrize(("body", "same"), [('{"Resources": {}}', True), ('{"Resources": {"A": 1}}', False)])
def test_what_is_deployed_is_compared_by_its_template(account: Stubbed, tmp_path: Path, body: str, same: bool) -> None:
    for stack in ("qa-eval", "qa-eval-edge"):
        (tmp_path / f"{stack}.template.json").write_text('{"Resources":{}}')
    account.has_template('{"Resources": {}}')
    account.has_template(body, "qa-eval-edge")
    assert memory.is_deployed(QaEvalSettings(), tmp_path) == same


def test_a_stack_that_is_gone_is_not_deployed(account: Stubbed, tmp_path: Path) -> None:
    (tmp_path / "qa-eval.template.json").write_text("{}")
    message = "Stack with id qa-eval does not exist"
    account.stubs["cloudformation"].add_client_error("get_template", "ValidationError", message)
    assert not memory.is_deployed(QaEvalSettings(), tmp_path)


def test_what_aws_refuses_is_a_sentence(account: Stubbed) -> None:
    account.stubs["ssm"].add_client_error("get_parameter", "AccessDeniedException", "not allowed")
    with pytest.raises(DeploymentError, match="AWS refuses GetParameter: AccessDeniedException"):
        memory.recall("qa-eval", "us-east-1")
    account.stubs["ssm"].add_response("delete_parameters", {}, {"Names": [NAME]})
    memory.forget("qa-eval", "us-east-1")
