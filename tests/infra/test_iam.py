"""Who may do what, and what not, by IAM's own rules: the policies of the template in a simulator of IAM."""

from __future__ import annotations

from pathlib import Path

import iam_simulator
import pytest
from iam_simulator import ACCOUNT, Request
from templates import Platform, Synthesise

HOME = f"us-east-1:{ACCOUNT}"
NOVA = "us.amazon.nova-lite-v1:0"
PROFILE = f"arn:aws:bedrock:{HOME}:inference-profile/{NOVA}"
CONFIGURATIONS = f"arn:aws:s3:::cdk-hnb659fds-assets-{ACCOUNT}-us-east-1"
ECS = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}


def model(name: str, region: str = "us-east-1") -> str:
    return f"arn:aws:bedrock:{region}::foundation-model/{name}"


ALLOWED = [
    *(
        Request("GatewayTaskTaskRole", action, resource)
        for action in ("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")
        for resource in (PROFILE, *(model("amazon.nova-lite-v1:0", f"us-{end}") for end in ("east-1", "west-2")))
    ),
    Request("GatewayTaskTaskRole", "bedrock:InvokeModel", model("amazon.titan-embed-text-v2:0")),
    Request("GatewayTaskTaskRole", "bedrock:ApplyGuardrail", "Guardrail"),
    Request("GatewayTaskTaskRole", "s3:GetObject", f"{CONFIGURATIONS}/{'a' * 64}.yaml"),
    Request("GatewayMigrateTaskRole", "s3:GetObject", f"{CONFIGURATIONS}/{'a' * 64}.yaml"),
    Request("GatewayTaskExecutionRole", "secretsmanager:GetSecretValue", "SecretsMasterKey"),
    Request("GatewayTaskExecutionRole", "secretsmanager:GetSecretValue", "qaevalDatabaseClusterSecret"),
    Request("PhoenixTaskExecutionRole", "secretsmanager:GetSecretValue", "SecretsPhoenixSecret"),
    Request("ChatbotFunctionRole", "secretsmanager:GetSecretValue", "ChatbotKey"),
    Request(
        "GatewayMigrationFunctionRole",
        "cloudformation:DescribeStacks",
        f"arn:aws:cloudformation:{HOME}:stack/qa-eval/1",
    ),
]
DENIED = [
    Request("GatewayTaskTaskRole", "bedrock:InvokeModel", model("amazon.nova-premier-v1:0")),
    Request("GatewayTaskTaskRole", "bedrock:InvokeModel", model("amazon.nova-lite-v1:0", "eu-west-1")),
    Request("GatewayTaskTaskRole", "bedrock:ApplyGuardrail", f"arn:aws:bedrock:{HOME}:guardrail/another"),
    Request("GatewayTaskTaskRole", "s3:GetObject", f"{CONFIGURATIONS}/{'a' * 64}.zip"),
    Request("GatewayTaskTaskRole", "s3:PutObject", f"{CONFIGURATIONS}/{'a' * 64}.yaml"),
    Request("GatewayTaskTaskRole", "secretsmanager:GetSecretValue", "SecretsMasterKey"),
    Request("GatewayTaskExecutionRole", "secretsmanager:GetSecretValue", "ChatbotKey"),
    Request("PhoenixTaskExecutionRole", "secretsmanager:GetSecretValue", "SecretsMasterKey"),
    Request("PhoenixTaskExecutionRole", "secretsmanager:GetSecretValue", "SecretsValkeyPassword"),
    Request("PhoenixTaskTaskRole", "bedrock:InvokeModel", PROFILE),
    Request("ChatbotFunctionRole", "secretsmanager:GetSecretValue", "SecretsMasterKey"),
    Request("ChatbotFunctionRole", "secretsmanager:GetSecretValue", "ExperimentKey"),
    Request("ChatbotFunctionRole", "bedrock:InvokeModel", PROFILE),
    Request("ReadinessFunctionRole", "secretsmanager:GetSecretValue", "SecretsMasterKey"),
    Request(
        "GatewayMigrationFunctionRole",
        "cloudformation:DescribeStacks",
        f"arn:aws:cloudformation:{HOME}:stack/another/1",
    ),
    Request(
        "GatewayMigrationFunctionRole",
        "iam:PassRole",
        "GatewayMigrateTaskRole",
        {"iam:PassedToService": "lambda.amazonaws.com"},
    ),
    Request("GatewayMigrationFunctionRole", "iam:PassRole", "PhoenixTaskTaskRole", ECS),
]


