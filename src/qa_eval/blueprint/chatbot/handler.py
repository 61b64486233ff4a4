"""The chatbot's fulfilment: a Lex V2 event in, one gateway call, a Lex V2 response out.

This file is the Lambda asset and stands alone: the standard library, and urllib3 and boto3, which the Lambda runtime
ships. `qa-eval chat --local` sends the same events to the same code.

Environment: `LITELLM_ENDPOINT` (the gateway's base URL), `LITELLM_MODEL`, and `LITELLM_API_KEY` or
`LITELLM_API_KEY_SECRET_ARN`.

A program that talks to the bot may send request attributes: `context`, a text that the model reads before the message
(Lex takes 1,024 characters of message), `max_tokens`, the longest answer if it shall be shorter than usual, and
`traceparent`, the trace that the gateway's spans join. It reads in the session attributes what became of the turn:
`outcome` (`answered`, or why there is no answer) and `reason`.

Nothing that a user or a model said is logged.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import urllib3

SORRY = "Sorry, I couldn't process your request"
NOT_TYPED = "Please type your question: this chatbot reads text."
TOO_LONG = "Please ask in at most 1,024 characters."
CUT_NOTE = "\n\n[The answer is cut here: it is longer than a chat takes.]"

INTENTS = ("FallbackIntent", "AskQuestion")
"""The bot's intents; both bring the message here."""

LONGEST_MESSAGE = 1024
"""Characters of one message, the user's and ours."""
MOST_MESSAGES = 5
LONGEST_ANSWER = 4500
"""An answer of so many characters arrives whole wherever its sentences end; a longer one is cut."""

MARGIN_S = 2.0
"""What is left of the Lambda's time when an apology is sent in place of the answer."""
OVERHEAD_S = 2.0
"""What the gateway may need beside its calls to the model: guardrails, and the wait before a second try."""
TWO_TRIES_S = 12.0
"""With so much time the gateway may try twice."""
LONGEST_ANSWER_TOKENS = 1200

HISTORY_TURNS = 6
HISTORY_BYTES = 4000
"""Lex keeps at most 12 KB of attributes, and sends the Lambda at most 12 KB with everything else."""
OUTPUT_BYTES = 24_000
"""Lex takes at most 25 KB from a Lambda."""
LONGEST_CONTEXT_BYTES = 6000

