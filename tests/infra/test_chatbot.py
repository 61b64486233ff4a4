"""The chatbot's construct, synthesised without an account and read as CloudFormation would read it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudformation_validate
import pytest

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
os.environ.setdefault("CDK_VALIDATION", "false")

import aws_cdk as cdk
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns

from qa_eval.blueprint import bot as blueprint
from qa_eval.blueprint.chatbot.lex import INTENTS
from qa_eval_infra.chatbot import Chatbot

Build = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Synthesises a stack that holds a chatbot; gives its template."""

    def synthesise(**more: Any) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("cdk")
        app = cdk.App(outdir=str(folder), analytics_reporting=False)
        stack = cdk.Stack(app, "Stack")
        settings = {"gateway_url": "https://llm.example.org", "model": "qa", **more}
        Chatbot(stack, "Chatbot", key_secret=secretsmanager.Secret(stack, "Key"), **settings)
        app.synth()
        return {**json.loads((folder / "Stack.template.json").read_text()), "folder": folder}

    return synthesise


@pytest.fixture(scope="module")
def template(build: Build) -> dict[str, Any]:
    return build()


def resources(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in template["Resources"].items() if each["Type"] == kind}


def the(template: dict[str, Any], kind: str) -> dict[str, Any]:
    (only,) = resources(template, kind).values()
    return only


def policies_of(template: dict[str, Any], role: str) -> list[dict[str, Any]]:
    """The statements of the policies that are attached to the role whose name begins so."""
    attached = [
        policy["PolicyDocument"]["Statement"]
        for policy in resources(template, "AWS::IAM::Policy").values()
        if policy["Roles"][0]["Ref"].startswith(role)
    ]
    return [statement for statements in attached for statement in statements]


def test_cloudformation_finds_nothing_wrong(template):
    engine = cloudformation_validate.CompositeEngine()
    text = json.dumps({key: value for key, value in template.items() if key != "folder"})
    report = engine.validate_template(cloudformation_validate.TemplateContent(text))

    found = [f"{each.severity.name} {each.rule_id} {each.message}" for each in report.diagnostics]
    # W3005 is CDK's own: it names the role as a dependency although the function refers to it.
    assert not [line for line in found if not line.startswith(("INFO", "WARN W3005"))]


def test_the_bot_is_the_one_described(template):
    bot = the(template, "AWS::Lex::Bot")
    (locale,) = bot["BotLocales"]
    ask, fallback = locale["Intents"]

    assert (bot["Name"], bot["IdleSessionTTLInSeconds"], locale["LocaleId"]) == ("QAAssistant", 300, "en_US")
    assert bot["AutoBuildBotLocales"] is True
    assert bot["DataPrivacy"] == {"ChildDirected": False}
    assert fallback["Name"] == "FallbackIntent"
    assert fallback["ParentIntentSignature"] == "AMAZON.FallbackIntent"
    assert [each["Utterance"] for each in ask["SampleUtterances"]] == list(blueprint.UTTERANCES)
    assert (ask["Name"], fallback["Name"]) == tuple(reversed(INTENTS))


def test_both_switches_of_the_code_hook_are_on_and_lex_itself_says_the_same_sentence(template):
    for intent in the(template, "AWS::Lex::Bot")["BotLocales"][0]["Intents"]:
        hook = intent["FulfillmentCodeHook"]
        assert hook["Enabled"] is True
        for situation in ("FailureResponse", "TimeoutResponse"):
            (group,) = hook["PostFulfillmentStatusSpecification"][situation]["MessageGroupsList"]
            assert group["Message"]["PlainTextMessage"]["Value"] == "Sorry, I couldn't process your request"
    (setting,) = the(template, "AWS::Lex::BotAlias")["BotAliasLocaleSettings"]
    (function,) = resources(template, "AWS::Lambda::Function")

    assert setting["LocaleId"] == "en_US"
    assert setting["BotAliasLocaleSetting"] == {
        "Enabled": True,
        "CodeHookSpecification": {
            "LambdaCodeHook": {"CodeHookInterfaceVersion": "1.0", "LambdaArn": {"Fn::GetAtt": [function, "Arn"]}}
        },
    }


def test_only_lex_and_only_this_alias_may_call_the_function(template):
    permission = the(template, "AWS::Lambda::Permission")
    (alias,) = resources(template, "AWS::Lex::BotAlias")

    assert permission["Principal"] == "lexv2.amazonaws.com"
    assert permission["SourceArn"] == {"Fn::GetAtt": [alias, "Arn"]}


