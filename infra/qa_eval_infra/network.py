"""The network: one VPC in two zones, and the tasks' outbound connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from aws_cdk import custom_resources as cr
from constructs import Construct

from qa_eval_infra.settings import QaEvalSettings
from qa_eval_infra.zones import ZONES

ENDPOINTS: Final = {
    "Bedrock": ec2.InterfaceVpcEndpointAwsService.BEDROCK_RUNTIME,
    "Secrets": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
}


class Network(Construct):
    """Public subnets, isolated subnets for load balancer and data, and with NAT private subnets for tasks."""

    def __init__(self, scope: Construct, id: str, settings: QaEvalSettings, log_group: logs.ILogGroup) -> None:
        super().__init__(scope, id)
        nat = settings.egress == "nat"
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(settings.vpc_cidr),
            max_azs=2,
            nat_gateways=settings.nat_gateways if nat else 0,
            subnet_configuration=_subnets(nat),
            restrict_default_security_group=False,  # it is unused, and restricting it needs a function
            gateway_endpoints={"S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3)},
        )
        self._place_subnets(ZONES[settings.region])
        self.tasks_are_public = not nat
        self.task_subnets = ec2.SubnetSelection(
            subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS if nat else ec2.SubnetType.PUBLIC
        )
        self.inner_subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        self.vpc.add_flow_log(
            "Rejected",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(log_group),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
        if settings.vpc_endpoints:
            self._add_endpoints(settings.vpc_cidr)

    def _place_subnets(self, zones: Sequence[str]) -> None:
        """Give each subnet a zone by its id; CDK knows zones only by names, which differ from account to account."""
        for kind in (self.vpc.public_subnets, self.vpc.private_subnets, self.vpc.isolated_subnets):
            for subnet, zone in zip(kind, zones, strict=False):
                resource = subnet.node.default_child
                assert isinstance(resource, ec2.CfnSubnet)
                resource.availability_zone = None
                resource.availability_zone_id = zone

    def _add_endpoints(self, cidr: str) -> None:
        group = ec2.SecurityGroup(self, "Endpoints", vpc=self.vpc, description="Private endpoints of AWS")
        group.add_ingress_rule(ec2.Peer.ipv4(cidr), ec2.Port.tcp(443), "From inside the network")
        for name, service in ENDPOINTS.items():
            self.vpc.add_interface_endpoint(
                name, service=service, subnets=self.inner_subnets, security_groups=[group], open=False
            )


def _subnets(nat: bool) -> list[ec2.SubnetConfiguration]:
    subnets = [
        ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC, map_public_ip_on_launch=False),
        ec2.SubnetConfiguration(name="Inner", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
    ]
    if nat:
        subnets.append(ec2.SubnetConfiguration(name="Tasks", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS))
    return subnets


class CloudFrontAddresses(Construct):
    """The prefix list of CloudFront's addresses, looked up by name during the deployment.

    Its id depends on the region, and a look-up during the synthesis would need an account.
    """

    def __init__(self, scope: Construct, id: str, log_group: logs.ILogGroup) -> None:
        super().__init__(scope, id)
        name = "com.amazonaws.global.cloudfront.origin-facing"
        find = cr.AwsSdkCall(
            service="EC2",
            action="describeManagedPrefixLists",
            parameters={"Filters": [{"Name": "prefix-list-name", "Values": [name]}]},
            physical_resource_id=cr.PhysicalResourceId.of(name),
            output_paths=["PrefixLists.0.PrefixListId"],
        )
        found = cr.AwsCustomResource(
            self,
            "Find",
            on_update=find,
            policy=cr.AwsCustomResourcePolicy.from_sdk_calls(resources=cr.AwsCustomResourcePolicy.ANY_RESOURCE),
            install_latest_aws_sdk=False,
            log_group=log_group,
            timeout=cdk.Duration.minutes(1),
        )
        self.peer = ec2.Peer.prefix_list(found.get_response_field("PrefixLists.0.PrefixListId"))
