"""The call of the gateway: one chat completion, within the time that Lambda has left."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import urllib3

from .lex import Turn, as_mapping
from .messages import BUDGET_SPENT, SORRY, NoAnswer, without_surrogates

OVERHEAD_S = 2.0
"""Time that the gateway needs beside its calls to the model: guardrails, and the wait before a retry."""
RETRY_FROM_S = 12.0
"""The shortest time in which the gateway may try twice."""

INSTRUCTION = "You are a helpful assistant in a chat window. Answer in short plain text, without Markdown."
_HEADERS = {"content-type": "application/json", "user-agent": "qa-eval-chatbot"}
_T = TypeVar("_T")


@dataclass(frozen=True)
class GatewaySettings:
    """The gateway's address, model and key."""

    endpoint: str
    """Base URL; `/chat/completions` follows it."""
    model: str
    key: str | None = field(default=None, repr=False)
    key_secret_arn: str | None = None
    """The Secrets Manager secret with the key, where `key` is None."""


class Gateway:
    """A client of the gateway that keeps its connections and the key between turns."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._key = settings.key
        self._pool = urllib3.PoolManager(maxsize=32)

    def answer(self, turn: Turn, deadline: float) -> str:
        """The model's answer.

        Args:
            turn: The question.
            deadline: The time of `time.monotonic` at which to give up.

        Raises:
            NoAnswer: There is none, or not in time.
        """
        body = json.dumps(
            {
                "model": self._settings.model,
                "messages": _chat_messages(turn),
                "temperature": 0,
                "max_tokens": turn.max_tokens,
                "litellm_session_id": turn.session_id,  # Phoenix groups the traces of a conversation by it
            }
        )
        headers = {"traceparent": turn.traceparent} if turn.traceparent else {}
        # urllib3's timeout restarts with every byte: only another thread can give up on a gateway that trickles.
        # The abandoned thread cannot be stopped and ends with its connection.
        status, content = _within(deadline - time.monotonic(), lambda: self._post(body, headers, deadline))
        return _read_answer(status, content)

    def _post(self, body: str, headers: dict[str, str], deadline: float) -> tuple[int, bytes]:
        """Post; where the gateway refuses a key from an earlier turn, once more with the secret's present value."""
        cached = self._key is not None
        status, content = self._post_with_key(body, headers, deadline)
        if status == 401 and cached and self._settings.key_secret_arn:
            self._key = None
            return self._post_with_key(body, headers, deadline)
        return status, content

    def _post_with_key(self, body: str, headers: dict[str, str], deadline: float) -> tuple[int, bytes]:
        if self._key is None and self._settings.key_secret_arn:
            self._key = _read_secret(self._settings.key_secret_arn)
        authorization = {"authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            return self._send(body, {**headers, **authorization}, deadline)
        except urllib3.exceptions.ProtocolError as error:
            # The gateway closed a kept connection while the Lambda was frozen.
            if not any(isinstance(cause, ConnectionError) for cause in error.args):
                raise
            return self._send(body, {**headers, **authorization}, deadline)

    def _send(self, body: str, headers: dict[str, str], deadline: float) -> tuple[int, bytes]:
        seconds = max(deadline - time.monotonic(), 0.001)
        try:
            response = self._pool.request(
                "POST",
                f"{self._settings.endpoint.rstrip('/')}/chat/completions",
                body=body.encode(),
                headers={**_HEADERS, **timeout_headers(seconds), **headers},
                timeout=urllib3.Timeout(connect=min(seconds, 5.0), read=seconds),
                retries=False,
                redirect=False,
            )
        except urllib3.exceptions.ConnectTimeoutError:
            raise NoAnswer("gateway_error", "unreachable") from None
        except urllib3.exceptions.TimeoutError:
            raise NoAnswer("timeout", "gateway_hangs") from None
        except urllib3.exceptions.ProtocolError:
            raise
        except urllib3.exceptions.HTTPError:
            raise NoAnswer("gateway_error", "unreachable") from None
        return response.status, response.data


def timeout_headers(seconds: float) -> dict[str, str]:
    """LiteLLM's headers that bound a request to so many seconds: the timeout of each try, and the retries."""
    retries = 1 if seconds >= RETRY_FROM_S else 0
    overhead = min(OVERHEAD_S, seconds / 2)
    one_try = (seconds - overhead) / (retries + 1)
    return {"x-litellm-timeout": f"{one_try:.2f}", "x-litellm-num-retries": str(retries)}


def _chat_messages(turn: Turn) -> list[dict[str, str]]:
    content = f"{turn.context}\n\n{turn.message}" if turn.context else turn.message
    return [{"role": "system", "content": INSTRUCTION}, *turn.history, {"role": "user", "content": content}]


def _within(seconds: float, work: Callable[[], _T]) -> _T:
    """The result of `work`, or its error.

    Raises:
        NoAnswer: It does not end in time.
    """
    results: list[_T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception as error:
            errors.append(error)

    if seconds > 0:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise NoAnswer("timeout", "out_of_time")
    return results[0]


def _read_answer(status: int, content: bytes) -> str:
    try:
        document = as_mapping(json.loads(content))
    except ValueError:
        document = {}
    if status != 200:
        raise _refusal(status, as_mapping(document.get("error")))
    choices = document.get("choices")
    choice = as_mapping(choices[0]) if isinstance(choices, list) and choices else None
    if choice is None:
        raise NoAnswer("invalid_response", "no_choices" if document else "not_json")
    text = as_mapping(choice.get("message")).get("content")
    answer = without_surrogates(text).strip() if isinstance(text, str) else ""
    if choice.get("finish_reason") == "content_filter":
        raise NoAnswer("blocked_output", "content_filter", answer or SORRY)
    if not answer:
        raise NoAnswer("empty", "empty_answer")
    return answer


def _refusal(status: int, error: Mapping[str, Any]) -> NoAnswer:
    """Why the gateway does not answer; a block by the guardrail carries the guardrail's own message."""
    fields = as_mapping(error.get("provider_specific_fields"))
    sentence = fields.get("bedrock_guardrail_response")
    if sentence is not None:
        outcome = "blocked_output" if fields.get("guardrail_mode") == "post_call" else "blocked_input"
        return NoAnswer(outcome, "guardrail", str(sentence).strip() or SORRY)
    if error.get("type") == "budget_exceeded":
        return NoAnswer("refused", "budget_exceeded", BUDGET_SPENT)
    outcomes = {408: "timeout", 504: "timeout", 429: "rate_limited"}
    return NoAnswer(outcomes.get(status, "refused" if 400 <= status < 500 else "gateway_error"), f"http_{status}")


def _read_secret(arn: str) -> str:
    # Imported here: with the key in the environment, boto3 would cost a cold start half a second for nothing.
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
    try:
        secret = boto3.client("secretsmanager", config=config).get_secret_value(SecretId=arn)
    except Exception:
        raise NoAnswer("gateway_error", "no_key") from None
    return str(secret["SecretString"])
