"""`qa-eval infra` as it is typed; AWS, registries and the CDK command are stood in for where they would be asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from rich.console import Console
from stubbed_account import ARN, NO_STACK, Refusal, StubbedAccount, stubbed_account
from typer.testing import CliRunner

from qa_eval.aws import deployed
from qa_eval.aws.deployed import DeployedStack
from qa_eval.blueprint import outputs
from qa_eval.blueprint.gateway import config_path
from qa_eval.cli.main import app
from qa_eval.deployment import cdk, images, keys, memory, package, readiness, rotation, smoke
from qa_eval.errors import DeploymentError, InputError
from qa_eval.experiment import prices
from qa_eval.experiment.metadata import Servers

TOLD = {
    outputs.GATEWAY_URL: "https://d1.cloudfront.net",
    outputs.PHOENIX_URL: "https://d1.cloudfront.net/phoenix",
    outputs.MASTER_KEY_SECRET: "arn:master",
    outputs.EXPERIMENT_KEY_SECRET: "arn:experiment",
    outputs.CHATBOT_KEY_SECRET: "arn:chatbot",
}


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["infra", *arguments])


class Parameters:
    """Systems Manager's parameters with their versions, and the templates that CloudFormation has, by stack."""

    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self.templates: dict[str, Any] = {}

    def get_parameter(self, Name: str) -> Any:
        name, _, version = Name.partition(":")
        kept = self.values.get(name, [])
        if not kept:
            raise ClientError({"Error": {"Code": "ParameterNotFound"}}, "GetParameter")
        place = int(version or len(kept))
        modified = datetime(2026, 11, place, tzinfo=UTC)
        return {"Parameter": {"Name": name, "Version": place, "Value": kept[place - 1], "LastModifiedDate": modified}}

    def put_parameter(self, Name: str, Value: str, **_: Any) -> None:
        self.values.setdefault(Name, []).append(Value)

    def delete_parameters(self, Names: list[str]) -> None:
        for name in Names:
            self.values.pop(name, None)

    def get_template(self, StackName: str, **_: Any) -> Any:
        return {"TemplateBody": self.templates.get(StackName)}


