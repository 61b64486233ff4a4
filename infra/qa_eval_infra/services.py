"""The two servers on Fargate: the gateway and Phoenix, and the gateway's migration before it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as assets
from aws_cdk import aws_secretsmanager as sm
from aws_cdk import aws_servicediscovery as cloudmap
from constructs import Construct

from qa_eval.blueprint import phoenix
from qa_eval.blueprint import secrets as blueprint_secrets
from qa_eval.blueprint.budgets import LOAD_BALANCER_IDLE, SERVER_KEEPALIVE
from qa_eval.blueprint.environment import gateway_environment
from qa_eval.blueprint.health import container_check
from qa_eval.blueprint.iam import GUARDRAIL_ACTIONS, MODEL_ACTIONS, bedrock_resources
from qa_eval.blueprint.routes import PHOENIX_ROOT, PORTS, Server
from qa_eval_infra import canary
from qa_eval_infra.data import DATABASE, PHOENIX_SCHEMA, Cache, Database, Secrets
from qa_eval_infra.findings import accept
from qa_eval_infra.functions import helper_function
from qa_eval_infra.guardrail import Guardrail
from qa_eval_infra.loadbalancer import LoadBalancer
from qa_eval_infra.network import Network
from qa_eval_infra.settings import QaEvalSettings

PHOENIX_NAME: Final = "phoenix-service"
"""Phoenix's name in the cluster (Service Connect)."""


class Cluster(Construct):
    """The ECS cluster, and the common configuration of its services."""

    def __init__(
        self, scope: Construct, id: str, settings: QaEvalSettings, network: Network, log_group: logs.ILogGroup
    ) -> None:
        super().__init__(scope, id)
        self.settings, self.network, self.log_group = settings, network, log_group
        insights = ecs.ContainerInsights.ENHANCED if settings.container_insights else ecs.ContainerInsights.DISABLED
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            vpc=network.vpc,
            container_insights_v2=insights,
            default_cloud_map_namespace=ecs.CloudMapNamespaceOptions(
                name=f"{settings.name}.internal", type=cloudmap.NamespaceType.HTTP, use_for_service_connect=True
            ),
        )

    def security_group(self, scope: Construct, description: str) -> ec2.SecurityGroup:
        """A security group for one server's tasks."""
        return ec2.SecurityGroup(scope, "Group", vpc=self.network.vpc, description=description)

    def task(self, scope: Construct, id: str, cpu: int, memory: int) -> ecs.FargateTaskDefinition:
        """A task definition for the configured architecture."""
        cpu_kind = ecs.CpuArchitecture.ARM64 if self.settings.architecture == "arm64" else ecs.CpuArchitecture.X86_64
        platform = ecs.RuntimePlatform(
            cpu_architecture=cpu_kind, operating_system_family=ecs.OperatingSystemFamily.LINUX
        )
        return ecs.FargateTaskDefinition(scope, id, cpu=cpu, memory_limit_mib=memory, runtime_platform=platform)

    def logging(self, prefix: str) -> ecs.LogDriver:
        """CloudWatch Logs in non-blocking mode, which never delays a server."""
        return ecs.LogDrivers.aws_logs(
            stream_prefix=prefix,
            log_group=self.log_group,
            mode=ecs.AwsLogDriverMode.NON_BLOCKING,
            max_buffer_size=cdk.Size.mebibytes(16),
        )

    def service(
        self,
        scope: Construct,
        task: ecs.FargateTaskDefinition,
        group: ec2.ISecurityGroup,
        tasks: int | None,
        connect: ecs.ServiceConnectProps,
        **options: Any,
    ) -> ecs.FargateService:
        """A service whose deployments have no downtime, and are rolled back if new tasks do not become healthy."""
        return ecs.FargateService(
            scope,
            "Service",
            cluster=self.cluster,
            task_definition=task,
            desired_count=tasks,  # without one, an update leaves what autoscaling has chosen
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
            health_check_grace_period=cdk.Duration.minutes(5),
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.ENABLED,
            vpc_subnets=self.network.task_subnets,
            assign_public_ip=self.network.tasks_are_public,
            security_groups=[group],
            service_connect_configuration=connect,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
            **options,
        )


