"""Which findings of cdk-nag's AwsSolutions are accepted, where, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import aws_cdk as cdk
from constructs import IConstruct

from qa_eval_infra.settings import QaEvalSettings


def accept(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept one rule on a construct and all that it holds; a finding with an own scope is `RULE[scope]`."""
    acknowledgment = cdk.Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason)
    cdk.Validations.of(construct).acknowledge(acknowledgment)


def accept_everywhere(stack: cdk.Stack, settings: QaEvalSettings) -> None:
    """What the design or a setting decides for the whole stack."""
    for rule, reason in _reasons(settings):
        accept(stack, rule, reason)


_BASIC: Final = "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]"


def _reasons(settings: QaEvalSettings) -> Iterable[tuple[str, str]]:
    yield "SMG4", "Changed by hand: the gateway's salt can never change, and the others are read when a task starts"
    yield "ECS2", "What stands in plain environment variables is no secret; every secret comes from Secrets Manager"
    yield "S1", "The bucket holds the access logs themselves"
    yield "CFR1", "Who may ask is decided by keys, not by countries"
    yield "IAM5[Resource::*]", "Describing prefix lists has no ARN to name"
    yield _BASIC, "CDK's own function, which looks up CloudFront's prefix list while the stack is deployed"
    tasks = f"arn:<AWS::Partition>:ecs:{settings.region}:<AWS::AccountId>:task/*"
    yield f"IAM5[Resource::{tasks}]", "A task's id is known when it runs; a condition names the one cluster"
    if settings.chatbot:
        yield "LEX4", "CloudWatch encrypts the log with its own key, and a data protection policy masks in it"
    if settings.domain is None:
        yield "CFR4", "CloudFront's own certificate allows no choice of the protocol; a domain brings TLS 1.2"
    if not settings.waf:
        yield "CFR2", "The setting `waf` says so"
    if not settings.container_insights:
        yield "ECS4", "Container Insights are priced by metric: a setting turns them on"
    if not settings.cache_replica:
        yield "AEC4", "The cache holds cooldowns and counters, which may be lost: a setting adds a replica"
    if not settings.deletion_protection:
        yield "RDS10", "The setting `deletion_protection` says so"
        yield "ELB3", "The setting `deletion_protection` says so"
