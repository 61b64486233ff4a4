"""The load balancer: the blueprint's routing table as listener rules, with the removal of path prefixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as sm
from constructs import Construct

from qa_eval.blueprint.budgets import LOAD_BALANCER_IDLE
from qa_eval.blueprint.health import HEALTH
from qa_eval.blueprint.routes import PORTS, ROUTES, Route, Server
from qa_eval.blueprint.secrets import Secret
from qa_eval_infra.data import generated_secret
from qa_eval_infra.network import Network
from qa_eval_infra.settings import QaEvalSettings

ORIGIN_HEADER: Final = "X-Origin-Secret"
ORIGIN_SECRET: Final = Secret("origin-secret", "Authenticates CloudFront to a public load balancer.", {})


class LoadBalancer(Construct):
    """One listener; every path matches a rule of the blueprint."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: QaEvalSettings,
        network: Network,
        callers: ec2.IPeer,
        logs: s3.IBucket,
        zone: route53.IHostedZone | None,
    ) -> None:
        super().__init__(scope, id)
        self.is_public = settings.load_balancer == "public"
        self.origin_secret: sm.ISecret | None = generated_secret(self, ORIGIN_SECRET) if self.is_public else None
        self.group = ec2.SecurityGroup(self, "Group", vpc=network.vpc, description="Load balancer")
        self.balancer = elb.ApplicationLoadBalancer(
            self,
            "Balancer",
            vpc=network.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)
            if self.is_public
            else network.inner_subnets,
            internet_facing=self.is_public,
            security_group=self.group,
            idle_timeout=cdk.Duration.seconds(LOAD_BALANCER_IDLE),
            drop_invalid_header_fields=True,
            deletion_protection=settings.deletion_protection,
        )
        self.balancer.log_access_logs(logs, "load-balancer")
        self.listener = self._listen(settings, zone)
        self.group.add_ingress_rule(callers, ec2.Port.tcp(self.port), "CloudFront")
        self.targets: Mapping[Server, elb.ApplicationTargetGroup] = {
            server: self.target_group(self, server.title(), server, network) for server in PORTS
        }
        self.alternates: dict[Server, elb.ApplicationTargetGroup] = {}
        """The second target group of a server that is deployed beside its predecessor; either may have the traffic."""
        self.rules: Mapping[Server, elb.ApplicationListenerRule] = {route.server: self._rule(route) for route in ROUTES}

    def groups(self, server: Server) -> list[elb.ApplicationTargetGroup]:
        """Every target group that a server's tasks may be in."""
        return [self.targets[server], *([self.alternates[server]] if server in self.alternates else [])]

    def _listen(self, settings: QaEvalSettings, zone: route53.IHostedZone | None) -> elb.ApplicationListener:
        """HTTPS with a domain, else HTTP, which only CloudFront's private connection reaches."""
        nothing = elb.ListenerAction.fixed_response(403, content_type="text/plain", message_body="No such route.")
        if settings.domain is None:
            self.port = 80
            return self.balancer.add_listener(
                "Listener", port=80, protocol=elb.ApplicationProtocol.HTTP, open=False, default_action=nothing
            )
        self.port = 443
        certificate = acm.Certificate(
            self, "Certificate", domain_name=settings.domain, validation=acm.CertificateValidation.from_dns(zone)
        )
        return self.balancer.add_listener(
            "Listener",
            port=443,
            protocol=elb.ApplicationProtocol.HTTPS,
            ssl_policy=elb.SslPolicy.TLS13_RES,
            certificates=[certificate],
            open=False,
            default_action=nothing,
        )

    @staticmethod
    def target_group(scope: Construct, id: str, server: Server, network: Network) -> elb.ApplicationTargetGroup:
        """A target group with a liveness check only, because an outage of the database must not restart every task."""
        return elb.ApplicationTargetGroup(
            scope,
            id,
            vpc=network.vpc,
            port=PORTS[server],
            protocol=elb.ApplicationProtocol.HTTP,
            target_type=elb.TargetType.IP,
            deregistration_delay=cdk.Duration.seconds(LOAD_BALANCER_IDLE),
            health_check=elb.HealthCheck(
                path=HEALTH[server].liveness,
                port=str(PORTS[server]),
                healthy_http_codes="200",
                interval=cdk.Duration.seconds(15),
                timeout=cdk.Duration.seconds(10),
                healthy_threshold_count=2,
                unhealthy_threshold_count=4,
            ),
        )

    def conditions(self, paths: Sequence[str]) -> list[elb.ListenerCondition]:
        """What a request to some paths has to meet."""
        conditions = [elb.ListenerCondition.path_patterns(list(paths))]
        if self.origin_secret:
            value = self.origin_secret.secret_value.unsafe_unwrap()  # in the template: a reference
            conditions.append(elb.ListenerCondition.http_header(ORIGIN_HEADER, [value]))
        return conditions

    def _rule(self, route: Route) -> elb.ApplicationListenerRule:
        rule = elb.ApplicationListenerRule(
            self,
            f"Rule{route.priority}",
            listener=self.listener,
            priority=route.priority,
            conditions=self.conditions(route.paths),
            action=elb.ListenerAction.forward([self.targets[route.server]]),
        )
        if route.strip:
            resource = rule.node.default_child
            assert isinstance(resource, elb.CfnListenerRule)
            resource.transforms = [_without(route.strip)]
        return rule


def _without(prefix: str) -> elb.CfnListenerRule.TransformProperty:
    """Remove a prefix from the path: `/phoenix/x` becomes `/x`, `/phoenix` becomes `/`."""
    rewrite = elb.CfnListenerRule.RewriteConfigProperty(regex=f"^{prefix}/?(.*)$", replace="/$1")
    return elb.CfnListenerRule.TransformProperty(
        type="url-rewrite",
        url_rewrite_config=elb.CfnListenerRule.RewriteConfigObjectProperty(rewrites=[rewrite]),
    )
