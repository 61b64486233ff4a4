"""What a run asks its servers with, whichever way the requests go."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.request import getproxies, proxy_bypass

import httpx

from qa_eval.errors import InputError
from qa_eval.http.base import HttpClient

JSON = {"Content-Type": "application/json"}


def connect(url: str, headers: Mapping[str, str], *, timeout_s: float) -> HttpClient:
    """A client of the server at this address; through the proxy that the environment names for it, if there is one.

    Args:
        url: `http://` or `https://`; what is asked for is below it.
        headers: Sent with every request.
        timeout_s: How long a request may take unless it says otherwise.

    Raises:
        InputError: The address is none, or a key cannot be sent.
    """
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise InputError("The key holds a character that cannot be sent: set QA_EVAL_GATEWAY_KEY or PHOENIX_API_KEY.")
    server = _address(url)
    if server.scheme in getproxies() and not proxy_bypass(server.netloc.decode("ascii")):
        from qa_eval.http.proxied import ProxiedClient

        return ProxiedClient(server, headers, timeout_s=timeout_s)
    from qa_eval.http.pool import ConnectionPool

    return ConnectionPool(server, headers, timeout_s=timeout_s)


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
        if address.scheme in ("http", "https") and address.host:
            return address
    except httpx.InvalidURL:
        pass
    raise InputError(f"{url!r} is no address of a server: give one like http://127.0.0.1:4000.")
