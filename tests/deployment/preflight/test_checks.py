"""All checks together: what they ask, and what happens when AWS denies or does not answer."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from stubbed_account import ARN, Refusal, StubbedAccount

from qa_eval.deployment.preflight.account import Account, NotAnswered
from qa_eval.deployment.preflight.checks import BOOTSTRAP, CHECKS, DOMAIN_CHECKS, run_checks
from qa_eval.deployment.preflight.findings import CheckResult
from qa_eval.deployment.preflight.permissions import PERMISSIONS
from qa_eval.errors import DeploymentError
from qa_eval_infra.settings import load_settings

DOMAIN = ("domain=qa.example.org", "hosted_zone_id=Z0123456789")
DIGEST = f"registry.example.org/server@sha256:{'0' * 64}"
UNREACHABLE = EndpointConnectionError(endpoint_url="https://aws.invalid")


def run(*flags: str, **options: Any) -> list[CheckResult]:
    settings = load_settings(assignments=[f"litellm_image={DIGEST}", f"phoenix_image={DIGEST}", *flags])
    return list(run_checks(settings, Account(settings.name, settings.region), **options))


def test_a_fresh_account_passes_every_check_and_is_only_read(account: StubbedAccount) -> None:
    results = run(*DOMAIN)
    assert [result.check for result in results] == [*CHECKS, *DOMAIN_CHECKS]
    assert not any(result.findings for result in results)
    assert {action for action, _, _ in account.asked} == PERMISSIONS


def test_a_deployed_stack_passes_too(account: StubbedAccount) -> None:
    account.deployed(EC2_VPC="vpc-1", EC2_EIP="192.0.2.1", ECS_Service="arn:service", Lex_Bot="BOT1234567")
    assert not any(result.findings for result in run(*DOMAIN))


def test_every_permission_reads() -> None:
    for action in PERMISSIONS:
        assert re.fullmatch(r"[a-z0-9-]+:(Get|List|Describe)\w+", action), action


def test_the_documented_policy_is_what_is_used() -> None:
    page = (Path(__file__).parents[3] / "docs" / "deployment.md").read_text()
    ((statement,),) = [json.loads(block)["Statement"] for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert statement["Effect"] == "Allow"
    assert statement["Action"] == sorted(PERMISSIONS)


def test_another_operation_is_never_called(account: StubbedAccount) -> None:
    with pytest.raises(ValueError, match="ec2:DeleteVpc is not among the preflight's permissions"):
        Account("qa-eval", "us-east-1").ask("ec2", "delete_vpc", VpcId="vpc-1")
    assert account.asked == []


def test_without_a_domain_its_checks_are_left_out(account: StubbedAccount) -> None:
    assert [result.check for result in run(without=(BOOTSTRAP,))] == [name for name in CHECKS if name != BOOTSTRAP]
    assert not {action for action, _, _ in account.asked} & {"route53:GetHostedZone", "ssm:GetParameter"}


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"])
@pytest.mark.parametrize("action", sorted(PERMISSIONS - {"sts:GetCallerIdentity"}))
def test_a_denied_question_is_a_finding_and_the_other_checks_go_on(
    account: StubbedAccount, action: str, code: str
) -> None:
    account.answers[action] = Refusal(code, "You are not authorized to perform this operation.")
    results = run(*DOMAIN)
    assert len(results) == len(CHECKS) + len(DOMAIN_CHECKS)
    found = {(finding.kind, finding.sentence) for result in results for finding in result.findings}
    assert found == {("unchecked", f"AWS denies {action}: allow it to check this.")}
    assert not any(result.fails for result in results)


def test_a_finding_before_a_denied_question_is_kept(account: StubbedAccount) -> None:
    def answer(asked: dict[str, Any], region: str) -> Refusal:
        return Refusal("ParameterNotFound" if region == "us-east-1" else "AccessDeniedException")

    account.answers["ssm:GetParameter"] = answer
    found = {result.check: result.findings for result in run("region=us-west-2")}[BOOTSTRAP]
    assert [finding.kind for finding in found] == ["fails", "unchecked"]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Refusal("ThrottlingException", "Rate exceeded."), "AWS refuses ListBots: ThrottlingException, Rate exceeded"),
        (UNREACHABLE, 'AWS cannot be reached: Could not connect to the endpoint URL: "https://aws.invalid"'),
    ],
)
def test_a_service_that_does_not_answer_could_not_be_checked(
    account: StubbedAccount, answer: Any, sentence: str
) -> None:
    account.answers["lex:ListBots"] = answer
    ((finding,),) = [result.findings for result in run() if result.findings]
    assert (finding.kind, finding.sentence) == ("unchecked", f"{sentence}: run the preflight again.")


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId", "ExpiredTokenException"])
def test_credentials_that_aws_does_not_accept_end_the_checks(account: StubbedAccount, code: str) -> None:
    account.answers["sts:GetCallerIdentity"] = Refusal(code)
    (result,) = run()
    assert (result.check, result.fails) == ("caller", True)
    (finding,) = result.findings
    assert finding.sentence.startswith(f"AWS does not accept the credentials ({code}): sign in again, for example")


def test_a_token_that_expires_meanwhile_ends_the_checks(account: StubbedAccount) -> None:
    account.answers["ec2:DescribeAvailabilityZones"] = Refusal("AuthFailure")
    results = run()
    assert [result.check for result in results] == ["caller", "bootstrap", "stacks", "names", "zones"]
    assert results[-1].fails


def test_without_a_way_to_aws_there_is_no_result(account: StubbedAccount) -> None:
    account.answers["sts:GetCallerIdentity"] = UNREACHABLE
    with pytest.raises(DeploymentError, match="AWS cannot be reached: Could not connect to the endpoint URL"):
        run()


def test_the_caller_is_known_when_aws_has_accepted_it(account: StubbedAccount) -> None:
    asked = Account("qa-eval", "us-east-1")
    assert asked.caller is None
    assert asked.sign_in() == asked.caller == ARN
    account.answers["lambda:GetAccountSettings"] = Refusal("ServiceException")
    with pytest.raises(NotAnswered, match="AWS refuses GetAccountSettings: ServiceException"):
        asked.ask("lambda", "get_account_settings")


def test_without_credentials_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DeploymentError, match=r"^No valid AWS credentials \(Unable to locate credentials\): sign in"):
        run()
