"""The handler against gateways that answer, fail, hang and trickle; the events are those of Lex V2."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from aws_edge import Asked, AwsEdge, no_account
from fake_gateway import KEY, FakeGateway, blocked, completion, error
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lex import violations

from qa_eval.blueprint import bot as blueprint
from qa_eval.blueprint import budgets
from qa_eval.blueprint.chatbot import gateway as gateway_module
from qa_eval.blueprint.chatbot import handler, lex, messages
from qa_eval.blueprint.chatbot.gateway import GatewaySettings, timeout_headers
from qa_eval.blueprint.chatbot.handler import Chatbot
from qa_eval.blueprint.chatbot.lex import read_turn, write_response
from qa_eval.blueprint.chatbot.messages import BUDGET_SPENT, split
from qa_eval.chatbot.local import lex_event
from qa_eval.targets.outcome import Outcome

QUESTION = "Where does the Zwickau river flow?"
ANSWER = "Into the Mulde, eventually."
SORRY = "Sorry, I couldn't process your request"


class Context:
    """Lambda's context: so many seconds are left from now on."""

    aws_request_id = "request-1"

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self._end - time.monotonic()))


def event(message: Any = QUESTION, attributes: Any = None, **more: Any) -> dict[str, Any]:
    return {**lex_event("session-1", message, attributes or {}, {}), **more}


def ask(gateway: str | FakeGateway, asked: Any = None, seconds: float = 10, key: str | None = KEY) -> dict[str, Any]:
    endpoint = gateway if isinstance(gateway, str) else f"{gateway.url}/v1"
    chatbot = Chatbot(GatewaySettings(endpoint, "qa", key))
    response = chatbot.respond(event() if asked is None else asked, Context(seconds))
    assert violations(response) == []
    assert response["sessionState"]["dialogAction"] == {"type": "Close"}
    return response


def texts(response: dict[str, Any]) -> list[str]:
    assert {message["contentType"] for message in response["messages"]} == {"PlainText"}
    return [message["content"] for message in response["messages"]]


def outcome(response: dict[str, Any]) -> str:
    state = response["sessionState"]
    found = str(state["sessionAttributes"]["outcome"])
    assert found in set(Outcome), "experiments know this name"
    assert state["intent"]["state"] == ("Fulfilled" if found == "answered" else "Failed")
    return found


def sent_headers(gateway: FakeGateway) -> dict[str, str]:
    return {name.lower(): value for name, value in gateway.headers[-1].items()}


def test_an_answer_closes_the_intent(serve):
    gateway = serve(lambda fake, prompt: ANSWER)
    response = ask(gateway)

    assert texts(response) == [ANSWER]
    assert outcome(response) == "answered"
    assert response["sessionState"]["intent"]["name"] == "FallbackIntent"
    sent, headers = gateway.requests[0], sent_headers(gateway)
    assert sent["model"] == "qa"
    assert sent["litellm_session_id"] == "session-1"
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert "plain text" in sent["messages"][0]["content"]
    assert sent["messages"][1]["content"] == QUESTION
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "traceparent" not in headers


def test_the_last_turns_are_sent_along(serve):
    gateway = serve(lambda fake, prompt: f"Answer {len(fake.requests)}.")
    attributes: dict[str, str] = {"theirs": "stays"}
    for turn in range(9):
        response = ask(gateway, event(f"Question {turn + 1}?", attributes))
        attributes = response["sessionState"]["sessionAttributes"]

    said = [message["content"] for message in gateway.requests[-1]["messages"][1:]]
    assert said == [
        *(text for turn in range(3, 9) for text in (f"Question {turn}?", f"Answer {turn}.")),
        "Question 9?",
    ]
    assert attributes["theirs"] == "stays"


def test_a_failed_turn_leaves_no_trace_in_the_conversation(serve):
    gateway = serve(lambda fake, prompt: blocked("pre_call") if len(fake.requests) == 2 else ANSWER)
    first = ask(gateway)["sessionState"]["sessionAttributes"]
    second = ask(gateway, event("A hateful question", first))["sessionState"]["sessionAttributes"]
    ask(gateway, event("And then?", second))

    assert second["history"] == first["history"]
    said = [message["content"] for message in gateway.requests[-1]["messages"][1:]]
    assert said == [QUESTION, ANSWER, "And then?"]


