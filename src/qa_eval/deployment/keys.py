"""Virtual keys of chatbot and experiments, with a list of models and a monthly budget.

In: the stack's outputs. Out: keys in Secrets Manager that the gateway accepts. A second run updates budgets and models
of the same keys.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from qa_eval.aws.client import aws_errors, client
from qa_eval.aws.deployed import read_secret
from qa_eval.errors import DeploymentError
from qa_eval.virtual_keys import PREFIX, KeyLimits, new_key

_TIMEOUT_S: Final = 60.0
GRACE: Final = "1h"
"""How long the former value of a replaced key still opens the gateway."""


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
    with _client(gateway_url, master_key) as gateway:
        for key in keys:
            _register(gateway, key, _value(key, region))


def succeed(gateway_url: str, master_key: str, key: VirtualKey, former: str, new: str) -> None:
    """Register a key's new value at the gateway, with the limits and what the former has spent; both values work.

    Args:
        gateway_url: The gateway's URL.
        master_key: Its master key.
        key: The key.
        former: Its present value.
        new: Its new value. Registering it again changes nothing.

    Raises:
        DeploymentError: The gateway does not answer, or refuses.
    """
    until = f"{key.alias}-until-{time.strftime('%Y%m%d-%H%M%S')}"  # the gateway has each alias once
    with _client(gateway_url, master_key) as gateway:
        spent = _spent(gateway, former)
        _post(gateway, "/key/update", {"key": former, "key_alias": until})
        _register(gateway, key, new, spent)


def retire(gateway_url: str, master_key: str, value: str, *, now: bool) -> None:
    """Let a key's former value expire in an hour, or delete it.

    Raises:
        DeploymentError: The gateway refuses.
    """
    path, body = ("/key/delete", {"keys": [value]}) if now else ("/key/update", {"key": value, "duration": GRACE})
    with _client(gateway_url, master_key) as gateway:
        answer = _post(gateway, path, body)
    if answer.is_error:
        raise DeploymentError(f"The gateway cannot retire the former key (HTTP {answer.status_code}): see its log.")


def _spent(gateway: httpx.Client, value: str) -> float:
    """US dollars that a key has spent in its present month; 0 for a key that the gateway does not know."""
    answer = _send(gateway, "GET", "/key/info", params={"key": value})
    return float(answer.json()["info"].get("spend") or 0) if answer.is_success else 0.0


def _value(key: VirtualKey, region: str | None) -> str:
    """The key in the secret; Secrets Manager's initial value is replaced."""
    value = read_secret(key.secret, region)
    if value.startswith(PREFIX):
        return value
    value = new_key()
    with aws_errors():
        client("secretsmanager", region).put_secret_value(SecretId=key.secret, SecretString=value)
    return value


def _register(gateway: httpx.Client, key: VirtualKey, value: str, spent: float = 0.0) -> None:
    """Update the key at the gateway, or create it, with what its predecessor has spent."""
    limits = KeyLimits(key.models, key.budget_usd).fields()
    updated = _post(gateway, "/key/update", {"key": value, **limits})
    if updated.is_success:
        return
    created = _post(gateway, "/key/generate", {"key": value, "key_alias": key.alias, "spend": spent, **limits})
    if created.is_error:
        raise DeploymentError(
            f"The gateway cannot create the key {key.alias} (HTTP {created.status_code}): see its log."
        )


def _client(gateway_url: str, master_key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {master_key}"}
    return httpx.Client(base_url=gateway_url, headers=headers, timeout=_TIMEOUT_S)


def _post(gateway: httpx.Client, path: str, body: dict[str, Any]) -> httpx.Response:
    return _send(gateway, "POST", path, json=body)


def _send(gateway: httpx.Client, method: str, path: str, **request: Any) -> httpx.Response:
    try:
        return gateway.request(method, path, **request)
    except httpx.HTTPError as error:
        raise DeploymentError(f"The gateway does not answer at {gateway.base_url} ({type(error).__name__}).") from None
