"""Two availability zones of each region, by their ids, which name the same place in every account.

A zone's name (`us-east-1a`) is another zone in each account, and some zones lack a service that the platform needs:
CloudFront's VPC origins and Fargate on ARM are not in those of `EXCLUDED`. Sources: "Restrict access with VPC origins"
in the Amazon CloudFront developer guide; "AZ IDs" in the AWS Regions and Availability Zones guide. `qa-eval infra
preflight` asks the account whether it has both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EXCLUDED: Final = frozenset({"use1-az3", "usw1-az2", "apne1-az3", "cac1-az3"})

_PREFIXES: Final[Mapping[str, str]] = {
    "us-east-1": "use1",
    "us-east-2": "use2",
    "us-west-1": "usw1",
    "us-west-2": "usw2",
    "ca-central-1": "cac1",
    "sa-east-1": "sae1",
    "eu-central-1": "euc1",
    "eu-central-2": "euc2",
    "eu-north-1": "eun1",
    "eu-south-1": "eus1",
    "eu-south-2": "eus2",
    "eu-west-1": "euw1",
    "eu-west-2": "euw2",
    "eu-west-3": "euw3",
    "ap-northeast-1": "apne1",
    "ap-northeast-2": "apne2",
    "ap-northeast-3": "apne3",
    "ap-south-1": "aps1",
    "ap-southeast-1": "apse1",
    "ap-southeast-2": "apse2",
}


def _first_two(prefix: str) -> tuple[str, str]:
    zones = [zone for number in (1, 2, 3) if (zone := f"{prefix}-az{number}") not in EXCLUDED]
    return zones[0], zones[1]


ZONES: Final[Mapping[str, tuple[str, str]]] = {region: _first_two(prefix) for region, prefix in _PREFIXES.items()}
"""The two zones of each region in which the platform can be deployed."""
