"""Persistent data: the generated secrets, Aurora PostgreSQL and Valkey."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as sm
from constructs import Construct

from qa_eval.blueprint.secrets import SECRETS, VALKEY_PASSWORD, Secret
from qa_eval_infra.network import Network
from qa_eval_infra.settings import QaEvalSettings

DATABASE: Final = "qa_eval"
"""One database: LiteLLM uses the schema `public` (its migrations need it empty), Phoenix the schema `phoenix`."""
PHOENIX_SCHEMA: Final = "phoenix"


class Secrets(Construct):
    """A Secrets Manager secret for each secret of the blueprint."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        self._secrets = {secret.name: generated_secret(self, secret) for secret in SECRETS}

    def __getitem__(self, secret: Secret) -> sm.Secret:
        return self._secrets[secret.name]


def generated_secret(scope: Construct, secret: Secret) -> sm.Secret:
    """A secret that Secrets Manager generates by the blueprint's rule: letters of both cases and digits."""
    return sm.Secret(
        scope,
        secret.name.title().replace("-", ""),
        description=secret.purpose,
        generate_secret_string=sm.SecretStringGenerator(
            exclude_punctuation=True,
            include_space=False,
            require_each_included_type=True,
            password_length=secret.length,
        ),
    )


class Database(Construct):
    """Aurora PostgreSQL Serverless v2, encrypted, with backups, reachable only from the tasks."""

    def __init__(self, scope: Construct, id: str, settings: QaEvalSettings, network: Network) -> None:
        super().__init__(scope, id)
        self.cluster = rds.DatabaseCluster(
            self,
            "Cluster",
            engine=rds.DatabaseClusterEngine.aurora_postgres(version=rds.AuroraPostgresEngineVersion.VER_17_7),
            writer=rds.ClusterInstance.serverless_v2("Writer", auto_minor_version_upgrade=True),
            serverless_v2_min_capacity=settings.database_min_acu,
            serverless_v2_max_capacity=settings.database_max_acu,
            credentials=rds.Credentials.from_generated_secret(DATABASE),
            default_database_name=DATABASE,
            vpc=network.vpc,
            vpc_subnets=network.inner_subnets,
            backup=rds.BackupProps(retention=cdk.Duration.days(settings.database_backup_days)),
            copy_tags_to_snapshot=True,
            deletion_protection=settings.deletion_protection,
            iam_authentication=True,
            storage_encrypted=True,
            removal_policy=cdk.RemovalPolicy.SNAPSHOT,
        )
        assert self.cluster.secret, "the credentials are generated"
        self.secret: sm.ISecret = self.cluster.secret


class Cache(Construct):
    """Valkey with TLS and a password, without cluster mode, which LiteLLM's router does not support."""

    PORT: Final = 6379

    def __init__(self, scope: Construct, id: str, settings: QaEvalSettings, network: Network, secrets: Secrets) -> None:
        super().__init__(scope, id)
        self.connections = ec2.Connections(
            default_port=ec2.Port.tcp(self.PORT),
            security_groups=[ec2.SecurityGroup(self, "Group", vpc=network.vpc, description="Valkey")],
        )
        subnets = elasticache.CfnSubnetGroup(
            self,
            "Subnets",
            description="Subnets of Valkey",
            subnet_ids=network.vpc.select_subnets(subnet_type=network.inner_subnets.subnet_type).subnet_ids,
        )
        group = elasticache.CfnReplicationGroup(
            self,
            "Valkey",
            replication_group_description="Cooldowns, usage and budgets, shared by the gateway's tasks",
            engine="valkey",
            engine_version="8.0",
            cache_node_type=settings.cache_node,
            cache_subnet_group_name=subnets.ref,
            security_group_ids=[each.security_group_id for each in self.connections.security_groups],
            num_cache_clusters=2 if settings.cache_replica else 1,
            automatic_failover_enabled=settings.cache_replica,
            multi_az_enabled=settings.cache_replica,
            at_rest_encryption_enabled=True,
            transit_encryption_enabled=True,
            transit_encryption_mode="required",
            auth_token=secrets[VALKEY_PASSWORD].secret_value.unsafe_unwrap(),  # in the template: a reference
            port=self.PORT,
        )
        self.group = group.ref
        self.address = group.attr_primary_end_point_address