REVISION = f"arn:aws:ecs:{HOME}:service-revision/qa-eval/gateway/1"
CANARY_ALLOWED = [
    Request("CanaryFunctionRole", "secretsmanager:GetSecretValue", "ExperimentKey"),
    Request("CanaryFunctionRole", "secretsmanager:GetSecretValue", "CanaryCanarySecret"),
    Request("CanaryFunctionRole", "ecs:DescribeServiceRevisions", REVISION),
    Request("CanaryFunctionRole", "ecs:DescribeTaskDefinition", "*"),
]
CANARY_DENIED = [
    Request("CanaryFunctionRole", "secretsmanager:GetSecretValue", "SecretsMasterKey"),
    Request("CanaryFunctionRole", "secretsmanager:PutSecretValue", "CanaryCanarySecret"),
    Request("CanaryFunctionRole", "ecs:UpdateService", f"arn:aws:ecs:{HOME}:service/qa-eval/gateway"),
    Request("CanaryFunctionRole", "bedrock:InvokeModel", PROFILE),
    Request("CanaryHookRole", "lambda:InvokeFunction", f"arn:aws:lambda:{HOME}:function:another"),
    Request("GatewayTaskExecutionRole", "secretsmanager:GetSecretValue", "CanaryCanarySecret"),
]


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return iam_simulator.install(tmp_path_factory.mktemp("iam"))


@pytest.fixture(scope="module")
def account(platform: Platform) -> iam_simulator.Account:
    return iam_simulator.Account(platform)


def wrong(simulator: Path, account: iam_simulator.Account, requests: list[Request], wanted: str) -> list[Request]:
    decisions = iam_simulator.decide(simulator, account, requests)
    return [request for request, decision in zip(requests, decisions, strict=True) if decision != wanted]


def test_every_role_may_do_its_work(simulator: Path, account: iam_simulator.Account) -> None:
    assert wrong(simulator, account, ALLOWED, "Allowed") == []


def test_no_role_may_do_more(simulator: Path, account: iam_simulator.Account) -> None:
    assert wrong(simulator, account, DENIED, "ImplicitlyDenied") == []


def test_the_canary_reads_what_it_compares_and_changes_nothing(simulator: Path, synthesise: Synthesise) -> None:
    account = iam_simulator.Account(synthesise("canary=true"))
    assert wrong(simulator, account, CANARY_ALLOWED, "Allowed") == []
    assert wrong(simulator, account, CANARY_DENIED, "ImplicitlyDenied") == []


def test_the_migration_runs_any_revision_of_its_own_task_in_its_own_cluster(
    simulator: Path, account: iam_simulator.Account, platform: Platform
) -> None:
    """A new revision is denied for as long as IAM does not know an update's policy, were it the only one allowed."""
    (family,) = [each["Family"] for name, each in platform.all("AWS::ECS::TaskDefinition").items() if "Migrate" in name]
    own = {"ecs:cluster": account.arn(account.name("Cluster"))}
    other = {"ecs:cluster": f"arn:aws:ecs:{HOME}:cluster/another"}
    role, definitions = "GatewayMigrationFunctionRole", f"arn:aws:ecs:{HOME}:task-definition"
    allowed = [Request(role, "ecs:RunTask", f"{definitions}/{family}:{revision}", own) for revision in (1, 2, 99)]
    allowed += [
        Request(role, "iam:PassRole", task_role, ECS)
        for task_role in ("GatewayMigrateTaskRole", "GatewayMigrateExecutionRole")
    ]
    denied = [
        Request(role, "ecs:RunTask", f"{definitions}/{family}:1", other),
        Request(role, "ecs:RunTask", f"{definitions}/another:1", own),
    ]
    assert wrong(simulator, account, allowed, "Allowed") == []
    assert wrong(simulator, account, denied, "ImplicitlyDenied") == []