def _health(server: Server) -> ecs.HealthCheck:
    return ecs.HealthCheck(
        command=["CMD", *container_check(server)],
        interval=cdk.Duration.seconds(30),
        timeout=cdk.Duration.seconds(10),
        retries=3,
        start_period=cdk.Duration.minutes(4),
    )


def _port(server: Server) -> ecs.PortMapping:
    # Without an application protocol Service Connect forwards bytes; with HTTP it would abort requests after 15 s.
    return ecs.PortMapping(name=server, container_port=PORTS[server])


def _from_secrets(server: Server, secrets: Secrets) -> dict[str, ecs.Secret]:
    """The environment variables of a server that come from the blueprint's secrets."""
    return {
        secret.read_as[server]: ecs.Secret.from_secrets_manager(secrets[secret])
        for secret in blueprint_secrets.SECRETS
        if server in secret.read_as
    }


def _fields(secret: sm.ISecret, names: Mapping[str, str]) -> dict[str, ecs.Secret]:
    """Environment variables from the fields of one secret."""
    return {variable: ecs.Secret.from_secrets_manager(secret, field) for variable, field in names.items()}


class Phoenix(Construct):
    """Phoenix: one task with the database, a read-only root file system and a scratch volume."""

    _SCRATCH: Final = "/tmp"  # noqa: S108  # inside the container, a volume of its own

    def __init__(
        self, scope: Construct, id: str, cluster: Cluster, database: Database, secrets: Secrets, url: str
    ) -> None:
        super().__init__(scope, id)
        settings = cluster.settings
        self.group = cluster.security_group(self, "Phoenix")
        task = cluster.task(self, "Task", settings.phoenix_cpu, settings.phoenix_memory)
        task.add_volume(name="scratch")
        container = task.add_container(
            "phoenix",
            image=ecs.ContainerImage.from_registry(settings.phoenix_image),
            environment=_phoenix_environment(settings, url, self._SCRATCH),
            secrets={
                **_from_secrets("phoenix", secrets),
                **_fields(
                    database.secret,
                    {
                        "PHOENIX_POSTGRES_HOST": "host",
                        "PHOENIX_POSTGRES_PORT": "port",
                        "PHOENIX_POSTGRES_USER": "username",
                        "PHOENIX_POSTGRES_PASSWORD": "password",
                    },
                ),
            },
            port_mappings=[_port("phoenix")],
            health_check=_health("phoenix"),
            entry_point=list(phoenix.ENTRY_POINT),
            command=list(phoenix.COMMAND),
            logging=cluster.logging("phoenix"),
            readonly_root_filesystem=True,
        )
        container.add_mount_points(
            ecs.MountPoint(container_path=self._SCRATCH, source_volume="scratch", read_only=False)
        )
        connect = ecs.ServiceConnectProps(
            services=[
                ecs.ServiceConnectService(
                    port_mapping_name="phoenix",
                    discovery_name=PHOENIX_NAME,
                    dns_name=PHOENIX_NAME,
                    port=PORTS["phoenix"],
                )
            ]
        )
        self.service = cluster.service(self, task, self.group, 1, connect)
        self.service.node.add_dependency(database.cluster)