@pytest.mark.parametrize("history", ["", "[", "7", "{}", "null", '["a"]', "[[1, 2]]", '[["a", ""]]', '[["a"]]'])
def test_a_history_that_a_client_has_broken_is_none(serve, history):
    gateway = serve(lambda fake, prompt: ANSWER)

    assert texts(ask(gateway, event(attributes={"history": history}))) == [ANSWER]
    assert len(gateway.requests[0]["messages"]) == 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1, max_size=1024), st.text(min_size=1, max_size=6000)), max_size=12))
def test_what_is_remembered_fits_into_the_session(turns):
    attributes: dict[str, str] = {}
    for message, answer in turns:
        if not (message.strip() and answer.strip()):
            continue
        turn = read_turn(event(message, attributes))
        response = write_response(event(message, attributes), turn, answer, None)
        attributes = response["sessionState"]["sessionAttributes"]
        assert len(attributes["history"].encode()) <= lex.MAX_HISTORY_BYTES
        assert len(json.loads(attributes["history"])) <= lex.MAX_HISTORY_TURNS


def test_a_program_may_send_a_context_and_a_trace(serve):
    gateway = serve(lambda fake, prompt: ANSWER)
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    ask(gateway, event(requestAttributes={"context": "The Mulde is a river.", "traceparent": trace}))
    for tokens in ("32", "999999", "0", "-1", "1e9", "٣"):
        ask(gateway, event(requestAttributes={"max_tokens": tokens}))
    ask(gateway, event(requestAttributes={"traceparent": "evil\r\nx-header: 1"}))

    assert gateway.requests[0]["messages"][-1]["content"] == f"The Mulde is a river.\n\n{QUESTION}"
    assert gateway.headers[0]["traceparent"] == trace
    assert "traceparent" not in gateway.headers[-1]
    usual = lex.MAX_ANSWER_TOKENS
    asked = [request["max_tokens"] for request in gateway.requests]
    assert asked == [usual, 32, usual, usual, usual, usual, usual, usual]


def raw(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, status=status, content_type="application/json")


