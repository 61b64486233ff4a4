"""Draws `architecture.png` from the synthesised templates: `python docs/architecture.py`.

Needs the extra `infra`, the dependency group `diagram` and Graphviz. A node is drawn where its resource type is in a
template; a test holds that every type is either drawn or said to be a detail.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from qa_eval_infra.app import synth
from qa_eval_infra.settings import load_settings

PICTURE = Path(__file__).with_name("architecture")
EXAMPLE = ("domain=qa.example.org", "hosted_zone_id=Z0123456789", "alarm_email=team@example.org")


@dataclass(frozen=True)
class Node:
    """One picture in the diagram."""

    type: str
    label: str
    icon: str
    """Module and class below `diagrams.aws`."""
    room: str


NODES = {
    "dns": Node("AWS::Route53::RecordSet", "Route 53", "network.Route53", "Edge"),
    "waf": Node("AWS::WAFv2::WebACL", "WAF", "security.WAF", "Edge"),
    "cdn": Node("AWS::CloudFront::Distribution", "CloudFront", "network.CloudFront", "Edge"),
    "certificate": Node("AWS::CertificateManager::Certificate", "ACM", "security.ACM", "Edge"),
    "balancer": Node(
        "AWS::ElasticLoadBalancingV2::LoadBalancer", "Load balancer\n(internal)", "network.ELB", "Isolated subnets"
    ),
    "gateway": Node("AWS::ECS::Service", "LiteLLM\n:{gateway_port}", "compute.Fargate", "ECS cluster, private subnets"),
    "phoenix": Node("AWS::ECS::Service", "Phoenix\n:{phoenix_port}", "compute.Fargate", "ECS cluster, private subnets"),
    "database": Node("AWS::RDS::DBCluster", "Aurora PostgreSQL", "database.Aurora", "Data, isolated subnets"),
    "cache": Node("AWS::ElastiCache::ReplicationGroup", "Valkey", "database.Elasticache", "Data, isolated subnets"),
    "nat": Node("AWS::EC2::NatGateway", "NAT", "network.NATGateway", "Public subnets"),
    "bot": Node("AWS::Lex::Bot", "Lex\nQAAssistant", "ml.Lex", "Chatbot"),
    "function": Node("AWS::Lambda::Function", "Lambda", "compute.Lambda", "Chatbot"),
    "guardrail": Node("AWS::Bedrock::Guardrail", "Bedrock\nmodels, guardrail", "ml.Bedrock", "AWS services"),
    "secrets": Node("AWS::SecretsManager::Secret", "Secrets Manager", "security.SecretsManager", "AWS services"),
    "logs": Node("AWS::Logs::LogGroup", "CloudWatch", "management.Cloudwatch", "Operations"),
    "topic": Node("AWS::SNS::Topic", "SNS, budget", "integration.SNS", "Operations"),
}
"""What is drawn."""

DETAILS = {
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::Bedrock::GuardrailVersion",
    "AWS::Budgets::Budget",
    "AWS::CloudFront::VpcOrigin",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::EC2::EIP",
    "AWS::EC2::FlowLog",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::Route",
    "AWS::EC2::RouteTable",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::EC2::Subnet",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPC",
    "AWS::EC2::VPCEndpoint",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::ECS::Cluster",
    "AWS::ECS::TaskDefinition",
    "AWS::ElastiCache::SubnetGroup",
    "AWS::ElasticLoadBalancingV2::Listener",
    "AWS::ElasticLoadBalancingV2::ListenerRule",
    "AWS::ElasticLoadBalancingV2::TargetGroup",
    "AWS::Events::Rule",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::Lambda::Permission",
    "AWS::Lex::BotAlias",
    "AWS::Lex::BotVersion",
    "AWS::Logs::MetricFilter",
    "AWS::RDS::DBInstance",
    "AWS::RDS::DBSubnetGroup",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy",
    "AWS::SecretsManager::SecretTargetAttachment",
    "AWS::ServiceDiscovery::HttpNamespace",
    "Custom::AWS",
    "Custom::RunTask",
}
"""What is part of something drawn, or too small to draw."""

EDGES = (
    ("user", "dns", ""),
    ("dns", "cdn", ""),
    ("waf", "cdn", ""),
    ("certificate", "cdn", ""),
    ("cdn", "balancer", "HTTPS, VPC origin"),
    ("balancer", "gateway", "{gateway_paths}"),
    ("balancer", "phoenix", "{phoenix_paths}\n(prefix stripped)"),
    ("gateway", "phoenix", "traces"),
    ("gateway", "database", ""),
    ("phoenix", "database", ""),
    ("gateway", "cache", ""),
    ("gateway", "nat", ""),
    ("nat", "guardrail", ""),
    ("user", "bot", ""),
    ("bot", "function", ""),
    ("function", "cdn", "virtual key"),
    ("gateway", "secrets", ""),
    ("gateway", "logs", ""),
    ("logs", "topic", "alarms"),
)


def resources(folder: Path) -> list[dict[str, Any]]:
    """Every resource of an assembly."""
    templates = (json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.template.json"))
    return [resource for template in templates for resource in template["Resources"].values()]


def facts(found: list[dict[str, Any]]) -> dict[str, str]:
    """What labels quote from the templates: ports, and each rule's paths by its priority."""
    rules = sorted(
        (each["Properties"]["Priority"], each["Properties"]["Conditions"][0]["PathPatternConfig"]["Values"])
        for each in found
        if each["Type"] == "AWS::ElasticLoadBalancingV2::ListenerRule"
    )
    (first, phoenix), (second, gateway) = rules
    ports = {
        container["Name"]: str(container["PortMappings"][0]["ContainerPort"])
        for each in found
        if each["Type"] == "AWS::ECS::TaskDefinition"
        for container in each["Properties"]["ContainerDefinitions"]
        if container.get("PortMappings")
    }
    return {
        "phoenix_paths": f"{first}: {phoenix[-1]}",
        "gateway_paths": f"{second}: {gateway[-1]}",
        "gateway_port": ports["litellm"],
        "phoenix_port": ports["phoenix"],
    }


def draw(found: list[dict[str, Any]], picture: Path) -> None:
    """Draw what is there."""
    diagrams: Any = import_module("diagrams")
    told, types = facts(found), {each["Type"] for each in found}
    looks = {"fontsize": "13", "nodesep": "0.35", "ranksep": "0.8", "pad": "0.3", "splines": "spline"}
    with diagrams.Diagram("", filename=str(picture), show=False, direction="LR", graph_attr=looks):
        drawn = {"user": import_module("diagrams.aws.general").Users("People, experiments")}
        shown = {key: node for key, node in NODES.items() if node.type in types}
        for room in dict.fromkeys(node.room for node in shown.values()):
            with diagrams.Cluster(room):
                for key, node in shown.items():
                    if node.room == room:
                        module, _, name = node.icon.partition(".")
                        drawn[key] = getattr(import_module(f"diagrams.aws.{module}"), name)(node.label.format(**told))
        for start, end, label in EDGES:
            if start in drawn and end in drawn:
                _ = drawn[start] >> diagrams.Edge(label=label.format(**told)) >> drawn[end]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        draw(resources(synth(load_settings(flags=EXAMPLE), Path(folder))), PICTURE)