def _phoenix_environment(settings: QaEvalSettings, url: str, scratch: str) -> dict[str, str]:
    return {
        "PHOENIX_PORT": str(PORTS["phoenix"]),
        "PHOENIX_HOST_ROOT_PATH": PHOENIX_ROOT,
        "PHOENIX_ROOT_URL": f"{url}{PHOENIX_ROOT}",
        "PHOENIX_WORKING_DIR": f"{scratch}/phoenix",
        "PHOENIX_POSTGRES_DB": DATABASE,
        "PHOENIX_SQL_DATABASE_SCHEMA": PHOENIX_SCHEMA,
        "PHOENIX_ENABLE_AUTH": "true",
        "PHOENIX_USE_SECURE_COOKIES": "true",
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        "PHOENIX_ALLOWED_SANDBOX_PROVIDERS": "NONE",
        "PHOENIX_DEFAULT_RETENTION_POLICY_DAYS": str(settings.trace_retention_days),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


class Gateway(Construct):
    """LiteLLM, with autoscaling; its configuration is in S3, and a changed one triggers a rolling deployment."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        cluster: Cluster,
        database: Database,
        cache: Cache,
        secrets: Secrets,
        guardrail: Guardrail,
    ) -> None:
        super().__init__(scope, id)
        self._cluster, self._secrets, self._database = cluster, secrets, database
        settings = cluster.settings
        self.group = cluster.security_group(self, "Gateway")
        self._config = assets.Asset(self, "Config", path=str(settings.config_file))
        self._environment = {
            **gateway_environment(
                region=settings.region,
                guardrail_id=guardrail.id,
                guardrail_version=guardrail.version,
                phoenix_url=f"http://{PHOENIX_NAME}:{PORTS['phoenix']}",
            ),
            "LITELLM_CONFIG_BUCKET_NAME": self._config.s3_bucket_name,
            "LITELLM_CONFIG_BUCKET_OBJECT_KEY": self._config.s3_object_key,
            "DATABASE_NAME": DATABASE,
            "DATABASE_SSLMODE": "require",
            "REDIS_HOST": cache.address,
            "REDIS_PORT": str(cache.PORT),
            "REDIS_SSL": "true",
            "KEEPALIVE_TIMEOUT": str(SERVER_KEEPALIVE),
            **canary.release_environment(settings),
        }
        task = self._task("Task", {"DISABLE_SCHEMA_UPDATE": "true"}, [])
        grant_bedrock(task.task_role, settings, guardrail)
        connect = ecs.ServiceConnectProps(
            log_driver=cluster.logging("connect"),
        )
        self.service = cluster.service(self, task, self.group, None, connect, **canary.deployment_options(settings))
        migration = Migration(
            self, "Migration", cluster, self._task("Migrate", {}, ["--skip_server_startup"]), self.group
        )
        migration.node.add_dependency(database.cluster)
        self.service.node.add_dependency(migration)

    def _task(self, id: str, more: Mapping[str, str], arguments: Sequence[str]) -> ecs.FargateTaskDefinition:
        """The gateway's task: the server, or with `--skip_server_startup` only its migration."""
        settings = self._cluster.settings
        task = self._cluster.task(self, id, settings.gateway_cpu, settings.gateway_memory)
        serves = not arguments
        task.add_container(
            "litellm",
            image=ecs.ContainerImage.from_registry(settings.litellm_image),
            command=["--port", str(PORTS["litellm"]), *arguments],
            environment={**self._environment, **more},
            secrets={
                **_from_secrets("litellm", self._secrets),
                **_fields(
                    self._database.secret,
                    {"DATABASE_HOST": "host", "DATABASE_USERNAME": "username", "DATABASE_PASSWORD": "password"},
                ),
            },
            port_mappings=[_port("litellm")] if serves else None,
            health_check=_health("litellm") if serves else None,
            logging=self._cluster.logging("litellm" if serves else "migration"),
            stop_timeout=cdk.Duration.seconds(LOAD_BALANCER_IDLE),
        )
        # Every configuration, because an old task that restarts during a deployment reads the old one.
        configurations = f"*{settings.config_file.suffix}"
        task.add_to_task_role_policy(
            iam.PolicyStatement(
                actions=["s3:GetObject"], resources=[self._config.bucket.arn_for_objects(configurations)]
            )
        )
        bucket = f"cdk-{cdk.DefaultStackSynthesizer.DEFAULT_QUALIFIER}-assets-<AWS::AccountId>-{settings.region}"
        finding = f"IAM5[Resource::arn:<AWS::Partition>:s3:::{bucket}/{configurations}]"
        accept(task, finding, "A configuration's name is its digest, and an old task reads the old one")
        return task

    def scale(self, balancer: LoadBalancer) -> None:
        """Scale on CPU and on the requests for each task."""
        settings = self._cluster.settings
        scaling = self.service.auto_scale_task_count(
            min_capacity=settings.gateway_tasks_min, max_capacity=settings.gateway_tasks_max
        )
        scaling.scale_on_cpu_utilization("Cpu", target_utilization_percent=50)
        canary.scale_on_requests(scaling, balancer.groups("litellm"), requests_per_target=600)


def grant_bedrock(role: iam.IRole, settings: QaEvalSettings, guardrail: Guardrail) -> None:
    """Allow exactly the models of the configuration and the guardrail."""
    place = {"partition": cdk.Aws.PARTITION, "region": settings.region, "account": cdk.Aws.ACCOUNT_ID}
    arns = [arn for resource in bedrock_resources(settings.gateway_config) for arn in resource.arns(**place)]
    for actions, resources in ((MODEL_ACTIONS, arns), (GUARDRAIL_ACTIONS, [guardrail.arn])):
        role.add_to_principal_policy(iam.PolicyStatement(actions=list(actions), resources=resources))


class Migration(Construct):
    """Runs a task to completion whenever its definition changes; dependent resources wait for its end."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        cluster: Cluster,
        task: ecs.FargateTaskDefinition,
        group: ec2.ISecurityGroup,
    ) -> None:
        super().__init__(scope, id)
        function = helper_function(
            self,
            folder="run_task",
            settings=cluster.settings,
            log_group=cluster.log_group,
            timeout=cdk.Duration.minutes(15),
            description="Runs the gateway's database migration before a new gateway starts",
        )
        self._allow(function, cluster, task)
        self.run = cdk.CustomResource(
            self,
            "Run",
            service_token=function.function_arn,
            resource_type="Custom::RunTask",
            properties={
                "Cluster": cluster.cluster.cluster_arn,
                "TaskDefinition": task.task_definition_arn,
                "Subnets": cluster.network.vpc.select_subnets(
                    subnet_type=cluster.network.task_subnets.subnet_type
                ).subnet_ids,
                "SecurityGroups": [group.security_group_id],
                "AssignPublicIp": "ENABLED" if cluster.network.tasks_are_public else "DISABLED",
            },
        )
        self.run.node.add_dependency(function, task, cluster.network.vpc)

    def _allow(self, function: lambda_.Function, cluster: Cluster, task: ecs.FargateTaskDefinition) -> None:
        """Allow every revision of the task: a permission for one revision would deny the next until IAM knows it."""
        stack = cdk.Stack.of(self)
        revisions = stack.format_arn(service="ecs", resource="task-definition", resource_name=f"{task.family}:*")
        tasks = stack.format_arn(service="ecs", resource="task", resource_name="*")
        finding = (
            f"IAM5[Resource::arn:<AWS::Partition>:ecs:{stack.region}:<AWS::AccountId>:task-definition/{task.family}:*]"
        )
        accept(self, finding, "The next revision of the migration's task has no number before it exists")
        inside = {"ArnEquals": {"ecs:cluster": cluster.cluster.cluster_arn}}
        roles = [task.task_role.role_arn, task.obtain_execution_role().role_arn]
        for action, resources, conditions in (
            ("ecs:RunTask", [revisions], inside),
            ("ecs:DescribeTasks", [tasks], inside),
            ("iam:PassRole", roles, {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}),
            ("cloudformation:DescribeStacks", [stack.stack_id], {}),
        ):
            statement = iam.PolicyStatement(actions=[action], resources=resources, conditions=conditions)
            function.add_to_role_policy(statement)
