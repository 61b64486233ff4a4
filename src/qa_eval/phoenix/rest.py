"""What Phoenix's REST interface answers, for what its client does not give."""

from __future__ import annotations

from typing import Any

import httpx

from qa_eval.address import bearer, server_address
from qa_eval.errors import PhoenixError, PhoenixUnavailable

_TIMEOUT_S = 60.0


def read(url: str, key: str | None, path: str, **query: str | int) -> Any:
    """What Phoenix answers, as JSON; None where it knows nothing.

    Args:
        url: Phoenix's address.
        key: Its API key, if it wants one.
        path: Below the address.
        query: The address's parameters.

    Raises:
        PhoenixUnavailable: Phoenix does not answer.
        PhoenixError: It refuses the key, or something else answers.
    """
    headers = dict(bearer(key, "PHOENIX_API_KEY"))
    try:
        response = httpx.get(f"{server_address(url)}/{path}", params=query, headers=headers, timeout=_TIMEOUT_S)
        if response.status_code == 404:
            return None
        return response.raise_for_status().json()
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise PhoenixError(f"Phoenix at {url} refuses the key: set PHOENIX_API_KEY to a valid one.") from None
        raise PhoenixError(f"{url} answers with HTTP {status}, not as Phoenix: check `phoenix`.") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unavailable(url, error) from None
    except ValueError:
        raise PhoenixError(f"{url} does not answer as Phoenix: check `phoenix`.") from None


def unavailable(url: str, error: Exception) -> PhoenixUnavailable:
    """No answer, in one sentence."""
    return PhoenixUnavailable(f"No Phoenix answers at {url} ({type(error).__name__}): start it, or check `phoenix`.")
