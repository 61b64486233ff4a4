"""The client of the model server: a prompt in, an answer and its token counts out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from qa_eval.stack.bedrock.errors import AwsError
from qa_eval.stack.bedrock.generation import End, Generation, Sampling, StopReason

SLOTS = 1
"""Concurrent answers of the model server. More requests would wait there and occupy its few threads."""
MAX_WAITING = 32
"""Requests that may wait. The last of them waits about as long as the gateway's timeout."""

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)  # the routes in server.py have a timeout
_TOO_LONG = "exceed_context_size_error"


class Model:
    """A client of the model server. When a caller stops reading, the connection closes and its answer is aborted."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session
        self._slots = asyncio.Semaphore(SLOTS)
        self._waiting = 0

    async def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Render a conversation with the model's chat template; each message has a `role` and a `content`."""
        async with self._post("/apply-template", {"messages": list(messages)}) as response:
            return str((await response.json())["prompt"])

    async def generate(self, prompt: str, sampling: Sampling, ends: tuple[str, ...] = ()) -> Generation:
        """Continue a prompt until the model's end token or one of the strings `ends`, both of which end the turn.

        Raises:
            AwsError: The prompt is too long, too many requests wait, or the model server does not answer.
        """
        body = {
            "prompt": prompt,
            "stream": True,
            "cache_prompt": True,
            "n_predict": sampling.max_tokens,
            "stop": [*ends, *sampling.stop],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            # llama.cpp's other filters would restrict sampling further than the caller requested.
            "top_k": 0,
            "min_p": 0,
        }
        async with self._slot(), self._post("/completion", body) as response:
            async for part in _trimmed(_parts(response, sampling)):
                yield part

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        if self._waiting >= MAX_WAITING:
            raise AwsError("ThrottlingException", "Too many requests, please wait before trying again.")
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    @asynccontextmanager
    async def _post(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._session.post(self._url + path, json=body, timeout=_NO_TIMEOUT) as response:
                if response.status != 200:
                    raise _refusal(response.status, await response.text())
                yield response
        except aiohttp.ClientError as error:
            message = f"The local model server does not answer ({type(error).__name__})."
            raise AwsError("ServiceUnavailableException", message) from error


async def _parts(response: aiohttp.ClientResponse, sampling: Sampling) -> Generation:
    """Parse llama.cpp's server-sent events."""
    async for line in response.content:
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line.removeprefix(b"data: "))
        if "error" in event:
            raise _refusal(500, line.decode())
        if event["content"]:
            yield event["content"]
        if event["stop"]:
            yield _end(event, sampling)
            return
    raise aiohttp.ClientPayloadError("the answer is incomplete")


async def _trimmed(parts: Generation) -> Generation:
    """Remove white space before and after the answer."""
    held = ""
    started = False
    async for part in parts:
        if isinstance(part, End):
            yield part
            return
        held += part
        if not started:
            held = held.lstrip()
        if certain := held.rstrip():
            yield certain
            held, started = held[len(certain) :], True


def _end(event: Mapping[str, Any], sampling: Sampling) -> End:
    reason: StopReason = "end_turn"
    if event["stop_type"] == "limit":
        reason = "max_tokens"
    elif event["stop_type"] == "word" and event["stopping_word"] in sampling.stop:
        reason = "stop_sequence"
    return End(reason, event["tokens_evaluated"], event["tokens_predicted"])


def _refusal(status: int, body: str) -> AwsError:
    if _TOO_LONG in body:
        return AwsError("ValidationException", "Input is too long for requested model.")
    if status == 503:
        return AwsError("ServiceUnavailableException", "The local model server is still loading the model.")
    return AwsError("InternalServerException", f"The local model server answered {status}: {body[:200]}")
