"""Virtual keys of chatbot and experiments, with a list of models and a monthly budget.

In: the stack's outputs. Out: keys in Secrets Manager that the gateway accepts. A second run updates budgets and models
of the same keys.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from qa_eval.aws.client import aws_errors, client
from qa_eval.aws.deployed import read_secret
from qa_eval.errors import DeploymentError

_PREFIX: Final = "sk-"
"""The gateway requires this prefix, which Secrets Manager does not generate."""
_TIMEOUT_S: Final = 60.0
_ROUTES: Final = (
    *("/v1/chat/completions", "/chat/completions", "/v1/messages", "/v1/embeddings", "/embeddings"),
    *("/v1/models", "/models", "/v1/model/info", "/model/info"),
)
"""The allowed routes of a key: the guardrails do not check other routes, or only parts of them."""


@dataclass(frozen=True)
class VirtualKey:
    """A virtual key and its limits."""

    alias: str
    secret: str
    """The secret that stores it: name or ARN."""
    models: Sequence[str]
    budget_usd: float
    """US dollars a month."""


def provide(gateway_url: str, master_key: str, keys: Sequence[VirtualKey], region: str | None = None) -> None:
    """Store each key in its secret, and register it with the gateway.

    Raises:
        DeploymentError: AWS or the gateway refuses.
    """
    headers = {"Authorization": f"Bearer {master_key}"}
    with httpx.Client(base_url=gateway_url, headers=headers, timeout=_TIMEOUT_S) as gateway:
        for key in keys:
            _register(gateway, key, _value(key, region))


def _value(key: VirtualKey, region: str | None) -> str:
    """The key in the secret; Secrets Manager's initial value is replaced."""
    value = read_secret(key.secret, region)
    if value.startswith(_PREFIX):
        return value
    value = f"{_PREFIX}{secrets.token_urlsafe(32)}"
    with aws_errors():
        client("secretsmanager", region).put_secret_value(SecretId=key.secret, SecretString=value)
    return value


def _register(gateway: httpx.Client, key: VirtualKey, value: str) -> None:
    """Update the key at the gateway, or create it."""
    limits = {
        "models": list(key.models),
        "allowed_routes": list(_ROUTES),
        "max_budget": key.budget_usd,
        "budget_duration": "30d",
    }
    updated = _post(gateway, "/key/update", {"key": value, **limits})
    if updated.is_success:
        return
    created = _post(gateway, "/key/generate", {"key": value, "key_alias": key.alias, **limits})
    if created.is_error:
        raise DeploymentError(
            f"The gateway cannot create the key {key.alias} (HTTP {created.status_code}): see its log."
        )


def _post(gateway: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
    try:
        return gateway.post(path, json=body)
    except httpx.HTTPError as error:
        raise DeploymentError(f"The gateway does not answer at {gateway.base_url} ({type(error).__name__}).") from None
