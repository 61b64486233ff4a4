"""The chatbot as an experiment's target."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest
from fake_gateway import KEY, FakeGateway, blocked, error
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.chatbot.bot import Bot, BotReply
from qa_eval.chatbot.local import LocalBot
from qa_eval.data import Example
from qa_eval.data.load import load_dataset
from qa_eval.errors import ChatbotError
from qa_eval.spec.model import Message, PromptSpec
from qa_eval.targets.base import Attempt
from qa_eval.targets.chatbot import ChatbotTarget, divide
from qa_eval.targets.outcome import Outcome
from qa_eval.targets.prompt import default_prompt, render
from qa_eval.tracing.context import TraceContext

BLOCKED = "Your request contains content that cannot be processed."
TRACE = f"00-{'ab' * 16}-{'cd' * 8}-01"
EXAMPLE = Example("1", "Which river?")
PROMPT = "Answer.\n\nContext: " + "The Mulde is a river. " * 100 + "\n\nQuestion: Which river?\n\nAnswer:"


def bot(url: str, model: str = "qa") -> LocalBot:
    return LocalBot(f"{url}/v1", model, KEY, seconds=10)


def target(asked: Bot, prompt: str = PROMPT) -> ChatbotTarget:
    return ChatbotTarget(asked, PromptSpec(messages=(Message(role="user", content=prompt),)), 32)


def ask(asked: Bot, prompt: str = PROMPT) -> Attempt:
    return asyncio.run(target(asked, prompt).generate(EXAMPLE, TraceContext("ab" * 16, "cd" * 8)))


@settings(max_examples=300)
@given(st.lists(st.text(st.sampled_from("ab \n"), max_size=900), max_size=6).map("\n\n".join))
def test_a_divided_prompt_is_the_prompt(prompt):
    """Feature: litellm-ecs-demo, Property: what is sent in two parts is read as one, and each part fits."""
    parts = divide(prompt)
    if parts is None:
        return
    context, message = parts

    assert 1 <= len(message) <= 1024
    assert message.strip()
    assert (f"{context}\n\n{message}" if context else message).strip() == prompt.strip()


def test_every_question_of_the_sample_fits():
    dataset = load_dataset()
    prompt = default_prompt(dataset.version)
    parts = [divide(render(prompt, example)[0]["content"]) for example in dataset]

    assert all(part is not None and "Question: " in part[1] for part in parts)


def test_the_model_reads_the_very_prompt(serve):
    gateway = serve(lambda fake, prompt: "the Mulde")
    attempt = ask(bot(gateway.url))

    assert (attempt.reply.outcome, attempt.reply.text) == (Outcome.ANSWERED, "the Mulde")
    assert attempt.reply.latency_s > 0
    assert gateway.requests[0]["messages"][-1]["content"] == PROMPT
    assert gateway.requests[0]["max_tokens"] == 32
    assert gateway.headers[0]["traceparent"] == TRACE


def test_each_question_is_a_conversation_of_its_own(serve):
    gateway = serve(lambda fake, prompt: "an answer")
    asked = bot(gateway.url)
    for _ in range(3):
        ask(asked)

    assert {len(request["messages"]) for request in gateway.requests} == {2}
    assert len({request["litellm_session_id"] for request in gateway.requests}) == 3


@pytest.mark.parametrize(
    ("answer", "outcome", "message", "retry"),
    [
        (
            lambda: blocked("pre_call"),
            "blocked_input",
            BLOCKED,
            False,
        ),
        (lambda: error(429), "rate_limited", "Sorry, I couldn't process your request (http_429)", True),
        (lambda: error(500), "gateway_error", "Sorry, I couldn't process your request (http_500)", False),
        (lambda: "", "empty", "Sorry, I couldn't process your request (empty_answer)", False),
    ],
)
def test_a_failure_is_an_outcome_and_scores_nothing(serve, answer, outcome, message, retry):
    attempt = ask(bot(serve(lambda fake, prompt: answer()).url))

    assert (attempt.reply.outcome, attempt.reply.text, attempt.reply.message) == (outcome, "", message)
    assert (attempt.retry, attempt.unreachable) == (retry, False)


def test_a_gateway_that_is_away_is_waited_for():
    attempt = ask(bot("http://127.0.0.1:9"))

    assert attempt.reply.outcome is Outcome.GATEWAY_ERROR
    assert attempt.unreachable


def test_a_question_that_does_not_fit_is_refused_not_cut(serve):
    gateway = serve(lambda fake, prompt: "an answer")
    asked = bot(gateway.url)
    long_question = ask(asked, "Context: c\n\nQuestion: " + "q" * 1100)
    long_context = ask(asked, "Context: " + "c" * 6100 + "\n\nQuestion: Which?")

    assert (long_question.reply.outcome, long_context.reply.outcome) == (Outcome.REFUSED, Outcome.REFUSED)
    assert "1,024 characters" in long_question.reply.message
    assert "context_too_long" in long_context.reply.message
    assert gateway.requests == []


class AwayBot:
    """A bot that cannot be reached."""

    def say(self, session_id: str, message: str, attributes: Mapping[str, str] | None = None) -> BotReply:
        raise ChatbotError("Lex cannot be asked: no credentials.")


def test_a_bot_that_cannot_be_reached_is_an_outcome():
    attempt = ask(AwayBot())

    assert attempt.reply.outcome is Outcome.GATEWAY_ERROR
    assert attempt.reply.message == "Lex cannot be asked: no credentials."


def test_many_questions_are_in_flight_at_once():
    async def slowly(fake: FakeGateway, prompt: str) -> str:
        await asyncio.sleep(0.3)
        return "an answer"

    async def all_at_once(target: ChatbotTarget) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(target.generate(EXAMPLE) for _ in range(20)))
        return loop.time() - began

    gateway = FakeGateway(slowly)
    took = asyncio.run(all_at_once(target(bot(gateway.url), "Hello?")))
    gateway.close()

    assert took < 3, "one after the other would take 6 s"
    assert json.dumps(gateway.requests).count("Hello?") == 20
