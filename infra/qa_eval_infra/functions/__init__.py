"""The platform's helper functions: one folder each, with a self-contained `handler.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from qa_eval_infra.settings import QaEvalSettings


def helper_function(
    scope: Construct,
    *,
    folder: str,
    settings: QaEvalSettings,
    log_group: logs.ILogGroup,
    timeout: cdk.Duration,
    description: str,
    environment: Mapping[str, str] | None = None,
) -> lambda_.Function:
    """The function in `folder`, with permission only to write its log."""
    role = iam.Role(scope, "FunctionRole", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    log_group.grant_write(role)
    return lambda_.Function(
        scope,
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_14,
        architecture=function_architecture(settings),
        handler="handler.lambda_handler",
        # Bytecode would change the asset's digest with every synthesis.
        code=lambda_.Code.from_asset(str(Path(__file__).parent / folder), exclude=["__pycache__", "*.pyc"]),
        role=role,
        timeout=timeout,
        log_group=log_group,
        environment=environment,
        description=description,
    )


def function_architecture(settings: QaEvalSettings) -> lambda_.Architecture:
    """The functions' processor architecture."""
    return lambda_.Architecture.ARM_64 if settings.architecture == "arm64" else lambda_.Architecture.X86_64
