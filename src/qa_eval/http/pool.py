"""Connections to one server: an asyncio protocol around httptools, the parser of uvicorn.

A run's requests are most of its processor time. A client of every feature spends 0.35 ms on a small one, this less
than half of it. What it leaves out: proxies (see `proxied`), redirects, compression, cookies, and answers whose end is
the connection's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping

import httptools
import httpx
from aiohappyeyeballs import start_connection

from qa_eval.http.base import Answer, Unreachable


class ConnectionPool:
    """Connections to one server, made when needed and used again; each carries one request at a time."""

    def __init__(self, url: httpx.URL, headers: Mapping[str, str], *, timeout_s: float) -> None:
        """See `connect`."""
        self._host = url.raw_host.decode("ascii")
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._port = url.port or (80 if self._tls is None else 443)
        self._base = url.raw_path.decode("ascii").rstrip("/")
        self._headers = _lines({"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity", **headers})
        self._timeout_s = timeout_s
        self._idle: list[_Connection] = []

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
        length = f"Content-Length: {len(content)}\r\n" if content else ""
        head = f"{method} {self._base}/{path} HTTP/1.1\r\n{self._headers}{_lines(headers or {})}{length}\r\n"
        limit_s = timeout_s or self._timeout_s
        connection = await self._connection(limit_s)
        try:
            answer = await connection.exchange(head.encode("ascii") + content, limit_s)
        except BaseException:
            connection.abort()
            raise
        self._idle.append(connection)
        return answer

    async def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.pop().abort()

    async def _connection(self, limit_s: float) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        try:
            async with asyncio.timeout(limit_s):
                return await self._connected()
        except OSError as error:
            raise Unreachable(str(error)) from error

    async def _connected(self) -> _Connection:
        """A new connection, to whichever of the host's addresses answers first; on any event loop, uvloop too."""
        loop = asyncio.get_running_loop()
        addresses = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        answering = await start_connection(addresses, happy_eyeballs_delay=0.25)
        name = self._host if self._tls else None
        _, connection = await loop.create_connection(_Connection, sock=answering, ssl=self._tls, server_hostname=name)
        return connection


class _Connection(asyncio.Protocol):
    """One connection; httptools calls the methods whose names begin with `on_`."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._pending: asyncio.Future[Answer] | None = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether it can carry a request."""
        return not self._transport.is_closing()

    def exchange(self, request: bytes, limit_s: float) -> asyncio.Future[Answer]:
        """Send a request; its answer comes, or a `TimeoutError`."""
        loop = asyncio.get_running_loop()
        self._pending = loop.create_future()
        self._timer = loop.call_later(limit_s, self._fail, TimeoutError(f"no answer within {limit_s:g} s"))
        self._transport.write(request)
        return self._pending

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"the answer is not HTTP: {error}"))
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionResetError("the connection ended before the answer"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        answer = Answer(self._parser.get_status_code(), self._headers, b"".join(self._body))
        self._headers, self._body = {}, []
        if not self._parser.should_keep_alive():
            self._transport.close()
        pending = self._take()
        if pending is None:  # a server's last word before it closes what is idle
            self.abort()
        else:
            pending.set_result(answer)

    def _fail(self, error: Exception) -> None:
        if (pending := self._take()) is not None:
            pending.set_exception(error)

    def _take(self) -> asyncio.Future[Answer] | None:
        """Who waits for an answer, once."""
        pending, self._pending = self._pending, None
        if pending is None:
            return None
        self._timer.cancel()
        return None if pending.done() else pending


def _lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
