"""Which secrets the platform has, who reads them, and how they are made. No secret's value is ever in here.

AWS Secrets Manager generates them there, `Secret.generate` here, both by the same rule: letters and digits only, so
that no shell, URL or header has to quote them, and at least one capital, one small letter and one digit, because
Phoenix refuses a secret without. LiteLLM takes a master key that does not begin with `sk-`.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from qa_eval.blueprint.routes import Server

ALPHABET: Final = string.ascii_letters + string.digits
"""Secrets Manager: `ExcludePunctuation`, no `IncludeSpace`, `RequireEachIncludedType`."""


@dataclass(frozen=True)
class Secret:
    """One secret."""

    name: str
    purpose: str
    read_as: Mapping[Server, str]
    """Which servers read it, and from which environment variable."""
    length: int = 43
    """Characters; 43 of this alphabet hold 256 bits."""

    def generate(self) -> str:
        """Make a new value from the operating system's randomness."""
        while True:
            value = "".join(secrets.choice(ALPHABET) for _ in range(self.length))
            if all(set(value) & set(kind) for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits)):
                return value


MASTER_KEY: Final = Secret("master-key", "The gateway's master key.", {"litellm": "LITELLM_MASTER_KEY"})
SALT_KEY: Final = Secret(
    "salt-key",
    "Encrypts what the gateway keeps in its database; it can never change after its first use.",
    {"litellm": "LITELLM_SALT_KEY"},
)
PHOENIX_SECRET: Final = Secret(
    "phoenix-secret", "Signs Phoenix's sessions and API keys.", {"phoenix": "PHOENIX_SECRET"}
)
PHOENIX_ADMIN_SECRET: Final = Secret(
    "phoenix-admin-secret",
    "Phoenix takes it as the administrator's bearer token; the gateway posts its traces with it.",
    {"phoenix": "PHOENIX_ADMIN_SECRET", "litellm": "PHOENIX_API_KEY"},
)
PHOENIX_ADMIN_PASSWORD: Final = Secret(
    "phoenix-admin-password",
    "The first password of Phoenix's user admin@localhost, who has to choose another when it is used.",
    {"phoenix": "PHOENIX_DEFAULT_ADMIN_INITIAL_PASSWORD"},
)
VALKEY_PASSWORD: Final = Secret("valkey-password", "Opens Valkey to the gateway.", {"litellm": "REDIS_PASSWORD"})

SECRETS: Final = (
    MASTER_KEY,
    SALT_KEY,
    PHOENIX_SECRET,
    PHOENIX_ADMIN_SECRET,
    PHOENIX_ADMIN_PASSWORD,
    VALKEY_PASSWORD,
)
"""Every secret that is made by the rule above. Aurora's own password is not: AWS makes and turns it over itself."""
