"""The routes of the local Bedrock, and its error responses."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Literal, TypeVar

import aiohttp
from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from qa_eval.blueprint.gateway import PREFIX, read_config
from qa_eval.blueprint.guardrail import load_guardrail_policy
from qa_eval.errors import QaEvalError
from qa_eval.stack.bedrock import LOCAL_GUARDRAIL_ID, LOCAL_GUARDRAIL_VERSION, converse, guardrail, titan
from qa_eval.stack.bedrock.errors import AwsError
from qa_eval.stack.bedrock.eventstream import CONTENT_TYPE, encode_error, encode_event
from qa_eval.stack.bedrock.generation import Generation
from qa_eval.stack.bedrock.model import Model
from qa_eval.stack.bedrock.replay import Replay

TIMEOUT_S = 60.0
"""The longest time of a request, including the wait for the model, before ModelTimeoutException."""

_T = TypeVar("_T", bound=BaseModel)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_LARGEST_REQUEST = 25_000_000  # bytes, as for Bedrock
_MODEL = web.AppKey("model", Model)
_TOO_SLOW = "The local model took too long: reduce the output tokens or the concurrency."
_log = logging.getLogger(__name__)


def application(model_url: str, replay: Replay | None = None, timeout_s: float = TIMEOUT_S) -> web.Application:
    """The web application.

    Args:
        model_url: URL of the model server.
        replay: Answers in place of the model's; the model server is then unused.
        timeout_s: Seconds until ModelTimeoutException.
    """
    app = web.Application(middlewares=[_aws_errors], client_max_size=_LARGEST_REQUEST)
    app.cleanup_ctx.append(lambda app: _model(app, model_url))
    routes = _Routes(replay, timeout_s)
    app.router.add_get("/health", routes.health)
    app.router.add_post("/model/{model}/converse", routes.converse)
    app.router.add_post("/model/{model}/converse-stream", routes.converse_stream)
    app.router.add_post("/model/{model}/invoke", routes.invoke)
    app.router.add_post("/guardrail/{guardrail}/version/{version}/apply", routes.apply_guardrail)
    return app


async def _model(app: web.Application, url: str) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as session:
        app[_MODEL] = Model(url, session)
        yield


class _Routes:
    def __init__(self, replay: Replay | None, timeout_s: float) -> None:
        self._replay = replay
        self._timeout_s = timeout_s
        self._policy = load_guardrail_policy()
        self._models = {entry.litellm_params.model.removeprefix(PREFIX) for entry in read_config().model_list}

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "answers": "replay" if self._replay else "model"})

    async def converse(self, request: web.Request) -> web.Response:
        async with asyncio.timeout(self._timeout_s):
            return web.json_response(await converse.respond(await self._answer(request)))

    async def converse_stream(self, request: web.Request) -> web.StreamResponse:
        async with asyncio.timeout(self._timeout_s) as deadline:
            events = converse.events(await self._answer(request))
            # An error before the first text is an HTTP error, not an event.
            first = await anext(events)
        async with aclosing(events):
            response = web.StreamResponse(headers={"content-type": CONTENT_TYPE})
            await response.prepare(request)
            await response.write(encode_event("messageStart", {"role": "assistant"}) + first)
            await _send(events, response, deadline.when())
        await response.write_eof()
        return response

    async def invoke(self, request: web.Request) -> web.Response:
        model = self._known_model(request)
        if not model.startswith(titan.PREFIX):
            raise AwsError(
                "ValidationException", f"InvokeModel supports only embeddings here: use Converse for {model}."
            )
        return web.json_response(await titan.embed(model, await _read(request, titan.EmbeddingRequest)))

    async def apply_guardrail(self, request: web.Request) -> web.Response:
        requested = (request.match_info["guardrail"], request.match_info["version"])
        if requested != (LOCAL_GUARDRAIL_ID, LOCAL_GUARDRAIL_VERSION):
            raise AwsError("ResourceNotFoundException", "The guardrail identifier or version does not exist.")
        body = await _read(request, _GuardrailRequest)
        return web.json_response(
            guardrail.apply(self._policy, body.source, [block.text.text for block in body.content])
        )

    async def _answer(self, request: web.Request) -> Generation:
        model = self._known_model(request)
        if model.startswith(titan.PREFIX):
            raise AwsError("ValidationException", "The model that you are trying to use doesn't support Converse.")
        return await converse.answer(await _read(request, converse.ConverseRequest), request.app[_MODEL], self._replay)

    def _known_model(self, request: web.Request) -> str:
        model = request.match_info["model"]
        if model not in self._models:
            raise AwsError("ValidationException", f"The provided model identifier is invalid: {model}")
        return model


class _GuardrailText(BaseModel):
    text: str


class _GuardrailBlock(BaseModel):
    text: _GuardrailText


class _GuardrailRequest(BaseModel):
    source: Literal["INPUT", "OUTPUT"]
    content: list[_GuardrailBlock] = Field(min_length=1)


async def _read(request: web.Request, kind: type[_T]) -> _T:
    try:
        return kind.model_validate_json(await request.read())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise AwsError("ValidationException", f"{where}: {message}" if where else message) from None


async def _send(events: AsyncGenerator[bytes, None], response: web.StreamResponse, deadline: float | None) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            async for event in events:
                await response.write(event)
    except AwsError as error:
        await response.write(encode_error(error))
    except TimeoutError:
        await response.write(encode_error(AwsError("ModelStreamErrorException", _TOO_SLOW)))


@web.middleware
async def _aws_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ConnectionError:
        raise  # the client has disconnected
    except Exception as error:
        aws_error = _as_aws_error(error)
        if aws_error.status == 500:
            _log.exception("%s %s", request.method, request.path)
        names = {"x-amzn-ErrorType": aws_error.kind, "x-amzn-RequestId": str(uuid.uuid4())}
        return web.json_response({"message": str(aws_error)}, status=aws_error.status, headers=names)


def _as_aws_error(error: Exception) -> AwsError:
    match error:
        case AwsError():
            return error
        case TimeoutError():
            return AwsError("ModelTimeoutException", _TOO_SLOW)
        case web.HTTPRequestEntityTooLarge():
            return AwsError("ValidationException", f"The request is larger than {_LARGEST_REQUEST:,} bytes.")
        case web.HTTPException():
            return AwsError("UnknownOperationException", "The local Bedrock has no such operation.")
        case QaEvalError():
            return AwsError("ServiceUnavailableException", str(error))
        case _:
            return AwsError("InternalServerException", "The local Bedrock failed: see its log.")
