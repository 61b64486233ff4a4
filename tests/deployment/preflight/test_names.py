"""The stacks' states, and names that somebody else has taken."""

from __future__ import annotations

from typing import Any

import pytest
from stubbed_account import THEN, Answer, Refusal, StubbedAccount, listing, stack

from qa_eval.blueprint import outputs
from qa_eval.deployment.preflight.names import NAMED, stack_names
from qa_eval_infra.app import prepare
from qa_eval_infra.settings import load_settings

GUARDRAIL = {
    "id": "g1",
    "arn": "arn:aws:bedrock:us-east-1:123456789012:guardrail/g1",
    "status": "READY",
    "name": "qa-eval-litellm-content-filter",
    "version": "DRAFT",
    "createdAt": THEN,
    "updatedAt": THEN,
}
ORIGIN = {
    "Id": "vo_1",
    "Name": "qa-eval-http",
    "Status": "Deployed",
    "CreatedTime": THEN,
    "LastModifiedTime": THEN,
    "Arn": "arn:aws:cloudfront::123456789012:vpcorigin/vo_1",
    "OriginEndpointArn": "arn:balancer",
}
TAKEN: dict[str, tuple[str, Answer, str, str]] = {
    "cloudwatch:ListDashboards": (
        "dashboard qa-eval",
        {"DashboardEntries": [{"DashboardName": "qa-eval"}, {"DashboardName": "other"}]},
        "CloudWatch_Dashboard",
        "qa-eval",
    ),
    "bedrock:ListGuardrails": (
        "guardrail qa-eval-litellm-content-filter",
        {"guardrails": [GUARDRAIL]},
        "Bedrock_Guardrail",
        str(GUARDRAIL["arn"]),
    ),
    "servicediscovery:ListNamespaces": (
        "Cloud Map namespace qa-eval.internal",
        {"Namespaces": [{"Id": "ns-1", "Name": "qa-eval.internal"}]},
        "ServiceDiscovery_HttpNamespace",
        "ns-1",
    ),
    "cloudfront:ListVpcOrigins": (
        "VPC origin qa-eval-http",
        listing(VpcOriginList=[ORIGIN]),
        "CloudFront_VpcOrigin",
        "vo_1",
    ),
    "lex:ListBots": (
        "Lex bot QAAssistant",
        {"botSummaries": [{"botId": "BOT1234567", "botName": "QAAssistant"}]},
        "Lex_Bot",
        "BOT1234567",
    ),
}


@pytest.mark.parametrize("action", sorted(TAKEN))
def test_a_name_is_free_taken_or_the_stacks_own(account: StubbedAccount, find: Any, action: str) -> None:
    what, answer, kind, physical = TAKEN[action]
    assert find("names") == []
    account.answers[action] = answer
    otherwise = "set `chatbot: false`" if action == "lex:ListBots" else "use another `name`"
    sentence = f"The account already has a {what}, which is not the stack's: delete it, or {otherwise}."
    assert find("names") == [("fails", sentence)]
    account.deployed(**{kind: "another"})
    assert find("names") == [("fails", sentence)]
    account.deployed(**{kind: physical})
    assert find("names") == []


def test_what_the_deployment_does_not_have_needs_no_name(account: StubbedAccount, find: Any) -> None:
    account.answers["lex:ListBots"] = TAKEN["lex:ListBots"][1]
    account.answers["cloudfront:ListVpcOrigins"] = TAKEN["cloudfront:ListVpcOrigins"][1]
    public = ("load_balancer=public", "domain=qa.example.org", "hosted_zone_id=Z1")
    assert find("names", "chatbot=false", *public) == []
    assert find("names", "chatbot=false", *public[1:]) == [], "with a domain it is another origin"


def test_a_denied_list_leaves_the_others(account: StubbedAccount, find: Any) -> None:
    account.answers["bedrock:ListGuardrails"] = Refusal("AccessDeniedException")
    account.answers["lex:ListBots"] = TAKEN["lex:ListBots"][1]
    (denied, taken) = find("names")
    assert denied == ("unchecked", "AWS denies bedrock:ListGuardrails: allow it to check this.")
    assert taken[0] == "fails"