def test_a_changed_bot_is_a_new_version_and_the_alias_follows(build, template, monkeypatch):
    (before,) = resources(template, "AWS::Lex::BotVersion")
    (same,) = resources(build(model="other"), "AWS::Lex::BotVersion")
    monkeypatch.setattr(blueprint, "UTTERANCES", (*blueprint.UTTERANCES, "Tell me something"))
    changed = build()
    (after,) = resources(changed, "AWS::Lex::BotVersion")

    assert before == same, "another model is no other bot"
    assert before != after
    assert the(changed, "AWS::Lex::BotAlias")["BotVersion"] == {"Fn::GetAtt": [after, "BotVersion"]}


def test_the_function_is_bounded_and_knows_where_its_key_is(template):
    function = the(template, "AWS::Lambda::Function")
    (secret,) = resources(template, "AWS::SecretsManager::Secret")

    assert (function["Runtime"], function["Architectures"]) == ("python3.14", ["x86_64"])
    assert function["Timeout"] == 28
    assert "ReservedConcurrentExecutions" not in function, (
        "a new account may run 10 functions at once, and reserve none"
    )
    assert function["Environment"]["Variables"] == {
        "LITELLM_ENDPOINT": "https://llm.example.org",
        "LITELLM_MODEL": "qa",
        "LITELLM_API_KEY_SECRET_ARN": {"Ref": secret},
    }


def test_the_function_may_write_its_log_and_read_its_key_and_no_more(template):
    statements = policies_of(template, "ChatbotFunctionRole")
    actions = {action for each in statements for action in each["Action"]}

    assert actions == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:GetSecretValue",
        "secretsmanager:DescribeSecret",
    }
    assert not any(each["Resource"] == "*" for each in statements)
    roles = resources(template, "AWS::IAM::Role").values()
    assert not any("ManagedPolicyArns" in role for role in roles)


def test_the_bot_may_write_conversations_only(template):
    (statement,) = policies_of(template, "ChatbotBotRole")
    (alias,) = resources(template, "AWS::Lex::BotAlias").values()
    (setting,) = alias["ConversationLogSettings"]["TextLogSettings"]
    group = setting["Destination"]["CloudWatch"]["CloudWatchLogGroupArn"]

    assert setting["Enabled"] is True
    assert sorted(statement["Action"]) == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert statement["Resource"] == group


def test_logs_end_and_conversations_hide_personal_data(build):
    groups = resources(build(log_retention=logs.RetentionDays.ONE_WEEK), "AWS::Logs::LogGroup")
    conversations = next(each for name, each in groups.items() if "Conversations" in name)

    assert [each["RetentionInDays"] for each in groups.values()] == [7, 7]
    assert "EmailAddress" in json.dumps(conversations["DataProtectionPolicy"])


def test_alarms_reach_the_topic(tmp_path):
    app = cdk.App(outdir=str(tmp_path), analytics_reporting=False)
    stack = cdk.Stack(app, "Stack")
    topic = sns.Topic(stack, "Alarms")
    secret = secretsmanager.Secret(stack, "Key")
    Chatbot(stack, "Chatbot", gateway_url="https://x", key_secret=secret, model="qa", alarm_topic=topic)
    app.synth()
    template = json.loads((tmp_path / "Stack.template.json").read_text())
    alarms = resources(template, "AWS::CloudWatch::Alarm").values()

    assert len(alarms) == 3
    assert all(list(each["AlarmActions"][0]) == ["Ref"] for each in alarms)
    (filtered,) = resources(template, "AWS::Logs::MetricFilter").values()
    assert filtered["FilterPattern"] == '{ $.level = "ERROR" }'


def test_the_asset_is_the_package_and_nothing_else(template):
    (asset,) = Path(template["folder"]).glob("asset.*")
    files = {path.relative_to(asset).as_posix() for path in asset.rglob("*") if path.is_file()}

    modules = ("__init__", "gateway", "handler", "lex", "messages")
    assert files == {f"chatbot/{module}.py" for module in modules}
    assert {path.name for path in asset.rglob("*") if path.is_dir()} == {"chatbot"}
    assert the(template, "AWS::Lambda::Function")["Handler"] == "chatbot.handler.lambda_handler"


def test_the_stack_says_where_the_bot_is(template):
    outputs = template["Outputs"]

    assert {blueprint.BOT_OUTPUT, blueprint.ALIAS_OUTPUT} <= outputs.keys()
    assert outputs[blueprint.MODEL_OUTPUT]["Value"] == "qa"
