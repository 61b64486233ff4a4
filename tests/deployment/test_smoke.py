"""The smoke test tried on a platform that works, the local stack, and on what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qa_eval.aws.deployed import DeployedStack
from qa_eval.blueprint.gateway import read_config
from qa_eval.chatbot.bot import BotReply
from qa_eval.deployment import smoke
from qa_eval.errors import GatewayError
from qa_eval.stack import RunningStack


def silent(line: str) -> None:
    pass


@pytest.fixture
def local(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> DeployedStack:
    """The local stack as if it were deployed; its small model is slow, so it gets few questions."""
    monkeypatch.setattr(smoke, "QUESTIONS", 3)
    return DeployedStack("local", stack.gateway_url, stack.phoenix_url, stack.gateway_key, "none-is-needed")


def test_a_working_platform_has_no_finding(local: DeployedStack) -> None:
    assert smoke.verify_gateway(local.gateway_url, local.gateway_key, read_config(), silent) == ()
    assert smoke.run_smoke_experiment(local, "claude-haiku", 0.0, silent) == ()


def test_a_missed_gate_and_missing_traces_are_findings(local: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "GATEWAY_SPAN", "a span that nobody sends")
    monkeypatch.setattr(smoke, "_TRACES_TIMEOUT_S", 0.0)
    gate, traces = smoke.run_smoke_experiment(local, "claude-haiku", 1.01, silent)
    assert "below the gate of 1.01" in gate
    assert f"no gateway span in {smoke.QUESTIONS} of the traces" in traces


def test_a_wrong_key_is_a_finding_not_an_end(local: DeployedStack) -> None:
    wrong = replace(local, gateway_key="sk-wrong")
    findings = smoke.run_checks(
        lambda: smoke.verify_gateway(wrong.gateway_url, wrong.gateway_key, read_config(), silent),
        lambda: ("another",),
    )
    assert findings[-1] == "another"
    assert "refuses the key" in findings[0]


class Bot:
    """Lex, as far as it is asked."""

    def __init__(self, reply: BotReply) -> None:
        self.reply = reply

    def say(self, session_id: str, message: str) -> BotReply:
        return self.reply


def test_a_bot_that_says_nothing_is_a_finding() -> None:
    assert smoke.check_chatbot(Bot(BotReply(("Paris",), "answered", None)), silent) == ()  # type: ignore[arg-type]
    (finding,) = smoke.check_chatbot(Bot(BotReply((), "gateway_error", "timeout")), silent)  # type: ignore[arg-type]
    assert finding == "The chatbot does not answer: gateway_error, timeout."


def test_what_cannot_be_asked_is_a_finding() -> None:
    def fails() -> tuple[str, ...]:
        raise GatewayError("No gateway answers at https://example.org.")

    assert smoke.run_checks(fails) == ("No gateway answers at https://example.org.",)
