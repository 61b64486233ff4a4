"""Virtual keys: what chatbot and experiments hold in place of the master key, with models and a monthly budget.

In: the stack's outputs. Out: keys in Secrets Manager that the gateway knows. Doing it again changes budgets and
models, and keeps the keys.
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
"""The gateway takes no virtual key without it, and Secrets Manager generates none with it."""
_PATIENCE_S: Final = 60.0
_ROUTES: Final = (
    *("/v1/chat/completions", "/chat/completions", "/v1/messages", "/v1/embeddings", "/embeddings"),
    *("/v1/models", "/models", "/v1/model/info", "/model/info"),
)
"""What a key may ask: the gateway's guardrails look at no other way to a model, or only at parts of it."""


@dataclass(frozen=True)
class VirtualKey:
    """One key as it shall be."""

    alias: str
    secret: str
    """The secret that keeps it: name or ARN."""
    models: Sequence[str]
    budget_usd: float
    """A month's."""


def provide(gateway_url: str, master_key: str, keys: Sequence[VirtualKey], region: str | None = None) -> None:
    """Make sure that each key is in its secret and known to the gateway.

    Raises:
        DeploymentError: AWS or the gateway refuses.
    """
    headers = {"Authorization": f"Bearer {master_key}"}
    with httpx.Client(base_url=gateway_url, headers=headers, timeout=_PATIENCE_S) as gateway:
        for key in keys:
            _register(gateway, key, _value(key, region))


def _value(key: VirtualKey, region: str | None) -> str:
    """What is in the secret; what Secrets Manager put there first is replaced."""
    value = read_secret(key.secret, region)
    if value.startswith(_PREFIX):
        return value
    value = f"{_PREFIX}{secrets.token_urlsafe(32)}"
    with aws_errors():
        client("secretsmanager", region).put_secret_value(SecretId=key.secret, SecretString=value)
    return value


def _register(gateway: httpx.Client, key: VirtualKey, value: str) -> None:
    """Change the key that the gateway has; make it where it has none."""
    limits = {
        "models": list(key.models),
        "allowed_routes": list(_ROUTES),
        "max_budget": key.budget_usd,
        "budget_duration": "30d",
    }
    changed = _post(gateway, "/key/update", {"key": value, **limits})
    if changed.is_success:
        return
    made = _post(gateway, "/key/generate", {"key": value, "key_alias": key.alias, **limits})
    if made.is_error:
        raise DeploymentError(f"The gateway does not make the key {key.alias} (HTTP {made.status_code}): see its log.")


def _post(gateway: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
    try:
        return gateway.post(path, json=body)
    except httpx.HTTPError as error:
        raise DeploymentError(f"The gateway does not answer at {gateway.base_url} ({type(error).__name__}).") from None
