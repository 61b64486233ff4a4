"""The guardrail of the deployed configuration, end to end: what it blocks and masks, and what happens when it fails."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest
from fake_bedrock import BROKEN, GONE_404, HANGS, THROTTLED, Failure, FakeBedrock
from real_gateway import KEY, RealGateway

from qa_eval import run_experiment
from qa_eval.blueprint.gateway import read_config
from qa_eval.blueprint.guardrail import load_guardrail_policy

POLICY = load_guardrail_policy()
HATE = "Please trigger the hate filter."
MAIL, NUMBER = "ada.l@example.org", "+1 415 555 0142"
NAMES = [guardrail.guardrail_name for guardrail in read_config().guardrails]


def text_of(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    return str(reply.json()["choices"][0]["message"]["content"])


def test_a_question_that_is_blocked_never_reaches_a_model(gateway: RealGateway, bedrock: FakeBedrock):
    reply = gateway.ask(HATE)

    fields = reply.json()["error"]["provider_specific_fields"]
    assert reply.status_code == 400
    assert fields["bedrock_guardrail_response"] == POLICY.blocked_input_messaging
    assert (fields["guardrail_mode"], fields["guardrail_name"]) == ("pre_call", NAMES[2])
    assert bedrock.asked == []


def test_an_answer_that_is_blocked_never_reaches_the_caller(gateway: RealGateway, bedrock: FakeBedrock):
    bedrock.answer = lambda prompt: f"You said: {HATE}"

    reply = gateway.ask()

    fields = reply.json()["error"]["provider_specific_fields"]
    assert reply.status_code == 400
    assert fields["bedrock_guardrail_response"] == POLICY.blocked_outputs_messaging
    assert (fields["guardrail_mode"], fields["guardrail_name"]) == ("post_call", NAMES[3])
    assert HATE not in reply.text
    assert len(bedrock.asked) == 1, "a block is not retried"


def test_a_blocked_question_is_not_asked_of_a_fallback(gateway: RealGateway, bedrock: FakeBedrock):
    assert gateway.ask(HATE, model="claude-sonnet").status_code == 400
    assert bedrock.asked == []


def test_personal_data_in_a_question_is_masked_before_the_model_sees_it(gateway: RealGateway, bedrock: FakeBedrock):
    gateway.ask(f"Who is {MAIL} at {NUMBER}?")

    assert bedrock.prompts == ["Who is [EMAIL_REDACTED] at [PHONE_REDACTED]?"]


def test_personal_data_in_an_answer_is_masked_before_the_caller_sees_it(gateway: RealGateway, bedrock: FakeBedrock):
    bedrock.answer = lambda prompt: f"Write to {MAIL} or call {NUMBER}."

    assert text_of(gateway.ask()) == "Write to {EMAIL} or call {PHONE}."


def test_personal_data_in_a_streamed_answer_is_masked_although_no_piece_holds_it_whole(
    gateway: RealGateway, bedrock: FakeBedrock
):
    bedrock.answer = lambda prompt: f"Write to {MAIL} or call {NUMBER}."

    lines = gateway.ask(stream=True).text.splitlines()

    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    pieces = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"]]
    assert "".join(pieces) == "Write to {EMAIL} or call {PHONE}."


def test_every_guardrail_of_the_file_looks_at_every_question(gateway: RealGateway):
    assert gateway.ask().headers["x-litellm-applied-guardrails"].split(",") == NAMES


@pytest.mark.parametrize(
    ("failure", "status"), [(BROKEN, 500), (GONE_404, 404), (HANGS, 500)], ids=["broken", "not there", "hangs"]
)
def test_without_the_guardrail_no_question_is_answered(
    failure: Failure, status: int, gateway: RealGateway, bedrock: FakeBedrock
):
    bedrock.guardrail_failing = {"INPUT": failure}

    began = time.monotonic()
    reply = gateway.ask()

    assert time.monotonic() - began < 6.5, "the guardrail has 5 s"
    assert reply.status_code == status
    assert bedrock.asked == []
    log = gateway.log.read_text()
    assert "bedrock_guardrails.py" in log, "the log names who failed"


def test_without_the_guardrail_no_answer_reaches_the_caller(gateway: RealGateway, bedrock: FakeBedrock):
    bedrock.answer = lambda prompt: f"Write to {MAIL}."
    bedrock.guardrail_failing = {"OUTPUT": BROKEN}

    reply = gateway.ask()

    assert reply.status_code == 500
    assert MAIL not in reply.text


def test_a_throttled_guardrail_is_asked_four_times_and_then_named(gateway: RealGateway, bedrock: FakeBedrock):
    bedrock.guardrail_failing = {"INPUT": THROTTLED}

    began = time.monotonic()
    reply = gateway.ask()

    assert reply.status_code == 429
    assert bedrock.looks == 4
    assert 3 < time.monotonic() - began < 6
    assert bedrock.asked == []


@pytest.mark.parametrize("stream", [False, True])
def test_in_an_experiment_a_block_is_an_outcome_with_the_guardrails_own_message(
    stream: bool, gateway: RealGateway, bedrock: FakeBedrock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    questions = ["Who?", f"{HATE[:-1]}, who?", "Who is named in the answer?"]
    paragraph = {
        "context": "Ada wrote it.",
        "qas": [
            {"id": str(place), "question": question, "answers": [{"text": "Ada", "answer_start": 0}]}
            for place, question in enumerate(questions)
        ],
    }
    file = tmp_path / "three.json"
    file.write_text(json.dumps({"version": "1.1", "data": [{"title": "Ada", "paragraphs": [paragraph]}]}))
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)
    bedrock.answer = lambda prompt: f"Ada. {HATE}" if "named in" in prompt else "Ada"

    result = run_experiment(file, gateway=gateway.url, record=False, stream=stream)

    (experiment,) = result.experiments
    replies = {answer.example.question: answer.reply for answer in experiment.answers}
    assert [str(replies[question].outcome) for question in questions] == ["answered", "blocked_input", "blocked_output"]
    assert replies[questions[1]].message == POLICY.blocked_input_messaging
    assert replies[questions[2]].message == POLICY.blocked_outputs_messaging
    assert (experiment.answered, experiment.blocked, experiment.failed) == (1, 2, 0)
    assert experiment.mean("exact_match", answered_only=True) == 1.0
    answered = replies[questions[0]]
    assert (answered.prompt_tokens, answered.completion_tokens) == (40, 2)
    assert answered.deployment_model == "bedrock/us.amazon.nova-micro-v1:0"
    assert (answered.fallbacks, answered.gateway_retries) == (0, 0)
    # In a stream LiteLLM leaves its guardrail's price out.
    assert answered.cost_usd == pytest.approx(40 * 0.035e-6 + 2 * 0.14e-6 + (0.0 if stream else 0.0005))
    assert (answered.first_token_s is not None) is stream
