"""The canary in the templates: two target groups, two rules, a hook that may do little, and no secret's value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from templates import DOMAIN, Platform, Synthesise

from qa_eval.blueprint.canary import HEADER, HOOK_VARIABLE, RELEASE_VARIABLE
from qa_eval.blueprint.chatbot.gateway import INSTRUCTION
from qa_eval.deployment.canary_hook import HookSettings
from qa_eval.errors import InputError
from qa_eval_infra.settings import load_settings


@pytest.fixture(scope="module")
def canary(synthesise: Synthesise) -> Platform:
    return synthesise("canary=true")


def name_of(platform: Platform, kind: str, having: str) -> str:
    (name,) = [name for name in platform.all(kind) if having in name]
    return name


def rules(platform: Platform) -> dict[int, dict[str, Any]]:
    return {each["Priority"]: each for each in platform.all("AWS::ElasticLoadBalancingV2::ListenerRule").values()}


def groups(platform: Platform) -> set[str]:
    """The gateway's target groups."""
    all_groups = platform.all("AWS::ElasticLoadBalancingV2::TargetGroup")
    return {name for name, group in all_groups.items() if group["Port"] == 4000}


def test_without_the_setting_nothing_of_it_is_there(platform: Platform) -> None:
    text = json.dumps(platform.home)
    assert "Canary" not in text
    assert "CANARY" not in text
    assert RELEASE_VARIABLE not in text
    assert len(groups(platform)) == 1


def test_the_gateway_is_deployed_beside_its_predecessor_and_phoenix_is_not(canary: Platform) -> None:
    gateway, phoenix = (canary.only("AWS::ECS::Service", name) for name in ("Gateway", "Phoenix"))
    deployment = gateway["DeploymentConfiguration"]
    assert deployment["Strategy"] == "CANARY"
    assert deployment["CanaryConfiguration"] == {"CanaryPercent": 10, "CanaryBakeTimeInMinutes": 10}
    assert deployment["BakeTimeInMinutes"] == 10
    assert "Strategy" not in phoenix["DeploymentConfiguration"]
    (hook,) = deployment["LifecycleHooks"]
    assert hook["LifecycleStages"] == ["POST_TEST_TRAFFIC_SHIFT"]
    function = name_of(canary, "AWS::Lambda::Function", "Canary")
    assert hook["HookTargetArn"] == {"Fn::GetAtt": [function, "Arn"]}


def test_ecs_moves_the_traffic_between_two_equal_groups(canary: Platform) -> None:
    (balancer,) = canary.only("AWS::ECS::Service", "Gateway")["LoadBalancers"]
    advanced = balancer["AdvancedConfiguration"]
    blue, green = balancer["TargetGroupArn"]["Ref"], advanced["AlternateTargetGroupArn"]["Ref"]
    assert {blue, green} == groups(canary)
    both = canary.all("AWS::ElasticLoadBalancingV2::TargetGroup")
    assert both[blue] == both[green]
    found = canary.all("AWS::ElasticLoadBalancingV2::ListenerRule")
    assert found[advanced["ProductionListenerRule"]["Ref"]]["Priority"] == 200
    assert found[advanced["TestListenerRule"]["Ref"]]["Priority"] == 150


def test_the_secret_header_leads_to_the_new_gateway_and_phoenix_comes_first(
    canary: Platform, platform: Platform
) -> None:
    with_canary, without = rules(canary), rules(platform)
    assert sorted(with_canary) == [100, 150, 200]
    assert with_canary[100] == without[100]
    assert with_canary[200]["Conditions"] == without[200]["Conditions"]
    (forward,) = with_canary[200]["Actions"]
    weights = {each["TargetGroupArn"]["Ref"]: each["Weight"] for each in forward["ForwardConfig"]["TargetGroups"]}
    (before,) = groups(platform)
    assert weights.keys() == groups(canary)
    assert weights[before] == 100, "ECS replaces the weights; without a canary CloudFormation writes the rule again"
    path, header = with_canary[150]["Conditions"]
    assert path == with_canary[200]["Conditions"][0]
    assert header["HttpHeaderConfig"]["HttpHeaderName"] == HEADER
    (value,) = header["HttpHeaderConfig"]["Values"]
    assert "{{resolve:secretsmanager:" in json.dumps(value)


def test_a_public_load_balancer_still_wants_cloudfronts_secret(synthesise: Synthesise) -> None:
    found = rules(synthesise(*DOMAIN, "canary=true", "load_balancer=public", "chatbot=false"))
    names = [
        each["HttpHeaderConfig"]["HttpHeaderName"] for each in found[150]["Conditions"] if "HttpHeaderConfig" in each
    ]
    assert names == ["X-Origin-Secret", HEADER]


