"""The outputs of a deployed stack, written by CDK and read through CloudFormation."""

from __future__ import annotations

from typing import Final

DESCRIPTION: Final = "qa-eval"
"""How the description of every stack of ours begins."""

GATEWAY_URL: Final = "GatewayUrl"
PHOENIX_URL: Final = "PhoenixUrl"
DASHBOARD_URL: Final = "DashboardUrl"
MASTER_KEY_SECRET: Final = "MasterKeySecret"  # noqa: S105  # the name of an output
EXPERIMENT_KEY_SECRET: Final = "ExperimentKeySecret"  # noqa: S105
CHATBOT_KEY_SECRET: Final = "ChatbotKeySecret"  # noqa: S105
PHOENIX_KEY_SECRET: Final = "PhoenixKeySecret"  # noqa: S105
PHOENIX_PASSWORD_SECRET: Final = "PhoenixPasswordSecret"  # noqa: S105
PHOENIX_SIGNING_SECRET: Final = "PhoenixSigningSecret"  # noqa: S105
VALKEY_PASSWORD_SECRET: Final = "ValkeyPasswordSecret"  # noqa: S105
CLUSTER: Final = "ClusterName"
GATEWAY_SERVICE: Final = "GatewayServiceName"
PHOENIX_SERVICE: Final = "PhoenixServiceName"
VALKEY_GROUP: Final = "ValkeyGroupId"
GUARDRAIL_ID: Final = "GuardrailId"
GUARDRAIL_VERSION: Final = "GuardrailVersion"