FAILURES = {
    "guardrail, question": (lambda: blocked("pre_call"), "blocked_input"),
    "guardrail, answer": (lambda: blocked("post_call"), "blocked_output"),
    "content filter": (
        lambda: raw(json.dumps({"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]})),
        "blocked_output",
    ),
    "401": (lambda: error(401), "refused"),
    "400": (lambda: error(400), "refused"),
    "404": (lambda: error(404), "refused"),
    "redirect": (lambda: web.Response(status=302, headers={"location": "/elsewhere"}), "gateway_error"),
    "408": (lambda: error(408), "timeout"),
    "429": (lambda: error(429), "rate_limited"),
    "500": (lambda: error(500, "it failed: " + QUESTION), "gateway_error"),
    "502, HTML": (lambda: web.Response(text="<html>Bad Gateway</html>", status=502), "gateway_error"),
    "504": (lambda: error(504), "timeout"),
    "empty answer": (lambda: completion(""), "empty"),
    "blank answer": (lambda: completion(" \n\u3000"), "empty"),
    "no answer": (lambda: completion(None), "empty"),
    "no choices": (lambda: raw('{"choices": []}'), "invalid_response"),
    "choices of another kind": (lambda: raw('{"choices": {"a": 1}}'), "invalid_response"),
    "choice of another kind": (lambda: raw('{"choices": [7]}'), "empty"),
    "not JSON": (lambda: raw("<html>"), "invalid_response"),
    "JSON of another kind": (lambda: raw("[1, 2]"), "invalid_response"),
    "no text": (lambda: web.Response(body=b"\xff\xfe"), "invalid_response"),
    "nothing": (lambda: raw(""), "invalid_response"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_every_failure_of_the_gateway_has_an_answer(serve, kind):
    answer, expected = FAILURES[kind]
    response = ask(serve(lambda fake, prompt: answer()))

    assert outcome(response) == expected
    guarded = kind.startswith("guardrail")
    assert texts(response) == ["Your request contains content that cannot be processed." if guarded else SORRY]
    assert response["sessionState"]["sessionAttributes"]["reason"]


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://no-such-host.invalid", "", "not a URL", "ftp://x"])
def test_a_gateway_that_is_not_there(endpoint):
    response = ask(endpoint)

    assert (texts(response), outcome(response)) == ([SORRY], "gateway_error")


NOT_TYPED = "Please type your question: this chatbot reads text."
REFUSED = {
    "no transcript": ({"inputTranscript": None}, NOT_TYPED),
    "blank": ({"inputTranscript": " \t\u2003\n"}, NOT_TYPED),
    "1,025 characters": ({"inputTranscript": "é" * 1025}, "Please ask in at most 1,024 characters."),
    "DTMF": ({"inputMode": "DTMF", "inputTranscript": "12#"}, NOT_TYPED),
    "speech": ({"inputMode": "Speech"}, NOT_TYPED),
    "unknown intent": ({"sessionState": {"intent": {"name": "OrderPizza"}}}, SORRY),
    "context of 6,001 bytes": ({"requestAttributes": {"context": "c" * 6001}}, SORRY),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_asked_is_not_asked(serve, kind):
    gateway = serve(lambda fake, prompt: ANSWER)
    changes, sentence = REFUSED[kind]
    response = ask(gateway, event(**changes))

    assert (texts(response), outcome(response), gateway.requests) == ([sentence], "refused", [])


@pytest.mark.parametrize("junk", [None, 7, "text", [], {}, {"sessionState": []}, {"sessionState": {"intent": None}}])
def test_any_event_has_a_response(serve, junk):
    response = ask(serve(lambda fake, prompt: ANSWER), junk if junk is not None else "null")

    assert outcome(response) == "refused"


def test_1024_characters_are_asked_and_fields_that_nobody_knows_are_ignored(serve):
    gateway = serve(lambda fake, prompt: ANSWER)
    asked = "é" * 1024

    assert texts(ask(gateway, event(asked, newField={"of": "Lex"}))) == [ANSWER]
    assert gateway.requests[0]["messages"][-1]["content"] == asked


def test_halves_of_characters_reach_nobody(serve):
    gateway = serve(lambda fake, prompt: raw('{"choices": [{"message": {"content": "a\\ud83d\\ude00b\\ud83dc"}}]}'))

    assert texts(ask(gateway, event("x\ud83dy"))) == ["a😀b\ufffdc"]
    assert gateway.requests[0]["messages"][-1]["content"] == "x\ufffdy"


LOG_FIELDS = {"outcome", "reason", "seconds", "question_characters", "answer_characters", "earlier_messages"}


@pytest.mark.parametrize("kind", [*FAILURES, *REFUSED, "answered"])
def test_each_turn_has_one_log_line_without_content(serve, caplog, kind):
    answer, _ = FAILURES.get(kind, (lambda: ANSWER, ""))
    changes, _ = REFUSED.get(kind, ({}, ""))
    with caplog.at_level(logging.INFO):
        ask(serve(lambda fake, prompt: answer()), event(attributes={"history": '[["Old?", "Elder."]]'}, **changes))

    (record,) = [record for record in caplog.records if record.name == "qa_eval_chatbot"]
    line = json.loads(record.getMessage())
    assert line.keys() == LOG_FIELDS | {"request_id"}
    assert re.fullmatch(r"[a-z_]+", line["outcome"])
    assert re.fullmatch(r"[a-z_0-9]*", line["reason"])
    assert all(isinstance(line[field], int | float | None) for field in LOG_FIELDS - {"outcome", "reason"})
    text = "\n".join(record.getMessage() for record in caplog.records)
    for content in ("Zwickau", "Mulde", "Old", "Elder", KEY, "cannot be processed"):
        assert content not in text
    innocent = kind in REFUSED or kind == "answered" or line["outcome"].startswith("blocked")
    assert record.levelno == (logging.INFO if innocent else logging.ERROR)


def test_an_error_within_is_a_failure_like_any(serve, monkeypatch, caplog):
    monkeypatch.setattr(gateway_module, "_chat_messages", lambda turn: 1 / 0)
    with caplog.at_level(logging.INFO):
        response = ask(serve(lambda fake, prompt: ANSWER))

    assert (texts(response), outcome(response)) == ([SORRY], "gateway_error")
    assert json.loads(caplog.records[-1].getMessage())["reason"] == "ZeroDivisionError"


class LateGateway:
    """Answers its first request after 29 s, or when it is closed; later ones at once."""

    def __init__(self, seconds: float = 29) -> None:
        self.ended = threading.Event()
        self._seconds = seconds
        self._edge = AwsEdge(self._answer)
        self.url = self._edge.url

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        if len(self._edge.asked) == 1:
            self.ended.wait(self._seconds)
            return 200, {"choices": [{"message": {"content": "Too late."}}]}
        return 200, {"choices": [{"message": {"content": ANSWER}}]}

    def close(self) -> None:
        self.ended.set()
        self._edge.close()


class TricklingGateway:
    """Sends its response one byte at a time, faster than any timeout between bytes."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.ended = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(self._head)
            while not self.ended.wait(0.02):
                connection.sendall(b"x")

    def close(self) -> None:
        self.ended.set()
        self._socket.close()


@pytest.fixture
def trickling(request: pytest.FixtureRequest) -> Iterator[TricklingGateway]:
    gateway = TricklingGateway(request.param)
    yield gateway
    gateway.close()


def took(gateway: str | FakeGateway, seconds: float) -> float:
    began = time.monotonic()
    response = ask(gateway, seconds=seconds)
    assert (texts(response), outcome(response)) == ([SORRY], "timeout")
    return time.monotonic() - began


def test_a_gateway_that_answers_after_29_seconds_is_given_up_in_time():
    with contextlib.closing(LateGateway()) as gateway:
        assert 0.6 < took(gateway.url, seconds=2.7) < 1.2, "what was left without the margin, and no more"


def test_a_gateway_that_hangs_is_given_up_in_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert 0.6 < took(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=2.7) < 1.2


@pytest.mark.parametrize(
    "trickling",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"],
    indirect=True,
    ids=["status line", "headers", "body"],
)
def test_a_gateway_that_trickles_is_given_up_in_time(trickling):
    assert 0.6 < took(trickling.url, seconds=2.7) < 1.2


def test_a_server_that_accepts_nobody_is_given_up_in_time():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for each in crowd:
            each.setblocking(False)
            each.connect_ex(address)
        began = time.monotonic()
        response = ask(f"http://127.0.0.1:{address[1]}", seconds=2.7)
        for each in crowd:
            each.close()

    assert texts(response) == [SORRY]
    assert time.monotonic() - began < 1.2


def test_with_no_time_left_there_is_still_an_answer(serve):
    gateway = serve(lambda fake, prompt: ANSWER)

    assert took(gateway, seconds=0.5) < 0.5
    assert gateway.requests == []


def test_a_late_answer_does_not_disturb_the_next_turn():
    with contextlib.closing(LateGateway(seconds=1)) as gateway:
        chatbot = Chatbot(GatewaySettings(gateway.url, "qa", KEY))
        first = chatbot.respond(event(), Context(2.5))
        time.sleep(0.7)
        second = chatbot.respond(event(), Context(5))

    assert (texts(first), texts(second)) == ([SORRY], [ANSWER])


def test_the_gateway_is_told_how_much_time_it_has(serve):
    gateway = serve(lambda fake, prompt: ANSWER)
    ask(gateway, seconds=budgets.LAMBDA)

    one_try = float(gateway.headers[0]["x-litellm-timeout"])
    assert one_try == pytest.approx(12, abs=0.1)
    assert gateway.headers[0]["x-litellm-num-retries"] == "1"


@settings(max_examples=200)
@given(st.floats(0.01, 900))
def test_all_tries_fit_into_the_time(seconds):
    """Feature: litellm-ecs-demo, Property: the gateway's tries end before the handler gives up."""
    told = timeout_headers(seconds)

    assert float(told["x-litellm-timeout"]) >= 0
    assert float(told["x-litellm-timeout"]) * (1 + int(told["x-litellm-num-retries"])) <= seconds


def test_the_timeouts_hold_from_the_outside_in():
    request_s = budgets.LAMBDA - handler.MARGIN_S
    sent = timeout_headers(request_s)
    tries_s = float(sent["x-litellm-timeout"]) * (1 + int(sent["x-litellm-num-retries"]))

    assert budgets.LEX > budgets.LAMBDA > request_s >= tries_s + gateway_module.OVERHEAD_S


def test_a_connection_is_kept_and_replaced_when_the_gateway_closed_it(serve):
    ports = []

    async def answer(fake: FakeGateway, prompt: str) -> web.Response:
        response = completion(ANSWER)
        if len(fake.requests) == 2:
            response.force_close()
        return response

    gateway = serve(answer)
    chatbot = Chatbot(GatewaySettings(f"{gateway.url}/v1", "qa", KEY))
    for _ in range(4):
        assert texts(chatbot.respond(event(), Context(10))) == [ANSWER]
        ports.append(chatbot._gateway._pool.connection_from_url(gateway.url).num_connections)

    assert ports[1] == 1
    assert ports[-1] <= 2


class DroppingGateway:
    """Answers the first request, then drops the connection at the second one without a word, then answers again."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.requests = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        body = json.dumps({"choices": [{"message": {"content": ANSWER}}]}).encode()
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                while chunk := connection.recv(65536):
                    if not chunk.endswith(b"}"):
                        continue  # the head of a request; its body follows
                    self.requests += 1
                    if self.requests == 2:
                        break
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


def test_a_request_on_a_connection_that_was_closed_meanwhile_is_sent_again():
    gateway = DroppingGateway()
    chatbot = Chatbot(GatewaySettings(gateway.url, "qa", KEY))
    answers = [texts(chatbot.respond(event(), Context(10))) for _ in range(2)]
    gateway._socket.close()

    assert answers == [[ANSWER], [ANSWER]]
    assert gateway.requests == 3


class SecretsManager:
    """Secrets Manager at its network edge: holds one secret, or refuses to show it."""

    def __init__(self) -> None:
        self.key: str | None = None
        self.edge = AwsEdge(self._answer)

    @property
    def asked(self) -> int:
        return len(self.edge.asked)

    def _answer(self, asked: Asked) -> tuple[int, Any]:
        assert asked.headers["x-amz-target"] == "secretsmanager.GetSecretValue"
        if self.key is None:
            return 400, {"__type": "AccessDeniedException"}
        return 200, {"SecretString": self.key, "ARN": json.loads(asked.body)["SecretId"]}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsManager]:
    manager = SecretsManager()
    for name, value in {**no_account(), "AWS_ENDPOINT_URL_SECRETS_MANAGER": manager.edge.url}.items():
        monkeypatch.setenv(name, value)
    yield manager
    manager.edge.close()


def wants_key(key: str) -> Any:
    def answer(fake: FakeGateway, prompt: str) -> Any:
        return ANSWER if sent_headers(fake)["authorization"] == f"Bearer {key}" else error(401)

    return answer


ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:key"


def test_the_key_is_read_once_and_again_when_the_gateway_refuses_it(serve, secrets):
    gateway = serve(wants_key("first"))
    chatbot = Chatbot(GatewaySettings(f"{gateway.url}/v1", "qa", key_secret_arn=ARN))
    secrets.key = "first"
    before = [outcome(chatbot.respond(event(), Context(10))) for _ in range(2)]
    asked = secrets.asked
    gateway.answer, secrets.key = wants_key("second"), "second"
    after = [outcome(chatbot.respond(event(), Context(10))) for _ in range(2)]

    assert (before, asked) == (["answered"] * 2, 1)
    assert (after, secrets.asked) == (["answered"] * 2, 2)
    assert len(gateway.requests) == 5


def test_a_key_that_is_refused_anew_is_an_answer_not_a_loop(serve, secrets):
    gateway = serve(lambda fake, prompt: error(401))
    chatbot = Chatbot(GatewaySettings(f"{gateway.url}/v1", "qa", key_secret_arn=ARN))
    secrets.key = "stale"
    outcomes = [outcome(chatbot.respond(event(), Context(10))) for _ in range(2)]

    assert outcomes == ["refused", "refused"]
    assert (len(gateway.requests), secrets.asked) == (3, 2)


def test_a_spent_budget_is_named_to_the_user_and_in_the_log(serve):
    gateway = serve(lambda fake, prompt: error(422, "Budget has been exceeded!", kind="budget_exceeded"))
    response = Chatbot(GatewaySettings(f"{gateway.url}/v1", "qa", KEY)).respond(event(), Context(10))

    assert (texts(response), outcome(response)) == ([BUDGET_SPENT], "refused")
    assert response["sessionState"]["sessionAttributes"]["reason"] == "budget_exceeded"


def test_a_secret_that_cannot_be_read_is_an_answer(serve, secrets):
    gateway = serve(lambda fake, prompt: ANSWER)
    response = Chatbot(GatewaySettings(f"{gateway.url}/v1", "qa", key_secret_arn=ARN)).respond(event(), Context(10))

    assert (texts(response), outcome(response)) == ([SORRY], "gateway_error")
    assert response["sessionState"]["sessionAttributes"]["reason"] == "no_key"
    assert gateway.requests == []


def test_settings_show_no_key():
    assert KEY not in repr(GatewaySettings("http://x", "qa", KEY))


def test_the_bots_words_are_the_handlers():
    assert (blueprint.FALLBACK_INTENT, blueprint.ASK_INTENT) == lex.INTENTS
    assert messages.SORRY == SORRY


NOTE = "[The answer is cut here: it is longer than a chat takes.]"
WORDS = st.text(st.sampled_from("ab .!?\n…。😀'\" \u3000"), min_size=1, max_size=1200)
ANSWERS = st.lists(WORDS, min_size=1, max_size=20).map("".join)


def bare(text: str) -> str:
    return "".join(text.split())


@settings(max_examples=500, deadline=None)
@given(st.one_of(ANSWERS, st.text(max_size=6000)))
@example("x" * 4500)
@example("😀" * 4500)
@example("x" * 1023 + "😀" * 1700)
@example("x. " * 1500)
@example(("x" * 1000 + ". ") * 4 + "y" * 492)
@example(("x" * 999 + ". ") * 4 + "y" * 600)
@example("x" * 1018 + "。a" + "😀" * 2047 + "b")
@example("x" * 4501)
@example("x" * 20000)
def test_an_answer_is_split_by_the_rule(answer):
    """Feature: litellm-ecs-demo, Property 3: at most 5 messages of 1 to 1,024 characters, whole up to 4,500."""
    text = answer.strip()
    if not text:
        return
    pieces = split(answer)

    assert 1 <= len(pieces) <= 5
    assert all(1 <= len(piece) <= 1024 and piece.strip() == piece for piece in pieces)
    if len(text) <= 4500:
        assert bare("".join(pieces)) == bare(text)
    else:
        assert pieces[-1].endswith(NOTE)
        kept = bare("".join(pieces).removesuffix(NOTE))
        assert bare(text).startswith(kept)


def messages_of_whole_sentences(text: str) -> int:
    """As few messages as can hold the sentences whole, with room for the note and white space in each."""
    messages, room = 1, 0
    for sentence in re.findall(r"a+\.?", text):
        if room + 1 + len(sentence) > 1020 - len(NOTE):
            messages, room = messages + 1, 0
        room += 1 + len(sentence)
    return messages


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(5, 300), min_size=1, max_size=200))
@example([5, 5, 5, 104, 300, 300, 300, 122, 300, 300, 5, 116, 300, 300, 122, 300, 300, 5, 114, 300])
def test_cuts_are_at_sentence_ends(lengths):
    """Feature: litellm-ecs-demo, Property 3: sentences of up to 300 characters are not cut where whole ones fit."""
    answer = " ".join("a" * (length - 1) + "." for length in lengths)
    pieces = split(answer)

    arrived = " ".join(pieces).removesuffix(NOTE)
    if messages_of_whole_sentences(arrived) <= 5:
        for piece in pieces:
            assert piece.removesuffix(NOTE).rstrip().endswith(".")
    if len(answer) <= 4500:
        assert bare(arrived) == bare(answer)
    if len(answer) > 4500:
        kept = len("".join(pieces)) - len(NOTE)
        assert kept > 4500 - 300 - 2 * len(pieces)


def test_where_there_is_no_sentence_end_words_stay_whole():
    pieces = split("word " * 800)

    assert {word for piece in pieces for word in piece.split()} == {"word"}


@pytest.mark.parametrize("text", ["😀" * 2500, "a" + "😀" * 2500, "𝔸b" * 1600])
def test_messages_fit_however_lex_counts_characters(text):
    pieces = split(text)

    assert "".join(pieces) == text
    assert all(len(piece.encode("utf-16-le")) // 2 <= 1024 for piece in pieces)
