"""The two stacks: CloudFront's resources in us-east-1, and everything else in the home region."""

from __future__ import annotations

from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from qa_eval.blueprint import outputs
from qa_eval.blueprint import secrets as blueprint_secrets
from qa_eval.blueprint.routes import PHOENIX_ROOT, PORTS, Server
from qa_eval_infra.canary import Canary
from qa_eval_infra.chatbot import Chatbot
from qa_eval_infra.data import Cache, Database, Secrets, generated_secret
from qa_eval_infra.edge import Edge, EdgeStack, hosted_zone
from qa_eval_infra.findings import accept_everywhere
from qa_eval_infra.functions import function_architecture
from qa_eval_infra.guardrail import Guardrail
from qa_eval_infra.loadbalancer import LoadBalancer
from qa_eval_infra.network import CloudFrontAddresses, Network
from qa_eval_infra.operations import AlarmTopic, Operations, Readiness
from qa_eval_infra.services import Cluster, Gateway, Phoenix
from qa_eval_infra.settings import CLOUDFRONT_REGION, QaEvalSettings

FLAGS: Final[dict[str, Any]] = {
    # References to the stack in us-east-1 use CloudFormation's own function, not custom resources of CDK.
    "@aws-cdk/core:defaultCrossStackReferences": "weak",
    "@aws-cdk/aws-iam:minimizePolicies": True,
    # CloudFormation hands a stack's own tags on to every resource, also to a VPC origin, which refuses changes.
    "@aws-cdk/core:explicitStackTags": True,
    "@aws-cdk/core:checkSecretUsage": True,
    "@aws-cdk/aws-ecs:enableImdsBlockingDeprecatedFeature": False,
    "@aws-cdk/aws-ecs:disableExplicitDeploymentControllerForCircuitBreaker": True,
    "@aws-cdk/customresources:installLatestAwsSdkDefault": False,
    "aws:cdk:enable-path-metadata": False,
    "aws:cdk:disable-version-reporting": True,
}

RETENTION: Final = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    120: logs.RetentionDays.FOUR_MONTHS,
    150: logs.RetentionDays.FIVE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
}

EXPERIMENT_KEY: Final = blueprint_secrets.Secret(
    "experiment-key", "The experiments' virtual key; `qa-eval infra deploy` makes it and tells the gateway.", {}
)
CHATBOT_KEY: Final = blueprint_secrets.Secret(
    "chatbot-key", "The chatbot's virtual key; `qa-eval infra deploy` makes it and tells the gateway.", {}
)

SECRET_OUTPUTS: Final = {
    outputs.MASTER_KEY_SECRET: blueprint_secrets.MASTER_KEY,
    outputs.PHOENIX_KEY_SECRET: blueprint_secrets.PHOENIX_ADMIN_SECRET,
    outputs.PHOENIX_SIGNING_SECRET: blueprint_secrets.PHOENIX_SECRET,
    outputs.PHOENIX_PASSWORD_SECRET: blueprint_secrets.PHOENIX_ADMIN_PASSWORD,
    outputs.VALKEY_PASSWORD_SECRET: blueprint_secrets.VALKEY_PASSWORD,
}
"""The outputs with a secret's ARN; never with its value."""