def test_no_template_holds_a_secret_and_the_function_only_names_them(canary: Platform) -> None:
    assert all("SecretString" not in secret for secret in canary.all("AWS::SecretsManager::Secret").values())
    function = canary.only("AWS::Lambda::Function", "Canary")
    told = json.dumps(function["Environment"]["Variables"][HOOK_VARIABLE])
    assert "resolve" not in told
    key, header = (name_of(canary, "AWS::SecretsManager::Secret", name) for name in ("ExperimentKey", "CanarySecret"))
    assert key in told
    assert header in told
    assert function["Timeout"] < 15 * 60
    assert function["Handler"] == "qa_eval.deployment.canary_hook.lambda_handler"


def test_the_functions_settings_are_those_it_reads(synthesise: Synthesise) -> None:
    chosen = synthesise("canary=true", "canary_examples=50", "canary_inconclusive=pass", "canary_fail_on=em < -0.1")
    parts = chosen.only("AWS::Lambda::Function", "Canary")["Environment"]["Variables"][HOOK_VARIABLE]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else "a-reference" for part in parts)
    assert HookSettings.model_validate_json(text) == HookSettings(
        gateway_url="https://a-reference",
        key_secret="a-reference",
        header_secret="a-reference",
        fail_on=("em < -0.1",),
        examples=50,
        budget_usd=1,
        inconclusive="pass",
    )


def statements(platform: Platform, role: str) -> dict[str, Any]:
    """The actions that a role may do, with their resources."""
    allowed = {}
    for policy in platform.all("AWS::IAM::Policy").values():
        if policy["Roles"] == [{"Ref": role}]:
            for each in policy["PolicyDocument"]["Statement"]:
                actions = [each["Action"]] if isinstance(each["Action"], str) else each["Action"]
                allowed |= dict.fromkeys(actions, each["Resource"])
    return allowed


def test_the_function_may_read_two_secrets_and_two_descriptions_and_write_its_log(canary: Platform) -> None:
    allowed = statements(canary, name_of(canary, "AWS::IAM::Role", "CanaryFunctionRole"))
    assert allowed.keys() == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:GetSecretValue",
        "secretsmanager:DescribeSecret",
        "ecs:DescribeServiceRevisions",
        "ecs:DescribeTaskDefinition",
    }
    read = {resource["Ref"] for resource in allowed["secretsmanager:GetSecretValue"]}
    assert read == {name_of(canary, "AWS::SecretsManager::Secret", name) for name in ("ExperimentKey", "CanarySecret")}
    assert allowed["ecs:DescribeTaskDefinition"] == "*"
    assert "service-revision/*" in json.dumps(allowed["ecs:DescribeServiceRevisions"])


def test_ecs_may_call_the_function_and_nothing_else(canary: Platform) -> None:
    allowed = statements(canary, name_of(canary, "AWS::IAM::Role", "CanaryHookRole"))
    assert allowed == {
        "lambda:InvokeFunction": {"Fn::GetAtt": [name_of(canary, "AWS::Lambda::Function", "Canary"), "Arn"]}
    }


def test_the_gateways_task_says_how_the_chatbot_asks_it(canary: Platform, synthesise: Synthesise) -> None:
    def told(platform: Platform) -> Any:
        (value,) = [
            each["Value"]
            for each in platform.container("GatewayTask")["Environment"]
            if each["Name"] == RELEASE_VARIABLE
        ]
        return json.loads(value)

    assert told(canary) == {"model": "qa", "instruction": INSTRUCTION}
    without = synthesise(*DOMAIN, "canary=true", "load_balancer=public", "chatbot=false")
    assert told(without) == {"model": "qa", "instruction": None}


def test_a_changed_chatbot_waits_for_the_gateway_that_was_tried_with_it(canary: Platform) -> None:
    function = name_of(canary, "AWS::Lambda::Function", "Chatbot")
    gateway = name_of(canary, "AWS::ECS::Service", "Gateway")
    assert gateway in canary.home["Resources"][function]["DependsOn"]


def test_alarms_and_scaling_watch_both_groups(canary: Platform) -> None:
    watched = ("LitellmErrors", "Latency", "LitellmUnhealthy")
    alarms = {name: text for name, each in canary.all("AWS::CloudWatch::Alarm").items() if (text := json.dumps(each))}
    for name in watched:
        (text,) = [text for alarm, text in alarms.items() if name in alarm]
        assert all(group in text for group in groups(canary)), name
    policies = [json.dumps(each) for each in canary.all("AWS::ApplicationAutoScaling::ScalingPolicy").values()]
    (requests,) = [policy for policy in policies if "RequestCountPerTarget" in policy]
    assert all(group in requests for group in groups(canary))
    assert "ALBRequestCountPerTarget" not in requests


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("canary_fail_on=similarity < -0.1", "cannot judge similarity: give one of em, f1"),
        ("canary_fail_on=f1 worse", "must be a rule like 'f1 < -0.02'"),
        ("canary_examples=1000", "less than or equal to 100"),
        ("canary_inconclusive=maybe", "'pass' or 'fail'"),
    ],
)
def test_a_canary_that_cannot_be_is_a_sentence(flag: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        load_settings(assignments=[flag])
    assert words in str(raised.value)
