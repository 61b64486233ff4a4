"""Virtual keys of a LiteLLM gateway: their limits, and how they are created, listed and deleted.

In: a gateway with a database, and its master key. Out: keys that open the guarded routes and no other.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from qa_eval.errors import GatewayError, InputError
from qa_eval.gateway_admin import GatewayAdmin, error_text, json_of

PREFIX: Final = "sk-"
"""The gateway requires this prefix."""
GUARDED_ROUTES: Final = (
    *("/v1/chat/completions", "/chat/completions", "/v1/messages", "/v1/embeddings", "/embeddings"),
    *("/v1/models", "/models", "/v1/model/info", "/model/info"),
)
"""The allowed routes of a key: the guardrails do not check other routes, or only parts of them."""
_BUDGET_PERIOD: Final = "30d"
_PAGE: Final = 100
"""The gateway's largest page."""


@dataclass(frozen=True)
class KeyLimits:
    """What a virtual key may do."""

    models: Sequence[str] = ()
    """Model groups; empty for all."""
    budget_usd: float | None = None
    """US dollars a month; None for no limit."""

    def fields(self) -> dict[str, Any]:
        """The limits in a request to the gateway."""
        budget = {} if self.budget_usd is None else {"budget_duration": _BUDGET_PERIOD}
        return {
            "models": list(self.models),
            "allowed_routes": list(GUARDED_ROUTES),
            "max_budget": self.budget_usd,
            **budget,
        }


@dataclass(frozen=True)
class KeyStatus:
    """A virtual key of a gateway, without its value."""

    name: str | None
    models: tuple[str, ...]
    """Empty for all."""
    budget_usd: float | None
    """US dollars a month; None for no limit."""
    spend_usd: float
    """Since the budget's last reset."""
    resets_at: str | None
    """When the spend is reset, in ISO format; None without a budget."""


def new_key() -> str:
    """A new random value of a key."""
    return f"{PREFIX}{secrets.token_urlsafe(32)}"


class VirtualKeys(GatewayAdmin):
    """The virtual keys of a running gateway; every method raises `GatewayError` where there are none."""

    def create(self, name: str, limits: KeyLimits) -> str:
        """Create a key; return its value, which the gateway does not give again.

        Raises:
            GatewayError: The gateway does not answer, refuses the key, or has no database.
            InputError: The name is in use, or the gateway has no such model.
        """
        self._require_database()
        groups = [str(each["id"]) for each in json_of(self.get("/v1/models")).get("data", [])]
        if unknown := [model for model in limits.models if model not in groups]:
            raise InputError(f"The gateway has no model {unknown[0]!r}: choose from {', '.join(groups)}.")
        value = new_key()
        reply = self.post("/key/generate", {"key": value, "key_alias": name, **limits.fields()})
        if reply.status_code == 400 and "already exists" in reply.text:
            raise InputError(
                f"The gateway already has a key {name!r}: choose another name, or delete it with "
                f"`qa-eval gateway keys delete {name}`."
            )
        if reply.is_error:
            raise GatewayError(f"The gateway cannot create the key ({error_text(reply)}).")
        return value

    def list(self) -> tuple[KeyStatus, ...]:
        """All keys, the newest first.

        Raises:
            GatewayError: The gateway does not answer, refuses the key, or has no database.
        """
        self._require_database()
        found: list[dict[str, Any]] = []
        page, pages = 1, 1
        while page <= pages:
            reply = self.get("/key/list", return_full_object="true", size=_PAGE, page=page)
            if reply.is_error:
                raise GatewayError(f"The gateway cannot list its keys ({error_text(reply)}).")
            content = json_of(reply)
            found += content["keys"]
            page, pages = page + 1, int(content["total_pages"])
        return tuple(map(_status, found))

    def delete(self, name: str) -> None:
        """Delete a key.

        Raises:
            GatewayError: The gateway does not answer, refuses the key, or has no database.
            InputError: There is no key of this name.
        """
        self._require_database()
        reply = self.post("/key/delete", {"key_aliases": [name]})
        if reply.status_code == 404:
            raise InputError(f"The gateway has no key {name!r}: `qa-eval gateway keys list` shows its keys.")
        if reply.is_error:
            raise GatewayError(f"The gateway cannot delete the key ({error_text(reply)}).")

    def _require_database(self) -> None:
        if json_of(self.get("/health/readiness")).get("db") != "connected":
            raise GatewayError(
                f"The gateway at {self.url} has no database, where virtual keys are: `qa-eval stack up --database` "
                "gives the local one its own."
            )


def _status(key: dict[str, Any]) -> KeyStatus:
    budget = key.get("max_budget")
    return KeyStatus(
        name=key.get("key_alias"),
        models=tuple(key.get("models") or ()),
        budget_usd=None if budget is None else float(budget),
        spend_usd=float(key.get("spend") or 0),
        resets_at=key.get("budget_reset_at"),
    )
