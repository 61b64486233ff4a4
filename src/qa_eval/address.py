"""What a server's address and key must be, said before anything is sent to it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from qa_eval.errors import InputError


def server_address(url: str) -> str:
    """A server's address, without a slash at its end.

    Raises:
        InputError: It is not one.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return url.rstrip("/")
    except ValueError:  # a port that is not a number, half an IPv6 address
        pass
    raise InputError(f"{url!r} is not the address of a server: give one like http://127.0.0.1:4000.")


def bearer(key: str | None, variable: str) -> Mapping[str, str]:
    """The header that carries a key; none without a key.

    Args:
        key: The key, from the environment.
        variable: The environment variable to name where the key cannot be sent.

    Raises:
        InputError: The key holds a character that no header can carry.
    """
    if not key:
        return {}
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"The key holds a character that cannot be sent: set {variable} to a valid one.")
    return {"Authorization": f"Bearer {key}"}
