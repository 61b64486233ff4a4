"""Property 3 as a user has it: the real handler, the real LiteLLM with the deployed configuration, a Bedrock that
echoes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import echo_bedrock
import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lex import violations

from qa_eval.blueprint.chatbot.gateway import GatewaySettings
from qa_eval.blueprint.chatbot.handler import Chatbot
from qa_eval.blueprint.chatbot.messages import CUT_NOTE
from qa_eval.blueprint.guardrail import load_guardrail_policy
from qa_eval.chatbot.local import lex_event
from qa_eval.stack import environments, health, ports, processes, servers, state
from qa_eval.stack.bedrock.guardrail import TRIGGER_PHRASES, apply
from qa_eval.stack.processes import Server

LIMIT_S = 20.0


@dataclass
class Platform:
    """The handler in front of the real gateway, and what the model says."""

    chatbot: Chatbot
    bedrock_url: str

    def ask(self, message: str, answer: str = "") -> dict[str, Any]:
        """The response to a message; without an `answer`, the model gives the message back."""
        httpx.post(f"{self.bedrock_url}/answer", content=answer.encode()).raise_for_status()
        return self.chatbot.respond(lex_event("session-1", message, {}, {}), Context())


class Context:
    """Lambda's context with a fresh budget."""

    aws_request_id = "request-1"

    def __init__(self) -> None:
        self._end = time.monotonic() + LIMIT_S

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self._end - time.monotonic()))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QA_EVAL_DATA_DIR", str(tmp_path_factory.mktemp("round-trip")))
        state.folder().mkdir(parents=True)
        chosen: dict[str, int] = {}
        for name in ("litellm", "bedrock", "phoenix"):
            chosen[name] = ports._free_port(chosen.values())
        environment = servers.environment("litellm")
        environments.ensure(environment, print)
        plan = servers.StackPlan(chosen, state.StackFeatures())
        platform = [_echo(chosen["bedrock"]), servers._litellm(plan)]
        records = [processes.start(server) for server in platform]
        try:
            health.wait_until_healthy(zip(platform, records, strict=True), print)
            gateway, bedrock = (f"http://127.0.0.1:{chosen[name]}" for name in ("litellm", "bedrock"))
            yield Platform(Chatbot(GatewaySettings(gateway, "qa", state.master_key())), bedrock)
        finally:
            processes.stop({server.mark: record for server, record in zip(platform, records, strict=True)})


def _echo(port: int) -> Server:
    return Server(
        name="bedrock",
        title="Echo",
        command=(sys.executable, str(Path(echo_bedrock.__file__)), str(port)),
        settings={},
        port=port,
        health="/health",
        home=state.home("bedrock"),
        log=state.log_file("bedrock"),
        version="1",
    )


def texts(response: dict[str, Any]) -> list[str]:
    assert violations(response) == []
    assert response["sessionState"]["sessionAttributes"]["outcome"] == "answered"
    assert response["sessionState"]["intent"]["state"] == "Fulfilled"
    found = [message["content"] for message in response["messages"]]
    assert 1 <= len(found) <= 5
    return found


def masked(text: str) -> str:
    outputs = apply(load_guardrail_policy(), "OUTPUT", [text])["outputs"]
    return str(outputs[0]["text"]) if outputs else text


def as_bedrock_masks(text: str) -> str:
    """The gateway's own filter, which sees a question first, has other words for what it masks."""
    return text.replace("[EMAIL_REDACTED]", "{EMAIL}").replace("[PHONE_REDACTED]", "{PHONE}")


def bare(text: str) -> str:
    """Without white space, which the cuts between messages take away."""
    return "".join(text.split())


THROUGH_THE_GATEWAY = settings(max_examples=100, deadline=None)
MESSAGES = st.text(min_size=1, max_size=500).filter(lambda text: text.strip())
SENTENCES = st.text(st.sampled_from("abc ,\n.!?…。é😀"), min_size=1, max_size=700)
ANSWERS = st.one_of(
    st.text(min_size=1, max_size=2000),
    st.lists(SENTENCES, min_size=1, max_size=30).map("".join),
).map(lambda text: text[:20_000])
LONG = ("A sentence of some words. " * 800)[:20_000]


@THROUGH_THE_GATEWAY
@example("Write to jane.doe@example.org or call +44 20 7946 0958.")
@example("😀 " * 250)
@example("\x00\x1f\u2028\ufeff\U0010ffff")
@given(message=MESSAGES)
def test_lex_litellm_roundtrip(platform, message):
    """Feature: litellm-ecs-demo, Property 3: Lex-LiteLLM Round-Trip: what a user says comes back as it was."""
    received = texts(platform.ask(message))

    assert bare(as_bedrock_masks("".join(received))) == bare(masked(message))


@THROUGH_THE_GATEWAY
@example("x" * 4500)
@example("x" * 4501)
@example(LONG)
@example("x" * 20_000)
@given(answer=ANSWERS.filter(lambda text: text.strip()))
def test_the_models_answer_is_what_the_user_reads(platform, answer):
    """Feature: litellm-ecs-demo, Property 3: Lex-LiteLLM Round-Trip: what the model says arrives by the rule."""
    received = texts(platform.ask("Say it.", answer))
    said = masked(answer).strip()

    if len(said) <= 4500:
        assert bare("".join(received)) == bare(said)
    else:
        note = CUT_NOTE.strip()
        assert received[-1].endswith(note)
        assert bare(said).startswith(bare("".join(received).removesuffix(note)))


@pytest.mark.parametrize(("source", "expected"), [("question", "blocked_input"), ("answer", "blocked_output")])
def test_a_block_speaks_with_the_guardrails_own_words(platform, source, expected):
    phrase = f"Please {TRIGGER_PHRASES['HATE']}."
    response = platform.ask(phrase) if source == "question" else platform.ask("Say it.", phrase)
    policy = load_guardrail_policy()
    sentence = policy.blocked_input_messaging if source == "question" else policy.blocked_outputs_messaging

    assert violations(response) == []
    assert [message["content"] for message in response["messages"]] == [sentence]
    assert response["sessionState"]["sessionAttributes"]["outcome"] == expected
    assert response["sessionState"]["intent"]["state"] == "Failed"


def test_an_answer_of_white_space_is_no_answer(platform):
    response = platform.ask("Say it.", " \n ")

    assert response["sessionState"]["sessionAttributes"]["outcome"] == "empty"
