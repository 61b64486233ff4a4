"""The chatbot as an experiment's target."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest
from fake_gateway import KEY, FakeGateway, blocked, error
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.chatbot.bot import BotReply
from qa_eval.data.load import load_dataset
from qa_eval.errors import ChatbotError
from qa_eval.targets.chatbot import ChatbotTarget, divide, in_front_of_gateway
from qa_eval.targets.outcome import Attempt, Outcome
from qa_eval.targets.prompt import default_prompt

BLOCKED = "Your request contains content that cannot be processed."
TRACE = f"00-{'ab' * 16}-{'cd' * 8}-01"
PROMPT = "Answer.\n\nContext: " + "The Mulde is a river. " * 100 + "\n\nQuestion: Which river?\n\nAnswer:"


def ask(target: ChatbotTarget, prompt: str = PROMPT, model: str = "qa") -> Attempt:
    return asyncio.run(target.ask(model, prompt, temperature=0, max_tokens=32, traceparent=TRACE))


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
    parts = [divide(prompt.fill(example)) for example in dataset]

    assert all(part is not None and "Question: " in part[1] for part in parts)


def test_the_model_reads_the_very_prompt(serve):
    gateway = serve(lambda fake, prompt: "the Mulde")
    attempt = ask(in_front_of_gateway(gateway.url, KEY, 10))

    assert (attempt.reply.outcome, attempt.reply.text) == (Outcome.ANSWERED, "the Mulde")
    assert attempt.reply.latency_s > 0
    assert gateway.requests[0]["messages"][-1]["content"] == PROMPT
    assert gateway.requests[0]["max_tokens"] == 32
    assert gateway.headers[0]["traceparent"] == TRACE


def test_each_question_is_a_conversation_of_its_own_and_each_model_has_a_bot(serve):
    gateway = serve(lambda fake, prompt: "an answer")
    target = in_front_of_gateway(gateway.url, KEY, 10)
    for model in ("qa", "other", "qa"):
        ask(target, model=model)

    assert [request["model"] for request in gateway.requests] == ["qa", "other", "qa"]
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
    attempt = ask(in_front_of_gateway(serve(lambda fake, prompt: answer()).url, KEY, 10))

    assert (attempt.reply.outcome, attempt.reply.text, attempt.reply.message) == (outcome, "", message)
    assert (attempt.retry, attempt.unreachable) == (retry, False)


def test_a_gateway_that_is_away_is_waited_for():
    attempt = ask(in_front_of_gateway("http://127.0.0.1:9", KEY, 10))

    assert attempt.reply.outcome is Outcome.GATEWAY_ERROR
    assert attempt.unreachable


def test_a_question_that_does_not_fit_is_refused_not_cut(serve):
    gateway = serve(lambda fake, prompt: "an answer")
    target = in_front_of_gateway(gateway.url, KEY, 10)
    long_question = ask(target, "Context: c\n\nQuestion: " + "q" * 1100)
    long_context = ask(target, "Context: " + "c" * 6100 + "\n\nQuestion: Which?")

    assert (long_question.reply.outcome, long_context.reply.outcome) == (Outcome.REFUSED, Outcome.REFUSED)
    assert "1,024 characters" in long_question.reply.message
    assert "context_too_long" in long_context.reply.message
    assert gateway.requests == []


class AwayBot:
    """A bot that cannot be reached."""

    def say(self, session_id: str, message: str, attributes: Mapping[str, str] | None = None) -> BotReply:
        raise ChatbotError("Lex cannot be asked: no credentials.")


def test_a_bot_that_cannot_be_reached_is_an_outcome():
    attempt = ask(ChatbotTarget(lambda model: AwayBot()))

    assert attempt.reply.outcome is Outcome.GATEWAY_ERROR
    assert attempt.reply.message == "Lex cannot be asked: no credentials."


def test_many_questions_are_under_way_at_once():
    async def slowly(fake: FakeGateway, prompt: str) -> str:
        await asyncio.sleep(0.3)
        return "an answer"

    async def all_at_once(target: ChatbotTarget) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(target.ask("qa", "Hello?", temperature=0, max_tokens=1) for _ in range(20)))
        return loop.time() - began

    gateway = FakeGateway(slowly)
    took = asyncio.run(all_at_once(in_front_of_gateway(gateway.url, KEY, 10)))
    gateway.close()

    assert took < 3, "one after the other would take 6 s"
    assert json.dumps(gateway.requests).count("Hello?") == 20