class HomeStack(cdk.Stack):
    """Everything except CloudFront's resources in us-east-1."""

    def __init__(
        self, scope: Construct, id: str, settings: QaEvalSettings, us_east_1: EdgeStack | None, **options: Any
    ) -> None:
        super().__init__(scope, id, **options)
        log_group = _log_group(self, settings)
        log_bucket = _log_bucket(self, settings)
        zone = hosted_zone(self, settings)
        topic = AlarmTopic(self, "Alarms", settings)

        network = Network(self, "Network", settings, log_group)
        callers = CloudFrontAddresses(self, "CloudFront", log_group).peer
        balancer = LoadBalancer(self, "LoadBalancer", settings, network, callers, log_bucket, zone)
        edge = Edge(self, "Edge", settings, balancer, log_bucket, zone, us_east_1)
        # A VPC origin requires an internet gateway in the VPC, although no traffic passes it.
        edge.node.add_dependency(network.vpc.node.find_child("VPCGW"))

        secrets = Secrets(self, "Secrets")
        database = Database(self, "Database", settings, network)
        cache = Cache(self, "Cache", settings, network, secrets)
        guardrail = Guardrail(self, "Guardrail", settings)

        cluster = Cluster(self, "Cluster", settings, network, log_group)
        phoenix = Phoenix(self, "Phoenix", cluster, database, secrets, edge.url)
        gateway = Gateway(self, "Gateway", cluster, database, cache, secrets, guardrail)
        gateway.service.node.add_dependency(phoenix.service)
        experiment_key, chatbot_key = generated_secret(self, EXPERIMENT_KEY), generated_secret(self, CHATBOT_KEY)
        canary = Canary(self, "Canary", settings, network, balancer, log_group) if settings.canary else None
        _connect(balancer, gateway, phoenix, database, cache, canary)
        gateway.scale(balancer)
        if canary:
            canary.add_hook(gateway.service, edge.url, experiment_key)

        readiness = Readiness(self, "Readiness", settings, log_group, edge.url)
        operations = Operations(self, "Operations", settings, topic, balancer, gateway, phoenix, database, readiness)
        if settings.chatbot:
            chatbot = Chatbot(
                self,
                "Chatbot",
                gateway_url=edge.url,
                key_secret=chatbot_key,
                model=settings.chatbot_model,
                alarm_topic=topic.topic,
                log_retention=RETENTION[settings.log_retention_days],
                architecture=function_architecture(settings),
            )
            if canary:  # a changed chatbot waits for the gateway that was tried with it
                chatbot.node.add_dependency(gateway.service)
        accept_everywhere(self, settings)
        values = {
            outputs.GATEWAY_URL: edge.url,
            outputs.PHOENIX_URL: f"{edge.url}{PHOENIX_ROOT}",
            outputs.DASHBOARD_URL: operations.dashboard_url,
            outputs.EXPERIMENT_KEY_SECRET: experiment_key.secret_arn,
            outputs.CHATBOT_KEY_SECRET: chatbot_key.secret_arn,
            outputs.CLUSTER: cluster.cluster.cluster_name,
            outputs.GATEWAY_SERVICE: gateway.service.service_name,
            outputs.PHOENIX_SERVICE: phoenix.service.service_name,
            outputs.VALKEY_GROUP: cache.group,
            outputs.GUARDRAIL_ID: guardrail.id,
            outputs.GUARDRAIL_VERSION: guardrail.version,
            **{name: secrets[secret].secret_arn for name, secret in SECRET_OUTPUTS.items()},
        }
        for name, value in values.items():
            cdk.CfnOutput(self, name, value=value)


def _connect(
    balancer: LoadBalancer,
    gateway: Gateway,
    phoenix: Phoenix,
    database: Database,
    cache: Cache,
    canary: Canary | None,
) -> None:
    """Allow the connections between the components, and no others."""
    servers: dict[Server, Gateway | Phoenix] = {"litellm": gateway, "phoenix": phoenix}
    for server, construct in servers.items():
        balancer.targets[server].add_target(
            construct.service.load_balancer_target(
                container_name=server,
                container_port=PORTS[server],
                alternate_target=canary.target if canary and server == "litellm" else None,
            )
        )
        database.cluster.connections.allow_default_port_from(construct.group)
    gateway.group.connections.allow_to(phoenix.group, ec2.Port.tcp(PORTS["phoenix"]), "traces")
    cache.connections.allow_default_port_from(gateway.group)


def _log_group(scope: Construct, settings: QaEvalSettings) -> logs.LogGroup:
    """The servers' log group. It has no name of ours: a last line written after its removal creates a group of that
    name again, which would stand in the way of the next deployment."""
    retention = RETENTION[settings.log_retention_days]
    return logs.LogGroup(scope, "Logs", retention=retention, removal_policy=cdk.RemovalPolicy.DESTROY)


def _log_bucket(scope: Construct, settings: QaEvalSettings) -> s3.Bucket:
    """The bucket of the access logs of CloudFront, which writes with an ACL, and of the load balancer."""
    return s3.Bucket(
        scope,
        "AccessLogs",
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        object_ownership=s3.ObjectOwnership.OBJECT_WRITER,
        lifecycle_rules=[s3.LifecycleRule(expiration=cdk.Duration.days(settings.log_retention_days))],
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )


def build(settings: QaEvalSettings, output: str | None = None) -> cdk.App:
    """The CDK app with its stacks, to be synthesised into the folder `output`."""
    app = cdk.App(context=FLAGS, outdir=output, analytics_reporting=False)
    for name, value in {"project": "qa-eval", **settings.tags}.items():
        # See FLAGS on stack tags.
        cdk.Tags.of(app).add(name, value, exclude_resource_types=["AWS::CloudFront::VpcOrigin"])
    us_east_1 = None
    if settings.needs_edge_stack:
        us_east_1 = EdgeStack(
            app,
            settings.edge_stack,
            settings,
            env=cdk.Environment(region=CLOUDFRONT_REGION),
            description=f"{outputs.DESCRIPTION}: what CloudFront needs in this region",
        )
    HomeStack(
        app,
        settings.name,
        settings,
        us_east_1,
        env=cdk.Environment(region=settings.region),
        description=f"{outputs.DESCRIPTION}: a LiteLLM gateway and Arize Phoenix behind CloudFront",
    )
    return app