def named(template: dict[str, Any]) -> dict[str, str]:
    """The names of the resources that need one, as the template has them."""
    found = {}
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        name = properties.get("DashboardName") or properties.get("Name")
        name = name or properties.get("VpcOriginEndpointConfig", {}).get("Name")
        if isinstance(name, str):
            found[resource["Type"]] = name
    return found


@pytest.mark.parametrize(
    "flags",
    [
        ("name=another",),
        ("domain=qa.example.org", "hosted_zone_id=Z1"),
        ("domain=qa.example.org", "hosted_zone_id=Z1", "load_balancer=public"),
        ("chatbot=false", "waf=false", "region=us-west-2"),
    ],
)
def test_stacks_and_names_are_those_of_the_templates(flags: tuple[str, ...]) -> None:
    prepare()
    from qa_eval_infra.stacks import build

    settings = load_settings(assignments=flags)
    made = build(settings).synth()
    assert stack_names(settings) == {each.stack_name: each.environment.region for each in made.stacks}
    for each in made.stacks:
        assert each.template["Description"].startswith(outputs.DESCRIPTION)
    names = named(made.get_stack_by_name(settings.name).template)
    wanted = {each.type: name for each in NAMED if (name := each.name(settings))}
    unique = {kind: name for kind, name in names.items() if kind != "AWS::Route53::RecordSet"}
    assert wanted == unique


def state(status: str, name: str = "qa-eval") -> Any:
    def answer(asked: dict[str, Any], region: str) -> Answer:
        assert region == "us-east-1"
        known = asked["StackName"] == name
        return stack(status) if known else Refusal("ValidationError", "does not exist")

    return answer


@pytest.mark.parametrize(
    ("status", "rest"),
    [
        ("UPDATE_IN_PROGRESS", ": wait until its change has ended."),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", ": wait until its change has ended."),
        ("ROLLBACK_IN_PROGRESS", ": wait until its change has ended."),
        ("ROLLBACK_FAILED", ", which cannot be updated: see the stack's events, and run `qa-eval infra destroy`."),
        ("DELETE_FAILED", ", which cannot be updated: see the stack's events, and run `qa-eval infra destroy`."),
        (
            "UPDATE_ROLLBACK_FAILED",
            ": run `aws cloudformation continue-update-rollback --region us-east-1 --stack-name qa-eval`.",
        ),
    ],
)
def test_a_stack_that_cannot_be_updated(account: StubbedAccount, find: Any, status: str, rest: str) -> None:
    account.answers["cloudformation:DescribeStacks"] = state(status)
    assert find("stacks") == [("fails", f"The stack qa-eval in us-east-1 is {status}{rest}")]


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE"])
def test_a_stack_that_the_cdk_command_updates_or_replaces(account: StubbedAccount, find: Any, status: str) -> None:
    account.answers["cloudformation:DescribeStacks"] = state(status)
    assert find("stacks") == []


def test_a_stack_of_which_only_a_change_set_exists(account: StubbedAccount, find: Any) -> None:
    described: Any = stack("REVIEW_IN_PROGRESS")
    del described["Stacks"][0]["Description"]
    account.answers["cloudformation:DescribeStacks"] = described
    assert find("stacks") == []


def test_the_stack_of_the_edge_counts_too(account: StubbedAccount, find: Any) -> None:
    account.answers["cloudformation:DescribeStacks"] = state("DELETE_FAILED", "qa-eval-edge")
    ((_, sentence),) = find("stacks")
    assert sentence.startswith("The stack qa-eval-edge in us-east-1 is DELETE_FAILED")
    assert find("stacks", "waf=false") == []


def test_a_stack_of_somebody_else(account: StubbedAccount, find: Any) -> None:
    account.answers["cloudformation:DescribeStacks"] = stack("UPDATE_IN_PROGRESS", "Our shop")
    rest = "in us-east-1 is not a deployment of `qa-eval infra deploy`: use another `name`."
    assert find("stacks") == [("fails", f"The stack qa-eval-edge {rest}"), ("fails", f"The stack qa-eval {rest}")]
