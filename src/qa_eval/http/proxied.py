"""The same through a proxy, by a client that knows them."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
import httpx

from qa_eval.http.base import Answer, Unreachable


class ProxiedClient:
    """Sends requests to one server through the proxy that the environment names."""

    def __init__(self, url: httpx.URL, headers: Mapping[str, str], *, timeout_s: float) -> None:
        """See `qa_eval.http.client.connect`."""
        self._url = str(url).rstrip("/")
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), headers=dict(headers), trust_env=True
        )

    async def request(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        """See `HttpClient`."""
        timeout = aiohttp.ClientTimeout(total=timeout_s or self._timeout_s)
        url = f"{self._url}/{path}"
        try:
            async with self._session.request(
                method, url, data=content or None, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                found = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, found, await response.read())
        except TimeoutError:
            raise
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(str(error)) from error
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error) or type(error).__name__) from error

    async def close(self) -> None:
        """Close what is kept."""
        await self._session.close()