class Recorded(list[str]):
    """What happened, in its order."""

    status: str | None = "UPDATE_COMPLETE"
    """CloudFormation's status of the stack."""

    def __init__(self) -> None:
        super().__init__()
        self.parameters = Parameters()
        self.account: dict[str, Any] = {"ssm": self.parameters, "cloudformation": self.parameters}

    keys: tuple[keys.VirtualKey, ...] = ()
    findings: tuple[str, ...] = ()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubbedAccount]:
    with stubbed_account(monkeypatch) as stubbed:
        yield stubbed


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, account: StubbedAccount) -> Recorded:
    """An account in which everything works, and the folder that the command is run in."""
    happened = Recorded()

    def caller(asked: dict[str, Any], region: str) -> Any:
        happened.append("ask")
        return {"Arn": ARN}

    account.answers["sts:GetCallerIdentity"] = caller

    def note(name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            happened.append(name)
            return happened.findings

        return call

    def pin(image: str, architecture: str) -> str:
        assert architecture == "x86_64"
        happened.append("pin")
        return f"{image.rpartition(':')[0]}@sha256:{'0' * 64}"

    def provide(url: str, master: str, given: list[keys.VirtualKey], region: str) -> None:
        happened.append("keys")
        happened.keys = tuple(given)

    async def priced(servers: Servers) -> str:
        assert (servers.gateway_key, servers.phoenix_key) == ("the-master-key", "p")
        happened.append("prices")
        return ""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setattr(images, "pin", pin)
    monkeypatch.setattr(cdk, "run", lambda verb, assembly, more=(): happened.append(" ".join([verb, *more])))
    monkeypatch.setattr(keys, "provide", provide)
    monkeypatch.setattr(deployed, "stack_status", lambda name, region: happened.status)
    monkeypatch.setattr(deployed, "delete_stack", lambda name, region: happened.append(f"delete {name} {region}"))
    monkeypatch.setattr(readiness, "wait_until_ready", lambda url, on_progress: happened.append("ready"))
    monkeypatch.setattr(deployed, "platform_outputs", lambda name, region=None: TOLD)
    monkeypatch.setattr(deployed, "read_secret", lambda secret, region=None: "the-master-key")
    monkeypatch.setattr(
        deployed, "find", lambda name, region=None: DeployedStack(name, "https://x", "https://x/phoenix", "sk-x", "p")
    )
    monkeypatch.setattr(prices, "price_gateway", priced)
    monkeypatch.setattr(memory, "client", lambda service, region: happened.account[service])
    monkeypatch.setattr(smoke, "verify_gateway", note("guardrail"))
    monkeypatch.setattr(smoke, "run_smoke_experiment", note("experiment"))
    return happened


def test_deploy_checks_pins_deploys_hands_out_keys_and_tries(recorded: Recorded, tmp_path: Path) -> None:
    done = run("deploy", "--yes", "--set", "chatbot=false")
    assert done.exit_code == 0, done.output
    asked, pinned = ["ask", "pin", "pin"], ["pin", "pin"]  # asking looks whether the images can be pinned
    made = ["deploy --require-approval never", "ready", "keys", "prices", "guardrail", "experiment"]
    assert recorded == [*asked, *pinned, *made]
    assert "qa-eval is deployed: https://d1.cloudfront.net" in done.output
    template = (tmp_path / "cdk.out" / "qa-eval.template.json").read_text()
    assert f"ghcr.io/berriai/litellm-database@sha256:{'0' * 64}" in template
    assert "the-master-key" not in done.output


def protected(template: Path) -> bool:
    database, *_ = [
        each["Properties"]
        for each in json.loads(template.read_text())["Resources"].values()
        if each["Type"] == "AWS::RDS::DBCluster"
    ]
    return bool(database["DeletionProtection"])


@pytest.mark.parametrize("status", [None, "ROLLBACK_COMPLETE"])
def test_a_first_deployment_is_protected_only_after_it_was_verified(
    status: str | None, recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is protected from deletion cannot be rolled back."""
    recorded.status = status
    template, seen = tmp_path / "cdk.out" / "qa-eval.template.json", []
    monkeypatch.setattr(cdk, "run", lambda verb, assembly, more=(): seen.append((verb, protected(template), *recorded)))
    assert run("deploy", "--yes", "--set", "chatbot=false").exit_code == 0
    first, second = seen
    before = ("ask", "pin", "pin", "pin", "pin")
    assert first == ("deploy", False, *before)
    assert second == ("deploy", True, *before, "ready", "keys", "prices", "guardrail", "experiment")


def test_a_first_deployment_with_a_finding_stays_removable(recorded: Recorded, tmp_path: Path) -> None:
    recorded.status, recorded.findings = None, ("claude-haiku does not answer: HTTP 403, no access.",)
    assert run("deploy", "--yes", "--set", "chatbot=false").exit_code == 1
    assert not protected(tmp_path / "cdk.out" / "qa-eval.template.json")


def test_an_update_keeps_the_protection(recorded: Recorded, tmp_path: Path) -> None:
    recorded.status = "UPDATE_ROLLBACK_COMPLETE"
    assert run("deploy", "--yes", "--set", "chatbot=false").exit_code == 0
    assert [each for each in recorded if each.startswith("deploy")] == ["deploy --require-approval never"]
    assert protected(tmp_path / "cdk.out" / "qa-eval.template.json")


@pytest.mark.parametrize("command", [["deploy", "--no-smoke"], ["destroy", "--set", "deletion_protection=false"]])
def test_the_stack_in_cloudfronts_region_is_not_left_behind(command: list[str], recorded: Recorded) -> None:
    """CDK forgets a stack that the settings do not name any more."""
    assert run(*command, "--yes", "--set", "waf=false").exit_code == 0
    assert recorded[-1] == "delete qa-eval-edge us-east-1"


def test_the_keys_are_bound_to_models_and_budgets(recorded: Recorded) -> None:
    run("deploy", "--no-smoke", "--set", "chatbot_model=nova-lite", "--set", "experiment_budget=7")
    experiments, chatbot = recorded.keys
    assert (experiments.secret, experiments.budget_usd) == ("arn:experiment", 7)
    assert "qa" in experiments.models
    assert (chatbot.secret, chatbot.models, chatbot.budget_usd) == ("arn:chatbot", ("nova-lite",), 20)
    assert "deploy --require-approval broadening" in recorded, "without --yes the CDK command asks"
    assert recorded[-3:] == ["ready", "keys", "prices"]


def test_a_finding_of_the_smoke_test_fails_the_command(recorded: Recorded) -> None:
    recorded.findings = ("A question that must be blocked was answered by qa: the guardrail is inactive.",)
    done = run("deploy", "--yes", "--set", "chatbot=false")
    assert done.exit_code == 1
    assert "the guardrail is inactive" in done.output


def test_a_configuration_with_a_finding_is_not_deployed(recorded: Recorded, tmp_path: Path) -> None:

    config = tmp_path / "config.yaml"
    config.write_text(config_path().read_text().replace("base_model: us.amazon.nova-micro-v1:0", "base_model: unknown"))
    done = run("deploy", "--yes", "--set", f"config={config}")
    assert done.exit_code == 1
    assert f"Nothing is deployed: correct {config} first." in done.output
    assert recorded == []


def test_what_would_fail_is_not_deployed(recorded: Recorded, account: StubbedAccount, tmp_path: Path) -> None:
    account.answers["ec2:DescribeVpcs"] = {"Vpcs": [{"VpcId": f"vpc-{n}"} for n in range(5)]}
    account.answers["lex:ListBots"] = Refusal("AccessDeniedException")
    done = run("deploy", "--yes")
    assert done.exit_code == 1
    assert "FAILS      vpc-quota: VPCs: 1 needed in us-east-1, and 0 of 5 free" in done.stderr
    assert "unchecked  names: AWS denies lex:ListBots: allow it to check this." in done.stderr
    assert "Nothing is deployed: correct this first, or use --no-preflight to try it anyway." in done.stderr
    assert "model-access" not in done.output, "only findings"
    assert recorded == ["ask", "pin", "pin"]
    assert not (tmp_path / "cdk.out").exists()


def test_what_could_not_be_checked_is_deployed(recorded: Recorded, account: StubbedAccount) -> None:
    account.answers["lex:ListBots"] = Refusal("AccessDeniedException")
    done = run("deploy", "--yes", "--no-smoke")
    assert done.exit_code == 0
    assert "AWS denies lex:ListBots" in done.stderr


def test_nobody_is_asked_if_the_user_does_not_want_it(recorded: Recorded, account: StubbedAccount) -> None:
    assert run("deploy", "--yes", "--no-smoke", "--no-preflight").exit_code == 0
    assert recorded == ["pin", "pin", "deploy --require-approval never", "ready", "keys", "prices"]
    assert account.asked == []


def test_a_bootstrap_that_is_about_to_be_made_is_not_missed(
    recorded: Recorded, account: StubbedAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.answers["ssm:GetParameter"] = Refusal("ParameterNotFound")
    monkeypatch.setattr("qa_eval.deployment.release.bootstrap", lambda settings: recorded.append("bootstrap"))
    done = run("deploy", "--yes", "--no-smoke")
    assert done.exit_code == 1
    assert "us-east-1 is not bootstrapped for CDK" in done.stderr
    recorded.clear()
    assert run("deploy", "--yes", "--no-smoke", "--bootstrap").exit_code == 0
    assert recorded.index("ask") < recorded.index("bootstrap") < recorded.index("deploy --require-approval never")


def test_preflight_lists_each_check(recorded: Recorded, account: StubbedAccount) -> None:
    done = run("preflight")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "ok         caller"
    assert lines[-1] == "ok         images"
    assert done.stderr == f"Nothing that was checked would fail in us-east-1 as {ARN}.\n"
    assert set(recorded) == {"ask", "pin"}


def test_preflight_with_findings(recorded: Recorded, account: StubbedAccount) -> None:
    account.answers["bedrock:GetUseCaseForModelAccess"] = Refusal("AccessDeniedException")
    account.answers["ec2:DescribeAvailabilityZones"] = {"AvailabilityZones": []}
    done = run("preflight")
    assert done.exit_code == 1
    assert (
        "FAILS      zones: The account has no zone use1-az1: use another `region`, or another account." in done.stdout
    )
    assert "unchecked  anthropic-form: AWS denies bedrock:GetUseCaseForModelAccess: allow it" in done.stdout
    assert done.stderr == (f"2 findings would fail the deployment in us-east-1 as {ARN}, 1 could not be checked.\n")
    del account.answers["ec2:DescribeAvailabilityZones"]
    account.answers["ec2:DescribeAvailabilityZones"] = Refusal("UnauthorizedOperation")
    assert run("preflight").exit_code == 0, "what could not be checked does not fail"


def test_preflight_as_json(recorded: Recorded, account: StubbedAccount) -> None:
    account.answers["sts:GetCallerIdentity"] = Refusal("ExpiredToken")
    done = run("preflight", "--json", "--set", "name=other", "--set", "region=us-west-2")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    ((check,), sentence) = document["checks"], document["checks"][0]["findings"][0].pop("sentence")
    assert sentence.startswith("AWS does not accept the credentials (ExpiredToken): sign in again")
    assert check == {"check": "caller", "findings": [{"kind": "fails"}]}
    assert {name: value for name, value in document.items() if name != "checks"} == {
        "schema": "qa-eval/preflight@1",
        "stack": "other",
        "region": "us-west-2",
        "caller": None,
        "fails": True,
    }


def test_preflight_fits_into_80_columns(
    recorded: Recorded, account: StubbedAccount, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from qa_eval.cli import console, preflight
    from qa_eval_infra.settings import load_settings

    for action in account.answers.keys() - {"sts:GetCallerIdentity"}:
        account.answers[action] = Refusal("AccessDenied")
    account.answers["cloudformation:ListStackResources"] = NO_STACK
    account.answers["lambda:GetAccountSettings"] = {
        "AccountLimit": {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 0}
    }
    terminal = Console(width=80, force_terminal=True, no_color=True, highlight=False)
    monkeypatch.setattr(console, "output_console", lambda: terminal)
    assert preflight.show(load_settings(), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "FAILS      lambda-quota: Concurrent Lambda functions: 4 needed in us-east-1, and" in lines
    assert "           0 of 10 free: delete unused ones, or request a higher quota (Service" in lines


def test_diff_compares_what_deploy_would_deploy(recorded: Recorded) -> None:
    assert run("diff", "--output", "elsewhere").exit_code == 0
    assert recorded == ["pin", "pin", "diff"]
    assert Path("elsewhere/manifest.json").exists()


def test_destroy_refuses_what_is_protected_and_says_how(recorded: Recorded) -> None:
    done = run("destroy", "--yes")
    assert isinstance(done.exception, DeploymentError)
    assert "deletion_protection=false" in str(done.exception)
    assert recorded == []


def test_destroy_names_what_it_keeps(recorded: Recorded) -> None:
    done = run("destroy", "--yes", "--set", "deletion_protection=false")
    assert done.exit_code == 0
    assert recorded == ["destroy --force"]
    assert "AWS::S3::Bucket AccessLogs" in done.output
    assert "AWS::RDS::DBCluster DatabaseCluster" in done.output
    assert "(final snapshot)" in done.output


def test_outputs_as_a_table_and_as_json(recorded: Recorded) -> None:
    assert "GatewayUrl           https://d1.cloudfront.net" in run("outputs").output
    assert json.loads(run("outputs", "--json").output) == TOLD


def test_cost_as_a_table_and_as_json() -> None:
    table, document = run("cost").output, json.loads(run("cost", "--json").output)
    assert f"{document['usd_per_month']:.2f}  US dollars a month" in table
    assert {"name", "usd", "how", "source"} == document["components"][0].keys()


@pytest.mark.parametrize("command", ["synth", "diff", "preflight", "deploy", "cost", "destroy"])
def test_a_wrong_setting_is_a_sentence(command: str, recorded: Recorded) -> None:
    done = run(command, "--set", "reigon=x")
    assert isinstance(done.exception, InputError)
    assert "There is no setting 'reigon'" in str(done.exception)
    assert recorded == []


def test_a_replaced_secret_is_told_in_one_sentence(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def rotate(name: str, settings: Any, on_progress: Any, *, now: bool) -> str:
        asked.append((name, settings.region, now))
        on_progress("Replacing the tasks of gateway ...")
        return "The gateway takes the new master key only."

    monkeypatch.setattr(rotation, "rotate", rotate)
    done = run("rotate", "master-key", "--set", "region=us-west-2", "--now")
    assert (done.exit_code, done.stdout) == (0, "The gateway takes the new master key only.\n")
    assert asked == [("master-key", "us-west-2", True)]


NAME = "/qa-eval/qa-eval/configuration"


def templates(tmp_path: Path) -> dict[str, Any]:
    """The templates of the last synthesis, by stack."""
    return {
        path.name.removesuffix(".template.json"): json.loads(path.read_text())
        for path in (tmp_path / "cdk.out").glob("*.template.json")
    }


def test_what_passes_is_remembered_once_and_without_a_secret(recorded: Recorded, tmp_path: Path) -> None:
    for flags in ((), (), ("--set", "rate_limit=5000")):
        assert run("deploy", "--yes", "--set", "chatbot=false", *flags).exit_code == 0
    assert len(recorded.parameters.values[NAME]) == 2
    last = memory.recall("qa-eval", "us-east-1")
    assert last.version == 2
    assert last.settings["rate_limit"] == 5000
    assert last.settings["litellm_image"].endswith(f"@sha256:{'0' * 64}")
    assert "model_list:" in last.config
    assert "the-master-key" not in json.dumps([last.settings, last.config])


@pytest.mark.parametrize("flags", [["--no-smoke"], []])
def test_what_was_not_verified_is_not_remembered(recorded: Recorded, flags: list[str]) -> None:
    recorded.findings = ("F1 is 0.2, below the gate of 0.5.",)
    run("deploy", "--yes", "--set", "chatbot=false", *flags)
    assert recorded.parameters.values == {}


def test_rollback_shows_the_change_and_deploys_the_last_that_passed_by_the_same_steps(
    recorded: Recorded, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(config_path().read_text().replace("num_retries: 3", "num_retries: 2"))
    assert run("deploy", "--yes", "--set", "chatbot=false", "--set", f"config={config}").exit_code == 0
    passed = templates(tmp_path)
    config.unlink()
    recorded.findings = ("claude-haiku does not answer: HTTP 500.",)
    assert run("deploy", "--yes").exit_code == 1
    recorded.parameters.templates, recorded.findings = templates(tmp_path), ()
    recorded.clear()

    done = run("rollback", "--yes")
    assert done.exit_code == 0, done.output
    assert recorded == [
        *("diff", "deploy --require-approval never", "ready", "keys", "prices", "guardrail", "experiment"),
    ]
    assert templates(tmp_path) == passed
    assert "Version 1, which passed its verification on 2026-11-01" in done.output
    assert "the next `deploy` deploys them again" in done.output


def test_rollback_asks_before_it_deploys(recorded: Recorded) -> None:
    run("deploy", "--yes", "--set", "chatbot=false")
    recorded.clear()
    assert run("rollback").exit_code == 1
    assert recorded == ["diff"]


def test_rollback_to_what_is_deployed_is_a_sentence_and_an_earlier_version_can_be_given(
    recorded: Recorded, tmp_path: Path
) -> None:
    for limit in (1000, 2000):
        run("deploy", "--yes", "--set", "chatbot=false", "--set", f"rate_limit={limit}")
    recorded.parameters.templates = templates(tmp_path)
    recorded.clear()
    refused = run("rollback", "--yes")
    assert isinstance(refused.exception, DeploymentError)
    assert "Version 2 of the remembered configurations of qa-eval is already deployed" in str(refused.exception)
    assert recorded == []
    assert run("rollback", "--yes", "--version", "1").exit_code == 0
    assert memory.recall("qa-eval", "us-east-1").settings["rate_limit"] == 1000


def test_a_rollback_is_not_compared_with_what_is_broken(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "canary.zip"
    archive.write_bytes(b"PK\x05\x06" + bytes(18))
    monkeypatch.setattr(package, "build", lambda architecture, on_progress: archive)
    monkeypatch.setattr(package, "find", lambda architecture: archive)
    assert run("deploy", "--yes", "--set", "chatbot=false", "--set", "canary=true").exit_code == 0
    assert "f1 < -0.05" in json.dumps(templates(tmp_path))
    assert run("rollback", "--yes").exit_code == 0
    assert "f1 < -0.05" not in json.dumps(templates(tmp_path))
    assert memory.recall("qa-eval", "us-east-1").settings["canary_fail_on"] == ["f1 < -0.05"]


def test_rollback_without_a_memory_is_a_sentence(recorded: Recorded) -> None:
    refused = run("rollback", "--yes")
    assert isinstance(refused.exception, DeploymentError)
    assert refused.exception.exit_code == 2
    assert "No configuration of qa-eval in us-east-1 is remembered" in str(refused.exception)


def test_destroy_forgets(recorded: Recorded) -> None:
    run("deploy", "--yes", "--set", "chatbot=false")
    run("destroy", "--yes", "--set", "deletion_protection=false")
    assert recorded.parameters.values == {}


@pytest.mark.parametrize("status", [None, "UPDATE_COMPLETE"])
def test_a_first_deployment_has_no_canary_and_later_ones_pack_its_function(
    status: str | None, recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded.status = status
    archive = tmp_path / "canary.zip"
    archive.write_bytes(b"PK\x05\x06" + bytes(18))
    strategies: list[Any] = []

    def deploy(verb: str, assembly: Path, more: Any = ()) -> None:
        (service,) = [
            each["Properties"]
            for name, each in templates(tmp_path)["qa-eval"]["Resources"].items()
            if each["Type"] == "AWS::ECS::Service" and "Gateway" in name
        ]
        strategies.append(service["DeploymentConfiguration"].get("Strategy"))

    monkeypatch.setattr(cdk, "run", deploy)
    monkeypatch.setattr(package, "build", lambda architecture, on_progress: recorded.append("pack"))
    monkeypatch.setattr(package, "find", lambda architecture: archive)
    assert run("deploy", "--yes", "--set", "canary=true", "--set", "chatbot=false").exit_code == 0
    assert strategies == ([None, "CANARY"] if status is None else ["CANARY"])
    assert "pack" in recorded
