"""The accepted findings of cdk-nag's AwsSolutions, with their reasons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import aws_cdk as cdk
from constructs import IConstruct

from qa_eval_infra.settings import QaEvalSettings


def accept(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept a rule on a construct and its children; `RULE[scope]` accepts a single finding of a rule."""
    acknowledgment = cdk.Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason)
    cdk.Validations.of(construct).acknowledge(acknowledgment)


def accept_everywhere(stack: cdk.Stack, settings: QaEvalSettings) -> None:
    """Accept the findings that follow from the design or from a setting."""
    for rule, reason in _reasons(settings):
        accept(stack, rule, reason)


_BASIC: Final = "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]"


def _reasons(settings: QaEvalSettings) -> Iterable[tuple[str, str]]:
    yield "SMG4", "Rotated manually: the gateway's salt cannot change, and the others are read when a task starts"
    yield "ECS2", "Plain environment variables contain no secret; every secret comes from Secrets Manager"
    yield "S1", "The bucket contains the access logs"
    yield "CFR1", "Access is controlled by keys, not by countries"
    yield "IAM5[Resource::*]", "Describing prefix lists cannot be restricted to an ARN"
    yield _BASIC, "CDK's own function, which looks up CloudFront's prefix list while the stack is deployed"
    tasks = f"arn:<AWS::Partition>:ecs:{settings.region}:<AWS::AccountId>:task/*"
    yield f"IAM5[Resource::{tasks}]", "A task's id is unknown before it runs; a condition restricts the cluster"
    if settings.chatbot:
        yield "LEX4", "CloudWatch encrypts the log with its own key, and a data protection policy masks personal data"
    if settings.domain is None:
        yield "CFR4", "CloudFront's own certificate has a fixed minimum protocol; a domain has TLS 1.2"
    if not settings.waf:
        yield "CFR2", "Disabled by the setting `waf`"
    if not settings.container_insights:
        yield "ECS4", "Container Insights are priced by metric; a setting enables them"
    if not settings.cache_replica:
        yield "AEC4", "The cache contains cooldowns and counters, which may be lost; a setting adds a replica"
    if not settings.deletion_protection:
        yield "RDS10", "Disabled by the setting `deletion_protection`"
        yield "ELB3", "Disabled by the setting `deletion_protection`"
