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
"""How many answers the model server writes at once. More calls would wait there, and hold its few threads."""
MAX_WAITING = 32
"""How many calls may wait here. The last of them waits about as long as the gateway does for an answer."""

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)  # the server's routes have one
_TOO_LONG = "exceed_context_size_error"


class Model:
    """One model server. Where a caller stops reading, its answer is not written to the end: the connection closes."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session
        self._slots = asyncio.Semaphore(SLOTS)
        self._waiting = 0

    async def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """A conversation in the model's own chat template; each message has a `role` and its `content`."""
        async with self._post("/apply-template", {"messages": list(messages)}) as response:
            return str((await response.json())["prompt"])

    async def generate(self, prompt: str, sampling: Sampling, ends: tuple[str, ...] = ()) -> Generation:
        """Continue a prompt, up to the model's own end or, not less an end of turn, one of the strings `ends`.

        Raises:
            AwsError: The prompt is too long, too many calls wait, or the model server does not answer.
        """
        body = {
            "prompt": prompt,
            "stream": True,
            "cache_prompt": True,
            "n_predict": sampling.max_tokens,
            "stop": [*ends, *sampling.stop],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            # llama.cpp's other filters would narrow the choice further than Bedrock's caller has asked for.
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
    """llama.cpp's server-sent events, read."""
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
    raise aiohttp.ClientPayloadError("the answer has no end")


async def _trimmed(parts: Generation) -> Generation:
    """Without the white space before and behind the answer."""
    held = ""
    begun = False
    async for part in parts:
        if isinstance(part, End):
            yield part
            return
        held += part
        if not begun:
            held = held.lstrip()
        if certain := held.rstrip():
            yield certain
            held, begun = held[len(certain) :], True


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
