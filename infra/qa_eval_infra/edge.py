"""The edge: CloudFront's resources in us-east-1, the distribution, and its DNS records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_route53_targets as targets
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from qa_eval.blueprint.budgets import CLOUDFRONT_KEEPALIVE, CLOUDFRONT_READ
from qa_eval_infra.loadbalancer import ORIGIN_HEADER, LoadBalancer
from qa_eval_infra.settings import QaEvalSettings

COUNTED: Final = {
    # Prompts are long and may quote anything, traces contain code and addresses: rules on bodies only count.
    "AWSManagedRulesCommonRuleSet": (
        "SizeRestrictions_BODY",
        "EC2MetaDataSSRF_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "CrossSiteScripting_BODY",
    ),
    "AWSManagedRulesKnownBadInputsRuleSet": (
        "JavaDeserializationRCE_BODY",
        "Log4JRCE_BODY",
        "ReactJSRCE_BODY",
    ),
    "AWSManagedRulesAmazonIpReputationList": (),
}
"""AWS's managed rule groups, and which of their rules count instead of blocking."""


def hosted_zone(scope: Construct, settings: QaEvalSettings) -> route53.IHostedZone | None:
    """The zone by its id, under the domain's name, so that records without a name are at the domain itself."""
    if settings.domain is None or settings.hosted_zone_id is None:
        return None
    return route53.HostedZone.from_hosted_zone_attributes(
        scope, "Zone", hosted_zone_id=settings.hosted_zone_id, zone_name=settings.domain
    )


class EdgeStack(cdk.Stack):
    """The certificate and the web ACL, as far as the settings enable them."""

    def __init__(self, scope: Construct, id: str, settings: QaEvalSettings, **options: Any) -> None:
        super().__init__(scope, id, **options)
        zone = hosted_zone(self, settings)
        self.certificate: acm.ICertificate | None = None
        if zone and settings.domain:
            validation = acm.CertificateValidation.from_dns(zone)
            self.certificate = acm.Certificate(self, "Certificate", domain_name=settings.domain, validation=validation)
        self.web_acl_arn: str | None = _web_acl(self, settings).attr_arn if settings.waf else None


def _web_acl(scope: Construct, settings: QaEvalSettings) -> waf.CfnWebACL:
    rules = [_rate_rule(settings.rate_limit)]
    rules += [_managed_rule(place, group, counted) for place, (group, counted) in enumerate(COUNTED.items(), start=1)]
    return waf.CfnWebACL(
        scope,
        "WebAcl",
        scope="CLOUDFRONT",
        default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
        rules=rules,
        visibility_config=_visibility(settings.name),
    )


def _rate_rule(limit: int) -> waf.CfnWebACL.RuleProperty:
    return waf.CfnWebACL.RuleProperty(
        name="RateLimit",
        priority=0,
        action=waf.CfnWebACL.RuleActionProperty(block={}),
        statement=waf.CfnWebACL.StatementProperty(
            rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                aggregate_key_type="IP", limit=limit, evaluation_window_sec=300
            )
        ),
        visibility_config=_visibility("RateLimit"),
    )


def _managed_rule(priority: int, group: str, counted: Sequence[str]) -> waf.CfnWebACL.RuleProperty:
    count = waf.CfnWebACL.RuleActionProperty(count={})
    return waf.CfnWebACL.RuleProperty(
        name=group,
        priority=priority,
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        statement=waf.CfnWebACL.StatementProperty(
            managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS",
                name=group,
                rule_action_overrides=[
                    waf.CfnWebACL.RuleActionOverrideProperty(name=rule, action_to_use=count) for rule in counted
                ],
            )
        ),
        visibility_config=_visibility(group),
    )


def _visibility(metric: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=metric, sampled_requests_enabled=True
    )


class Edge(Construct):
    """The distribution in front of the load balancer, and its DNS records."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        settings: QaEvalSettings,
        balancer: LoadBalancer,
        logs: s3.IBucket,
        zone: route53.IHostedZone | None,
        us_east_1: EdgeStack | None,
    ) -> None:
        super().__init__(scope, id)
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"{settings.name}: the gateway and Phoenix",
            domain_names=[settings.domain] if settings.domain else None,
            certificate=us_east_1.certificate if us_east_1 else None,
            web_acl_id=us_east_1.web_acl_arn if us_east_1 else None,
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            default_behavior=_behavior(_origin(self, settings, balancer)),
            log_bucket=logs,
            log_file_prefix="cloudfront/",
        )
        self.host = settings.domain or distribution.distribution_domain_name
        self.url = f"https://{self.host}"
        self.distribution_id = distribution.distribution_id
        if zone:
            target = route53.RecordTarget.from_alias(targets.CloudFrontTarget(distribution))
            route53.ARecord(self, "Ipv4", zone=zone, target=target)
            route53.AaaaRecord(self, "Ipv6", zone=zone, target=target)


def _behavior(origin: cloudfront.IOrigin) -> cloudfront.BehaviorOptions:
    return cloudfront.BehaviorOptions(
        origin=origin,
        viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
        allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
        cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
        origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER,
        response_headers_policy=cloudfront.ResponseHeadersPolicy.SECURITY_HEADERS,
        compress=False,  # compression would buffer streams
    )


def _origin(scope: Construct, settings: QaEvalSettings, balancer: LoadBalancer) -> cloudfront.IOrigin:
    """HTTPS to the load balancer with a domain, else HTTP inside AWS's network."""
    read, keep = cdk.Duration.seconds(CLOUDFRONT_READ), cdk.Duration.seconds(CLOUDFRONT_KEEPALIVE)
    policy = (
        cloudfront.OriginProtocolPolicy.HTTPS_ONLY if settings.domain else cloudfront.OriginProtocolPolicy.HTTP_ONLY
    )
    if balancer.origin_secret:
        return origins.LoadBalancerV2Origin(
            balancer.balancer,
            protocol_policy=policy,
            origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
            custom_headers={ORIGIN_HEADER: balancer.origin_secret.secret_value.unsafe_unwrap()},
            read_timeout=read,
            keepalive_timeout=keep,
        )
    # A VPC origin in use cannot be changed: another protocol is another origin, with another name.
    protocol = "Https" if settings.domain else "Http"
    origin = cloudfront.VpcOrigin(
        scope,
        f"{protocol}Origin",
        endpoint=cloudfront.VpcOriginEndpoint.application_load_balancer(balancer.balancer),
        vpc_origin_name=f"{settings.name}-{protocol.lower()}",
        protocol_policy=policy,
        origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
    )
    return origins.VpcOrigin.with_vpc_origin(
        origin, domain_name=balancer.balancer.load_balancer_dns_name, read_timeout=read, keepalive_timeout=keep
    )
