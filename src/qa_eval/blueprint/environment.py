"""The gateway's environment, described once: CDK fills it from its stacks, the local stack from its own servers.

In: what only the place knows (region, guardrail, Phoenix's address). Out: every variable that is no secret. The
secrets are named here and handed over by the place itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GATEWAY_PROJECT: Final = "litellm-gateway"
"""The Phoenix project of traces that begin at the gateway."""

PROVIDERS: Final[Mapping[str, str]] = {
    "AWS_REGION": "the place: the region in which Bedrock is called",
    "BEDROCK_GUARDRAIL_ID": "the place: the guardrail made from guardrail.yaml",
    "BEDROCK_GUARDRAIL_VERSION": "the place: the published version of that guardrail, a number",
    "LITELLM_MASTER_KEY": "a secret, generated",
    "REDIS_HOST": "the place, where several gateways share their state",
    "REDIS_PORT": "the place, where several gateways share their state",
    "REDIS_PASSWORD": "a secret, generated, where several gateways share their state",
}
"""Who provides each variable that `config.yaml` refers to; a reference to any other is a finding."""

SECRETS: Final = ("LITELLM_MASTER_KEY",)
"""Never written to a file of the project, a log or a command line."""

CONSTANTS: Final[Mapping[str, str]] = {
    # The gateway's newer tracer: one span a model call. The older one gives each call two, so that Phoenix counts its
    # tokens twice.
    "LITELLM_OTEL_V2": "true",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
    # Without another exporter beside Phoenix's, the tracer also prints every span, texts included, into the log. This
    # one exports nothing: it waits for headers that nobody gives it.
    "EXPORTERS": '[{"kind": "otlp_http", "requires_headers": true}]',
    # Prices, headers and texts come from the installed version: no fetch at the start, and the same route tomorrow.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_MODE": "PRODUCTION",  # otherwise it reads any .env between its own folder and the root
    "DISABLE_ADMIN_UI": "True",
    "NO_DOCS": "True",
    "NO_REDOC": "True",
}
"""The same wherever the gateway runs."""


def gateway_environment(
    *, region: str, guardrail_id: str, guardrail_version: str, phoenix_url: str, project: str = GATEWAY_PROJECT
) -> dict[str, str]:
    """Every variable of the gateway that is no secret.

    Args:
        region: where Bedrock is called; CDK's tokens will do, here and below.
        guardrail_id: the guardrail's id.
        guardrail_version: its published version.
        phoenix_url: Phoenix's base URL, as the gateway reaches it.
        project: the Phoenix project of traces that begin at the gateway.
    """
    return {
        **CONSTANTS,
        "AWS_REGION": region,
        "BEDROCK_GUARDRAIL_ID": guardrail_id,
        "BEDROCK_GUARDRAIL_VERSION": guardrail_version,
        "PHOENIX_COLLECTOR_HTTP_ENDPOINT": f"{phoenix_url}/v1/traces",
        "PHOENIX_PROJECT_NAME": project,
    }
