"""Converse and ConverseStream: a validated request in, AWS's response or events out."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_eval.stack.bedrock.errors import AwsError
from qa_eval.stack.bedrock.eventstream import encode_event
from qa_eval.stack.bedrock.generation import End, Generation, Sampling
from qa_eval.stack.bedrock.judge import is_judgement, stand_in
from qa_eval.stack.bedrock.model import Model
from qa_eval.stack.bedrock.prompts import as_series, read_question
from qa_eval.stack.bedrock.replay import Replay, replay_answer


class _GuardText(BaseModel):
    text: str


class _GuardContent(BaseModel):
    text: _GuardText


class _Block(BaseModel):
    """Text, guarded text, or a cache point. Images, documents and tools are refused."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = None
    guardContent: _GuardContent | None = None
    cachePoint: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _not_blank(self) -> Self:
        if self.cachePoint is None and not self.plain.strip():
            raise ValueError("The text field in the ContentBlock object is blank. Add text to it, and try again.")
        return self

    @property
    def plain(self) -> str:
        return self.text or (self.guardContent.text.text if self.guardContent else "")


class _Message(BaseModel):
    role: Literal["user", "assistant"]
    content: list[_Block] = Field(min_length=1)

    @property
    def text(self) -> str:
        return "\n".join(block.plain for block in self.content if block.plain)


class _InferenceConfig(BaseModel):
    maxTokens: int = Field(default=Sampling.max_tokens, ge=1)
    temperature: float = Field(default=Sampling.temperature, ge=0, le=1)
    topP: float = Field(default=Sampling.top_p, ge=0, le=1)
    stopSequences: list[Annotated[str, Field(min_length=1)]] = []


class ConverseRequest(BaseModel):
    """The supported part of a Converse request. Unsupported features are refused, optional hints are ignored."""

    messages: list[_Message] = Field(min_length=1)
    system: list[_Block] = []
    inferenceConfig: _InferenceConfig = Field(default_factory=_InferenceConfig)
    toolConfig: dict[str, Any] | None = None
    outputConfig: dict[str, Any] | None = None
    guardrailConfig: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _supported(self) -> Self:
        if self.messages[0].role != "user":
            raise ValueError("A conversation must start with a user message.")
        if self.toolConfig is not None:
            raise ValueError("This model doesn't support tool use.")
        if self.guardrailConfig is not None:
            raise ValueError("guardrailConfig is not supported here: call ApplyGuardrail.")
        return self

    @property
    def schema_of_reply(self) -> dict[str, Any] | None:
        """The JSON schema of a structured reply; None where text is asked for."""
        form = (self.outputConfig or {}).get("textFormat")
        if form is None:
            return None
        try:
            schema: dict[str, Any] = json.loads(form["structure"]["jsonSchema"]["schema"])
        except (KeyError, TypeError, ValueError):
            raise AwsError("ValidationException", "outputConfig.textFormat holds no JSON schema.") from None
        return schema

    @property
    def last(self) -> str:
        """The last user message."""
        return next(message.text for message in reversed(self.messages) if message.role == "user")

    @property
    def instructions(self) -> str:
        """The system prompt."""
        return "\n".join(block.plain for block in self.system if block.plain)

    @property
    def sampling(self) -> Sampling:
        """The sampling parameters."""
        given = self.inferenceConfig
        return Sampling(given.maxTokens, given.temperature, given.topP, tuple(given.stopSequences))


async def answer(request: ConverseRequest, model: Model, replay: Replay | None) -> Generation:
    """Start the answer to a request: a judgement by rules, any other from the table if there is one, or the model."""
    schema = request.schema_of_reply
    if is_judgement(request.instructions, request.last, schema):
        return stand_in(request.last, schema)
    if schema is not None:
        raise AwsError("ValidationException", "This model doesn't support structured output.")
    if replay is not None:
        return replay_answer(replay, request.last)
    question = read_question(request.last)
    if question is not None:
        series = as_series(question, f"{request.instructions}\n{request.last}")
        return model.generate(series, request.sampling, ends=("\n",))
    system = [{"role": "system", "content": request.instructions}] if request.instructions else []
    turns = [{"role": message.role, "content": message.text} for message in request.messages]
    return model.generate(await model.render([*system, *turns]), request.sampling)


async def respond(generation: Generation) -> dict[str, Any]:
    """The Converse response, once the answer is complete. An empty answer is one block of empty text."""
    began = time.perf_counter()
    text = ""
    async with aclosing(generation):
        async for part in generation:
            if isinstance(part, str):
                text += part
            else:
                end = part
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": end.stop_reason,
        **_usage(end, began),
    }


async def events(generation: Generation) -> AsyncGenerator[bytes, None]:
    """The ConverseStream events, each as soon as it is available."""
    began = time.perf_counter()
    async with aclosing(generation):
        async for part in generation:
            if isinstance(part, str):
                yield encode_event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": part}})
            else:
                yield encode_event("contentBlockStop", {"contentBlockIndex": 0})
                yield encode_event("messageStop", {"stopReason": part.stop_reason})
                yield encode_event("metadata", _usage(part, began))


def _usage(end: End, began: float) -> dict[str, Any]:
    tokens = {"inputTokens": end.input_tokens, "outputTokens": end.output_tokens}
    return {
        "usage": {**tokens, "totalTokens": sum(tokens.values())},
        "metrics": {"latencyMs": round(1000 * (time.perf_counter() - began))},
    }
