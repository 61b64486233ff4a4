"""A secret's next value: prepared beside the present one, then made the present one.

Secrets Manager keeps both, under its own names `AWSPENDING` and `AWSCURRENT`, so that a command that was killed between
the two goes on with the value that it had prepared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from qa_eval.aws.client import aws_errors, client

_PENDING: Final = "AWSPENDING"
_CURRENT: Final = "AWSCURRENT"


def prepare(secret: str, make: Callable[[], str], region: str | None = None) -> str:
    """The secret's next value: one that was prepared before and not yet promoted, else a new one, which is stored.

    Args:
        secret: Name or ARN.
        make: Makes a new value.
        region: The secret's region; by default `AWS_REGION` or the AWS profile's.

    Raises:
        DeploymentError: The secret does not exist, or AWS refuses.
    """
    with aws_errors():
        manager = client("secretsmanager", region)
        if waiting := _version(manager, secret, _PENDING):
            found = manager.get_secret_value(SecretId=secret, VersionId=waiting)
            return str(found["SecretString"])
        value = make()
        manager.put_secret_value(SecretId=secret, SecretString=value, VersionStages=[_PENDING])
        return value


def promote(secret: str, region: str | None = None) -> None:
    """Make the prepared value the present one.

    Raises:
        DeploymentError: Nothing is prepared, or AWS refuses.
    """
    with aws_errors():
        manager = client("secretsmanager", region)
        waiting, present = (_version(manager, secret, stage) for stage in (_PENDING, _CURRENT))
        manager.update_secret_version_stage(
            SecretId=secret, VersionStage=_CURRENT, MoveToVersionId=waiting, RemoveFromVersionId=present
        )
        manager.update_secret_version_stage(SecretId=secret, VersionStage=_PENDING, RemoveFromVersionId=waiting)


def _version(manager: Any, secret: str, stage: str) -> str | None:
    """The id of the version with this stage; a version that is already the present one counts as that only."""
    stages = manager.describe_secret(SecretId=secret).get("VersionIdsToStages", {})
    found = [version for version, names in stages.items() if stage in names]
    return next((version for version in found if stage == _CURRENT or _CURRENT not in stages[version]), None)
