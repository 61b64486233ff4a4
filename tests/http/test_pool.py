"""Requests over kept connections, against a server that answers byte by byte as it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tls import make_certificate

from qa_eval.errors import InputError
from qa_eval.http.base import HttpClient, Unreachable
from qa_eval.http.client import JSON, connect
from qa_eval.http.pool import ConnectionPool
from qa_eval.stack import servers

Writer = asyncio.StreamWriter
Answer = Callable[[Writer], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Kind: plain\r\n\r\nok"


class Server:
    """Reads whole requests and answers each with the next answer; the last one stays."""

    def __init__(self, *answers: bytes | Answer) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((line for line in head.splitlines() if line.startswith(b"Content-Length:")), b"X: 0")
                self.requests.append(head + await reader.readexactly(int(length.split(b":")[1])))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if isinstance(answer, bytes):
                    writer.write(answer)
                else:
                    await answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def port_of(listener: asyncio.Server) -> int:
    return int(listener.sockets[0].getsockname()[1])


@asynccontextmanager
async def served(server: Server, *, timeout_s: float = 5.0) -> AsyncIterator[HttpClient]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    client = connect(f"http://127.0.0.1:{port_of(listener)}/base/", {"X-All": "1"}, timeout_s=timeout_s)
    try:
        yield client
    finally:
        await client.close()
        listener.close()


def test_a_request_as_it_goes_and_an_answer_as_it_comes() -> None:
    async def main() -> None:
        server = Server(OK)
        async with served(server) as client:
            answer = await client.request("POST", "v1/things", b'{"a":1}', JSON | {"Traceparent": "00-1"})
            assert await client.request("GET", "v1/things?limit=1") == answer
        assert (answer.status, answer.headers["x-kind"], answer.body) == (200, "plain", b"ok")
        post, get = (request.decode().split("\r\n") for request in server.requests)
        assert post[0] == "POST /base/v1/things HTTP/1.1"
        assert {"X-All: 1", "Traceparent: 00-1", "Content-Type: application/json", "Content-Length: 7"} < set(post)
        assert post[-1] == '{"a":1}'
        assert get[0] == "GET /base/v1/things?limit=1 HTTP/1.1"
        assert any(line.startswith("Host: 127.0.0.1:") for line in get)

    asyncio.run(main())


def test_connections_are_used_again_and_as_many_are_made_as_are_needed() -> None:
    async def late(writer: Writer) -> None:
        await asyncio.sleep(0.1)
        writer.write(OK)

    async def main() -> None:
        server = Server(late)
        async with served(server) as client:
            for _ in range(2):
                await asyncio.gather(*(client.request("GET", "x") for _ in range(5)))
        assert (server.connections, len(server.requests)) == (5, 10)

    asyncio.run(main())


async def in_pieces(writer: Writer) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n":
        writer.write(bytes([byte]))
        await asyncio.sleep(0)


async def end(writer: Writer) -> None:
    writer.close()


async def cut_in_the_body(writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    await writer.drain()
    writer.close()


async def cut_hard(writer: Writer) -> None:
    writer.transport.abort()


async def nothing(writer: Writer) -> None:
    await asyncio.sleep(10)


async def answers_and_ends(writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    await writer.drain()
    writer.close()


async def answers_and_ends_without_a_word(writer: Writer) -> None:
    writer.write(OK)
    await writer.drain()
    writer.close()


async def answers_and_says_goodbye(writer: Writer) -> None:
    writer.write(OK + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    "answer", [in_pieces, answers_and_ends, answers_and_ends_without_a_word, answers_and_says_goodbye]
)
def test_answers_of_every_shape_are_read_and_the_next_request_goes_through(answer: Answer) -> None:
    async def main() -> None:
        server = Server(answer, OK)
        async with served(server) as client:
            assert (await client.request("GET", "x"))[::2] == (200, b"ok")
            await asyncio.sleep(0.05)  # what the server does after its answer arrives
            assert (await client.request("GET", "x"))[::2] == (200, b"ok")
        assert len(server.requests) == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (end, ConnectionError),
        (cut_in_the_body, ConnectionError),
        (cut_hard, ConnectionError),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ConnectionError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: minus\r\n\r\n", ConnectionError),
        (nothing, TimeoutError),
    ],
)
def test_what_is_no_answer_is_an_error_and_the_next_request_goes_through(
    answer: bytes | Answer, expected: type[OSError]
) -> None:
    async def main() -> None:
        server = Server(answer, OK)
        async with served(server, timeout_s=0.3) as client:
            with pytest.raises(expected) as raised:
                await client.request("POST", "x", b"once")
            assert not isinstance(raised.value, Unreachable)
            assert (await client.request("GET", "x")).status == 200
        assert [request.endswith(b"once") for request in server.requests] == [True, False], "nothing is sent twice"

    asyncio.run(main())


def test_a_cancelled_request_leaves_no_answer_for_the_next() -> None:
    async def late(writer: Writer) -> None:
        await asyncio.sleep(0.1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")

    async def main() -> None:
        async with served(Server(late, OK)) as client:
            request = asyncio.create_task(client.request("GET", "x"))
            await asyncio.sleep(0.05)
            request.cancel()
            assert (await client.request("GET", "x")).body == b"ok"
            await asyncio.sleep(0.1)
            assert (await client.request("GET", "x")).body == b"ok"

    asyncio.run(main())


def test_a_server_that_is_gone_is_unreachable() -> None:
    async def main() -> None:
        server = Server(OK)
        async with served(server) as client:
            pass
        with pytest.raises(Unreachable):
            await client.request("GET", "x")

    asyncio.run(main())


@pytest.mark.usefixtures("stack")  # its environments can make a certificate
def test_tls_is_spoken_and_the_certificate_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(servers.environment("litellm").python, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def ask(host: str) -> bytes:
        listener = await asyncio.start_server(Server(OK).serve, "127.0.0.1", 0, ssl=context)
        client = connect(f"https://{host}:{port_of(listener)}", {}, timeout_s=5.0)
        try:
            return (await client.request("GET", "x")).body
        finally:
            await client.close()
            listener.close()

    with pytest.raises(Unreachable, match="certificate verify failed"):
        asyncio.run(ask("localhost"))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert asyncio.run(ask("localhost")) == b"ok"
    with pytest.raises(Unreachable, match="certificate"):
        asyncio.run(ask("127.0.0.1"))


@pytest.mark.parametrize("url", ["", "localhost:4000", "ftp://host", "http://", "http://[::1", "/phoenix"])
def test_what_is_no_address_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(InputError, match="is no address of a server"):
        connect(url, {}, timeout_s=1.0)


@pytest.mark.parametrize("key", ["sk-1\r\nX-Other: 1", "sk-ü", "sk-1\x00"])
def test_a_key_that_cannot_be_sent_is_refused_before_anything_is(key: str) -> None:
    with pytest.raises(InputError, match="holds a character that cannot be sent"):
        connect("http://127.0.0.1:1", {"Authorization": f"Bearer {key}"}, timeout_s=1.0)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    async def main() -> None:
        proxy = Server(OK if scheme == "http" else b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{port_of(listener)}")
        client = connect(f"{scheme}://gateway.test/base", {"X-All": "1"}, timeout_s=5.0)
        try:
            if scheme == "http":
                assert (await client.request("POST", "v1/x", b"1", JSON))[::2] == (200, b"ok")
                assert proxy.requests[0].startswith(b"POST http://gateway.test/base/v1/x HTTP/1.1\r\n")
                assert b"X-All: 1" in proxy.requests[0]
            else:
                with pytest.raises(ConnectionError):
                    await client.request("GET", "v1/x")
                assert proxy.requests[0].startswith(b"CONNECT gateway.test:443 HTTP/1.1\r\n")
            monkeypatch.setenv("no_proxy", "gateway.test")
            assert isinstance(connect(f"{scheme}://gateway.test", {}, timeout_s=5.0), ConnectionPool)
        finally:
            await client.close()
            listener.close()

    asyncio.run(main())
