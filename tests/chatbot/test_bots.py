"""The bots: the local one, and Lex at its network edge."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from aws_edge import Asked, AwsEdge, no_account
from fake_gateway import KEY, blocked
from lex import request_violations, violations

from qa_eval.aws.lex import LexBot
from qa_eval.blueprint import bot as blueprint
from qa_eval.chatbot.bot import BotReply, read_response
from qa_eval.chatbot.local import LocalBot
from qa_eval.errors import ChatbotError, DeploymentError, QaEvalError

Answer = Callable[[Asked], tuple[int, Any]]


@pytest.fixture
def local(serve):
    gateway = serve(lambda fake, prompt: f"Answer {len(fake.requests)}.")
    return LocalBot(f"{gateway.url}/v1", "qa", KEY), gateway


def said(gateway: Any) -> list[str]:
    return [message["content"] for message in gateway.requests[-1]["messages"][1:]]


def test_the_local_bot_remembers_a_conversation_and_keeps_others_apart(local):
    bot, gateway = local
    first = bot.say("session-1", "One?")
    bot.say("session-2", "Other?")
    bot.say("session-1", "Two?")

    assert first == BotReply(("Answer 1.",), "answered")
    assert said(gateway) == ["One?", "Answer 1.", "Two?"]


def test_the_local_bot_forgets_what_lex_would_forget(local, monkeypatch):
    bot, gateway = local
    bot.say("session-1", "One?")
    now = time.monotonic()
    monkeypatch.setattr("qa_eval.chatbot.local.time.monotonic", lambda: now + blueprint.IDLE_SESSION_S + 1)
    bot.say("session-1", "Two?")

    assert said(gateway) == ["Two?"]


def test_the_local_bot_says_what_became_of_a_turn(serve):
    gateway = serve(lambda fake, prompt: blocked("pre_call"))
    reply = LocalBot(f"{gateway.url}/v1", "qa", KEY).say("session-1", "Bad?")

    assert reply.messages == ("Your request contains content that cannot be processed.",)
    assert (reply.outcome, reply.reason, reply.answered) == ("blocked_input", "guardrail", False)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], AwsEdge]]:
    """Starts an AWS at its network edge, to which the SDK is pointed."""
    edges = []

    def start(answer: Answer) -> AwsEdge:
        edges.append(AwsEdge(answer))
        for name, value in {**no_account(), "AWS_ENDPOINT_URL": edges[-1].url}.items():
            monkeypatch.setenv(name, value)
        return edges[-1]

    monkeypatch.delenv("AWS_REGION", raising=False)
    yield start
    for edge in edges:
        edge.close()


def lex_response(text: str, state: str = "Fulfilled", **attributes: str) -> dict[str, Any]:
    response = {
        "messages": [{"content": piece, "contentType": "PlainText"} for piece in text.split("|") if piece],
        "sessionState": {
            "dialogAction": {"type": "Close"},
            "intent": {"name": "FallbackIntent", "state": state},
            "sessionAttributes": attributes,
        },
        "sessionId": "session-1",
    }
    assert violations(response) == []
    return response


def test_lex_is_asked_as_its_service_model_says(aws):
    edge = aws(lambda asked: (200, lex_response("One.|Two.", outcome="answered", reason="")))
    reply = LexBot("BOTBOTBOT1", "TSTALIASID", "qa").say("session-1", "Hello?", {"context": "C"})

    (asked,) = edge.asked
    _, bots, bot_id, aliases, alias, locales, locale, sessions, session, verb = unquote(asked.path).split("/")
    request = {"botId": bot_id, "botAliasId": alias, "localeId": locale, "sessionId": session, **json.loads(asked.body)}
    assert (bots, aliases, locales, sessions, verb) == ("bots", "botAliases", "botLocales", "sessions", "text")
    assert request_violations(request) == []
    assert request == {
        "botId": "BOTBOTBOT1",
        "botAliasId": "TSTALIASID",
        "localeId": "en_US",
        "sessionId": "session-1",
        "text": "Hello?",
        "requestAttributes": {"context": "C"},
    }
    assert reply == BotReply(("One.", "Two."), "answered")
    assert reply.text == "One.\nTwo."


def test_an_apology_of_lex_itself_is_no_answer(aws):
    """The function failed: Lex speaks its own sentence, and the session still holds the turn before."""
    aws(lambda asked: (200, lex_response("Sorry, I couldn't process your request", "Failed", outcome="answered")))
    reply = LexBot("BOTBOTBOT1", "TSTALIASID", "qa").say("session-1", "Hello?")

    assert (reply.outcome, reply.reason) == ("gateway_error", "function_failed")


@pytest.mark.parametrize(
    ("code", "outcome"), [("ThrottlingException", "rate_limited"), ("DependencyFailedException", "gateway_error")]
)
def test_lex_failing_is_an_outcome_after_one_try(aws, code, outcome):
    edge = aws(lambda asked: (429 if code.startswith("T") else 424, {"__type": code, "message": "no"}))
    reply = LexBot("BOTBOTBOT1", "TSTALIASID", "qa").say("session-1", "Hello?")

    assert (reply.outcome, reply.reason, reply.messages) == (outcome, code, ())
    assert len(edge.asked) == 1


def test_lex_refusing_is_a_sentence(aws):
    aws(lambda asked: (403, {"__type": "AccessDeniedException", "message": "not you"}))
    with pytest.raises(ChatbotError, match=r"^AWS refuses RecognizeText: AccessDeniedException, not you\.$"):
        LexBot("BOTBOTBOT1", "TSTALIASID", "qa").say("session-1", "Hello?")


def test_too_long_a_message_is_not_sent(aws):
    edge = aws(lambda asked: (500, {}))
    reply = LexBot("BOTBOTBOT1", "TSTALIASID", "qa").say("session-1", "x" * 1025)

    assert reply == BotReply(("Please ask in at most 1,024 characters.",), "refused", "too_long")
    assert edge.asked == []


def stack_answer(outputs: dict[str, str] | None) -> Answer:
    members = "".join(
        f"<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"
        for key, value in (outputs or {}).items()
    )
    stack = (
        "<StackName>S</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime>"
        f"<StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{members}</Outputs>"
    )
    found = (
        '<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>'
        f"<Stacks><member>{stack}</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    )
    missing = "<ErrorResponse><Error><Code>ValidationError</Code><Message>Stack S does not exist</Message></Error>"
    return lambda asked: (200, found) if outputs is not None else (400, missing + "</ErrorResponse>")


OUTPUTS = {"ChatbotBotId": "BOTBOTBOT1", "ChatbotAliasId": "TSTALIASID", "ChatbotModel": "qa", "Other": "x"}


def test_the_stack_says_where_the_bot_is(aws):
    edge = aws(stack_answer(OUTPUTS))
    bot = LexBot.from_stack("S")

    assert bot.model == "qa"
    assert bot._address == {"botId": "BOTBOTBOT1", "botAliasId": "TSTALIASID", "localeId": "en_US"}
    assert b"Action=DescribeStacks" in edge.asked[0].body


def test_the_region_may_stand_in_aws_region(aws, monkeypatch):
    edge = aws(stack_answer(OUTPUTS))
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    LexBot.from_stack("S")

    assert "/eu-west-1/" in edge.asked[0].headers["authorization"]


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [(None, "The stack 'S' does not exist"), ({"Other": "x"}, "has no chatbot: check the name")],
)
def test_no_such_stack_or_no_bot_in_it(aws, outputs, sentence):
    aws(stack_answer(outputs))
    with pytest.raises(QaEvalError, match=sentence):
        LexBot.from_stack("S")


def test_without_a_region_or_credentials_the_user_reads_what_to_set(monkeypatch):
    for name, value in no_account().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(DeploymentError, match="set AWS_REGION"):
        LexBot.from_stack("S")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(DeploymentError, match=r"credentials.*: sign in, .* or set AWS_PROFILE"):
        LexBot.from_stack("S")


@pytest.mark.parametrize("response", [{}, {"messages": None, "sessionState": []}, {"messages": [7, {}]}])
def test_a_response_of_another_shape_is_no_answer(response):
    assert read_response(response) == BotReply((), "gateway_error", "function_failed")