_INSTRUCTION = "You are a helpful assistant in a chat window. Answer in short plain text, without Markdown."
_HEADERS = {"content-type": "application/json", "user-agent": "qa-eval-chatbot"}
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[”’」』）]*|(?=\n)")
_COUNT = re.compile(r"[1-9][0-9]{0,5}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_T = TypeVar("_T")

_log = logging.getLogger("qa_eval_chatbot")
_log.setLevel(logging.INFO)


class LambdaContext(Protocol):
    """What is used of the context that Lambda gives."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends this call."""
        ...


@dataclass(frozen=True)
class Settings:
    """Which gateway is asked, and with which key."""

    endpoint: str
    """Base URL; `/chat/completions` follows it."""
    model: str
    key: str | None = field(default=None, repr=False)
    key_secret_arn: str | None = None
    """Where Secrets Manager holds the key, if `key` does not."""


@dataclass(frozen=True)
class Turn:
    """What one event asks."""

    message: str
    context: str
    max_tokens: int
    traceparent: str | None
    session_id: str
    history: list[dict[str, str]]
    """Earlier messages of this session, oldest first, as the chat API takes them."""


class NoAnswer(Exception):
    """Why a turn has no answer of the model's."""

    def __init__(self, outcome: str, reason: str, sentence: str = SORRY) -> None:
        """
        Args:
            outcome: One of the names that experiments count.
            reason: A word for the log.
            sentence: What the user reads.
        """
        super().__init__(outcome, reason)
        self.outcome, self.reason, self.sentence = outcome, reason, sentence


def lambda_handler(event: Any, context: LambdaContext) -> dict[str, Any]:
    """What Lambda calls for each turn of a conversation; it never raises."""
    global _chatbot
    if _chatbot is None:
        _chatbot = Chatbot(
            Settings(
                endpoint=os.environ.get("LITELLM_ENDPOINT", ""),
                model=os.environ.get("LITELLM_MODEL", ""),
                key=os.environ.get("LITELLM_API_KEY"),
                key_secret_arn=os.environ.get("LITELLM_API_KEY_SECRET_ARN"),
            )
        )
    return _chatbot.respond(event, context)


class Chatbot:
    """Answers turns; it keeps the key and the connections between them, nothing else."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = settings.key
        self._pool = urllib3.PoolManager(maxsize=32)

    def respond(self, event: Any, context: LambdaContext) -> dict[str, Any]:
        """The Lex V2 response to a Lex V2 event, before the Lambda's time is over; every failure has one."""
        began = time.monotonic()
        deadline = began + context.get_remaining_time_in_millis() / 1000 - MARGIN_S
        turn, answer = None, ""
        try:
            turn = read_turn(event)
            answer = self._ask(turn, deadline)
            failure = None
        except NoAnswer as error:
            failure = error
        except Exception as error:
            failure = NoAnswer("gateway_error", type(error).__name__)
        _report(turn, answer, failure, time.monotonic() - began, context)
        return _response(event, turn, answer, failure)

    def _ask(self, turn: Turn, deadline: float) -> str:
        body = json.dumps(
            {
                "model": self._settings.model,
                "messages": _messages(turn),
                "temperature": 0,
                "max_tokens": turn.max_tokens,
                "litellm_session_id": turn.session_id,  # by which Phoenix groups a conversation
            }
        )
        headers = {"traceparent": turn.traceparent} if turn.traceparent else {}
        # A timeout of urllib3's counts from byte to byte: only another thread can give up on a gateway that trickles.
        # It cannot be ended and lives until its connection does, which harms nobody.
        status, content = _within(deadline - time.monotonic(), lambda: self._post(body, headers, deadline))
        return _read_answer(status, content)

    def _post(self, body: str, headers: dict[str, str], deadline: float) -> tuple[int, bytes]:
        known = self._key is not None
        status, content = self._post_once(body, headers, deadline)
        if status == 401 and known and self._settings.key_secret_arn:
            self._key = None
            return self._post_once(body, headers, deadline)
        return status, content

    def _post_once(self, body: str, headers: dict[str, str], deadline: float) -> tuple[int, bytes]:
        if self._key is None and self._settings.key_secret_arn:
            self._key = _read_secret(self._settings.key_secret_arn)
        authorization = {"authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            return self._send(body, {**headers, **authorization}, deadline)
        except urllib3.exceptions.ProtocolError as error:
            # A kept connection that the other side has closed while the Lambda slept.
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
                headers={**_HEADERS, **limits(seconds), **headers},
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


_chatbot: Chatbot | None = None


def limits(seconds: float) -> dict[str, str]:
    """LiteLLM's headers that keep its tries within so many seconds: the time of each and how many more after one."""
    retries = 1 if seconds >= TWO_TRIES_S else 0
    overhead = min(OVERHEAD_S, seconds / 2)
    one_try = (seconds - overhead) / (retries + 1)
    return {"x-litellm-timeout": f"{one_try:.2f}", "x-litellm-num-retries": str(retries)}


def read_turn(event: Any) -> Turn:
    """The question in a Lex V2 event.

    Raises:
        NoAnswer: There is none that can be asked.
    """
    event = _mapping(event)
    message = event.get("inputTranscript")
    requested = _mapping(event.get("requestAttributes"))
    if _intent(event).get("name", INTENTS[0]) not in INTENTS:
        raise NoAnswer("refused", "unknown_intent")
    if event.get("inputMode", "Text") != "Text":
        raise NoAnswer("refused", "input_mode", NOT_TYPED)
    if not isinstance(message, str) or not message.strip():
        raise NoAnswer("refused", "no_text", NOT_TYPED)
    if len(message) > LONGEST_MESSAGE:
        raise NoAnswer("refused", "too_long", TOO_LONG)
    context, traceparent, tokens = (str(requested.get(name, "")) for name in ("context", "traceparent", "max_tokens"))
    if len(context.encode(errors="replace")) > LONGEST_CONTEXT_BYTES:
        raise NoAnswer("refused", "context_too_long")
    return Turn(
        message=_valid(message),
        context=_valid(context),
        max_tokens=min(int(tokens), LONGEST_ANSWER_TOKENS) if _COUNT.fullmatch(tokens) else LONGEST_ANSWER_TOKENS,
        traceparent=traceparent if _TRACEPARENT.fullmatch(traceparent) else None,
        session_id=str(event.get("sessionId", "")),
        history=_read_history(_attributes(event).get("history")),
    )


def split(answer: str) -> list[str]:
    """An answer as messages: at most 5 of 1 to 1,024 characters, cut at sentence ends, else at spaces, else anywhere.

    Up to 4,500 characters arrive whole, white space at the cuts aside; a longer answer ends early and says so.
    """
    rest, tail = answer.strip(), ""
    if len(rest) > LONGEST_ANSWER:
        rest, tail = rest[: _cut(rest, LONGEST_ANSWER // 2, LONGEST_ANSWER)].rstrip(), CUT_NOTE
    units = _units(rest)
    if len(units) + len(tail) <= MOST_MESSAGES * (LONGEST_MESSAGE - 1):
        rest = units
    pieces: list[str] = []
    while len(rest) + len(tail) > LONGEST_MESSAGE:
        room_after = (MOST_MESSAGES - len(pieces) - 1) * (LONGEST_MESSAGE - 1)
        at = _cut(rest, len(rest) + len(tail) - room_after, min(LONGEST_MESSAGE, len(rest)))
        pieces.append(rest[:at].rstrip())
        rest = rest[at:].lstrip()
    return [_valid(piece) for piece in (*pieces, (rest + tail).strip())]


def _cut(text: str, low: int, high: int) -> int:
    """Where to cut, between `low` and `high`: after the last sentence there, else at the last space, else at `high`."""
    low = max(low, 1)
    ends = [match.end() for match in _SENTENCE_END.finditer(text, low - 1, high + 1) if low <= match.end() <= high]
    spaces = (at for at in range(min(high, len(text) - 1), low - 1, -1) if text[at].isspace())
    at = ends[-1] if ends else next(spaces, high)
    return at - 1 if "\ud800" <= text[at - 1] <= "\udbff" and at > 1 else at


def _units(text: str) -> str:
    """The text with characters beyond 16 bits as two: AWS documents that Lex counts code units."""
    return re.sub("[^\0-\uffff]", lambda match: _halves(match[0]), text)


def _halves(character: str) -> str:
    offset = ord(character) - 0x10000
    return chr(0xD800 + (offset >> 10)) + chr(0xDC00 + (offset & 0x3FF))


def _messages(turn: Turn) -> list[dict[str, str]]:
    asked = f"{turn.context}\n\n{turn.message}" if turn.context else turn.message
    return [{"role": "system", "content": _INSTRUCTION}, *turn.history, {"role": "user", "content": asked}]


def _within(seconds: float, work: Callable[[], _T]) -> _T:
    """What `work` gives, or raises, if it ends in time."""
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
        document = _mapping(json.loads(content))
    except ValueError:
        document = {}
    if status != 200:
        raise _refusal(status, _mapping(document.get("error")))
    choices = document.get("choices")
    choice = _mapping(choices[0]) if isinstance(choices, list) and choices else None
    if choice is None:
        raise NoAnswer("invalid_response", "no_choices" if document else "not_json")
    text = _mapping(choice.get("message")).get("content")
    answer = _valid(text).strip() if isinstance(text, str) else ""
    if choice.get("finish_reason") == "content_filter":
        raise NoAnswer("blocked_output", "content_filter", answer or SORRY)
    if not answer:
        raise NoAnswer("empty", "empty_answer")
    return answer


def _refusal(status: int, error: Mapping[str, Any]) -> NoAnswer:
    """Why the gateway did not answer; a block by the guardrail speaks with the guardrail's own message."""
    fields = _mapping(error.get("provider_specific_fields"))
    sentence = fields.get("bedrock_guardrail_response")
    if sentence is not None:
        outcome = "blocked_output" if fields.get("guardrail_mode") == "post_call" else "blocked_input"
        return NoAnswer(outcome, "guardrail", str(sentence).strip() or SORRY)
    outcomes = {408: "timeout", 504: "timeout", 429: "rate_limited"}
    return NoAnswer(outcomes.get(status, "refused" if 400 <= status < 500 else "gateway_error"), f"http_{status}")


def _response(event: Any, turn: Turn | None, answer: str, failure: NoAnswer | None) -> dict[str, Any]:
    event = _mapping(event)
    pieces = split(failure.sentence if failure else answer)
    attributes = {name: value for name, value in _attributes(event).items() if isinstance(value, str)}
    attributes |= {"outcome": failure.outcome if failure else "answered", "reason": failure.reason if failure else ""}
    if turn and not failure:
        room = OUTPUT_BYTES - sum(_size(text) for text in (*pieces, *attributes.values())) - 1000
        attributes["history"] = _write_history(turn, answer, min(HISTORY_BYTES, room))
    name = str(_intent(event).get("name") or INTENTS[0])
    return {
        "sessionState": {
            "dialogAction": {"type": "Close"},
            "intent": {"name": name, "state": "Failed" if failure else "Fulfilled"},
            "sessionAttributes": attributes,
        },
        "messages": [{"contentType": "PlainText", "content": piece} for piece in pieces],
    }


def _read_history(text: Any) -> list[dict[str, str]]:
    """The turns that the session attribute holds; a client may have written anything there."""
    try:
        turns = json.loads(text)
        pairs = [(question, answer) for question, answer in turns]
    except (TypeError, ValueError):
        return []
    history = []
    for pair in pairs[-HISTORY_TURNS:]:
        if all(isinstance(said, str) and said.strip() for said in pair):
            roles = zip(("user", "assistant"), pair, strict=True)
            history += [{"role": role, "content": _valid(said)} for role, said in roles]
    return history


def _write_history(turn: Turn, answer: str, room: int) -> str:
    """The last turns as JSON, oldest first, as many as there is room for."""
    said = [message["content"] for message in turn.history]
    turns = [*zip(said[::2], said[1::2], strict=True), (turn.message, answer[:LONGEST_MESSAGE])][-HISTORY_TURNS:]
    while turns and _size(json.dumps(turns, ensure_ascii=False)) > room:
        turns = turns[1:]
    return json.dumps(turns, ensure_ascii=False)


def _report(turn: Turn | None, answer: str, failure: NoAnswer | None, seconds: float, context: LambdaContext) -> None:
    """One line for each turn. An alarm counts the lines of level ERROR: what the user could not have avoided."""
    line = {
        "outcome": failure.outcome if failure else "answered",
        "reason": failure.reason if failure else "",
        "seconds": round(seconds, 3),
        "question_characters": len(turn.message) if turn else None,
        "answer_characters": len(answer),
        "earlier_messages": len(turn.history) if turn else None,
        "request_id": context.aws_request_id,
    }
    innocent = failure is None or turn is None or failure.outcome.startswith("blocked")
    _log.log(logging.INFO if innocent else logging.ERROR, json.dumps(line))


def _read_secret(arn: str) -> str:
    # Only here: where the key stands in the environment, boto3 would cost a cold start half a second.
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
    try:
        secret = boto3.client("secretsmanager", config=config).get_secret_value(SecretId=arn)
    except Exception:
        raise NoAnswer("gateway_error", "no_key") from None
    return str(secret["SecretString"])


def _intent(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(_mapping(event.get("sessionState")).get("intent"))


def _attributes(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(_mapping(event.get("sessionState")).get("sessionAttributes"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _size(text: str) -> int:
    """Bytes of a text as it stands in JSON."""
    return len(json.dumps(text, ensure_ascii=False).encode(errors="replace"))


def _valid(text: str) -> str:
    """The text with halves of characters, which no server takes, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
