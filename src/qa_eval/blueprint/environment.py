"""The gateway's environment variables, for CDK and for the local stack.

In: the values that depend on the deployment (region, guardrail, Phoenix's address). Out: every variable that is not a
secret. Secrets are only named here; the deployment provides them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GATEWAY_PROJECT: Final = "litellm-gateway"
"""The Phoenix project of traces that start at the gateway."""

PROVIDERS: Final[Mapping[str, str]] = {
    "AWS_REGION": "the deployment: the region of Bedrock",
    "BEDROCK_GUARDRAIL_ID": "the deployment: the guardrail created from guardrail.yaml",
    "BEDROCK_GUARDRAIL_VERSION": "the deployment: the published version of that guardrail, a number",
    "LITELLM_MASTER_KEY": "a secret, generated",
    "REDIS_HOST": "the deployment, if several gateways share their state",
    "REDIS_PORT": "the deployment, if several gateways share their state",
    "REDIS_PASSWORD": "a secret, generated, if several gateways share their state",
}
"""The source of each variable that `config.yaml` may reference; any other reference is a finding."""

SECRETS: Final = ("LITELLM_MASTER_KEY",)
"""Never written to a file of the project, a log or a command line."""

CONSTANTS: Final[Mapping[str, str]] = {
    # The newer tracer creates one span for each model call. The older one creates two, and Phoenix counts tokens twice.
    "LITELLM_OTEL_V2": "true",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
    # Without a second exporter, the tracer also logs every span, including its texts. This one exports nothing, because
    # it requires headers that are never set.
    "EXPORTERS": '[{"kind": "otlp_http", "requires_headers": true}]',
    # Prices, headers and texts of the installed version: no download at the start, and reproducible routing.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_MODE": "PRODUCTION",  # otherwise it reads .env files from its own folder up to the root
    "DISABLE_ADMIN_UI": "True",
    "NO_DOCS": "True",
    "NO_REDOC": "True",
}
"""The variables that are the same in every deployment."""


def gateway_environment(
    *, region: str, guardrail_id: str, guardrail_version: str, phoenix_url: str, project: str = GATEWAY_PROJECT
) -> dict[str, str]:
    """Every variable of the gateway that is not a secret.

    Args:
        region: The region of Bedrock; CDK tokens are allowed, here and below.
        guardrail_id: The guardrail's id.
        guardrail_version: Its published version.
        phoenix_url: Phoenix's base URL for the gateway.
        project: The Phoenix project of traces that start at the gateway.
    """
    return {
        **CONSTANTS,
        "AWS_REGION": region,
        "BEDROCK_GUARDRAIL_ID": guardrail_id,
        "BEDROCK_GUARDRAIL_VERSION": guardrail_version,
        "PHOENIX_COLLECTOR_HTTP_ENDPOINT": f"{phoenix_url}/v1/traces",
        "PHOENIX_PROJECT_NAME": project,
    }
