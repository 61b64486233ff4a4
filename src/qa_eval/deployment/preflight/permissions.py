"""The IAM actions that the preflight uses: all of them read, and `Account.ask` refuses any other.

docs/deployment.md shows the same list as an IAM policy.
"""

from __future__ import annotations

from typing import Final

PERMISSIONS: Final = frozenset(
    {
        "bedrock:GetFoundationModel",
        "bedrock:GetFoundationModelAvailability",
        "bedrock:GetInferenceProfile",
        "bedrock:GetUseCaseForModelAccess",
        "bedrock:ListGuardrails",
        "cloudformation:DescribeStacks",
        "cloudformation:ListStackResources",
        "cloudfront:ListDistributions",
        "cloudfront:ListVpcOrigins",
        "cloudwatch:GetMetricStatistics",
        "cloudwatch:ListDashboards",
        "ec2:DescribeAddresses",
        "ec2:DescribeAvailabilityZones",
        "ec2:DescribeVpcs",
        "lambda:GetAccountSettings",
        "lex:ListBots",
        "route53:GetHostedZone",
        "route53:ListResourceRecordSets",
        "servicediscovery:ListNamespaces",
        "servicequotas:GetAWSDefaultServiceQuota",
        "servicequotas:GetServiceQuota",
        "ssm:GetParameter",
        "sts:GetCallerIdentity",
    }
)

_PREFIXES: Final = {"lexv2-models": "lex", "service-quotas": "servicequotas"}
"""Services whose prefix in IAM differs from their name in the SDK."""


def permission(service: str, operation: str) -> str:
    """The IAM action of an operation.

    Args:
        service: The service's name in the SDK.
        operation: The operation's name in the API, such as `DescribeVpcs`.
    """
    return f"{_PREFIXES.get(service, service)}:{operation}"
