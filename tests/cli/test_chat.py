"""`qa-eval chat` as a user types it: the real handler in front of the real stack."""

from __future__ import annotations

import json
import re
import time
from functools import partial
from typing import Any

import commands
import httpx
import pytest
from aws_edge import AwsEdge, no_account
from fake_gateway import KEY, blocked

from qa_eval.stack import RunningStack
from qa_eval.stack.bedrock.guardrail import TRIGGER_PHRASES

qa_eval = partial(commands.qa_eval, COLUMNS="100")


def test_a_conversation_of_three_turns_and_its_trace(in_stack_folder: RunningStack) -> None:
    mark = f"{time.time_ns()}"
    typed = f"What is the capital of France? ({mark})\nAnd of Italy?\nWhich did I ask first?\n\nnever asked\n"
    done = qa_eval("chat", "--local", typed=typed)

    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 3
    assert in_stack_folder.gateway_key not in done.stdout + done.stderr
    turns = [spans(in_stack_folder, needle) for needle in (mark, "And of Italy?", "Which did I ask first?")]
    sessions = {span["attributes"].get("session.id") for turn in turns for span in turn} - {None}
    assert len(sessions) == 1, "Phoenix shows the turns as one session"
    assert {span["name"] for span in turns[0]} >= {
        "POST /v1/chat/completions",
        "chat qa",
        "execute_guardrail bedrock-content-filter-input",
    }
    asked = json.dumps([span["attributes"] for span in turns[2] if span["name"] == "chat qa"])
    assert mark in asked, "the third turn was asked with the first"
    assert "And of Italy?" in asked
    assert not any("never asked" in json.dumps(span) for turn in turns for span in turn)


def spans(stack: RunningStack, needle: str, seconds: float = 30) -> list[dict[str, Any]]:
    """The gateway's spans of the turn whose question holds `needle`, once they are in Phoenix with their root."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        reply = httpx.get(f"{stack.phoenix_url}/v1/projects/litellm-gateway/spans", params={"limit": 200})
        all_spans = reply.json()["data"] if reply.status_code == 200 else []
        asked = [span for span in all_spans if needle in str(span["attributes"].get("input.value"))]
        if asked:
            trace = asked[0]["context"]["trace_id"]
            turn = [span for span in all_spans if span["context"]["trace_id"] == trace]
            if any(span["name"].startswith("POST ") for span in turn):  # it ends last, and may come with a later batch
                return turn
        time.sleep(0.3)
    pytest.fail(f"no span with {needle} in Phoenix")


def test_one_question_and_what_the_guardrail_says(in_stack_folder: RunningStack) -> None:
    answered = qa_eval("chat", "--local", "What is the capital of France?")
    stopped = qa_eval("chat", "--local", f"Please {TRIGGER_PHRASES['HATE']}.")

    assert (answered.returncode, bool(answered.stdout.strip())) == (0, True), answered.stderr
    assert stopped.returncode == 1
    assert stopped.stdout == "Your request contains content that cannot be processed.\n"
    assert stopped.stderr == "No answer: blocked input (guardrail).\n"


def test_an_experiment_through_the_chatbot(in_stack_folder: RunningStack) -> None:
    arguments = ["run-experiment", "--local", "--examples", "4", "--concurrency", "1", "--json", "--max-errors", "1"]
    plain = json.loads(qa_eval(*arguments).stdout)
    chatbot = json.loads(qa_eval(*arguments, "--target", "chatbot").stdout)

    assert chatbot["spec"]["systems"][0]["via"] == "chatbot"
    assert chatbot["experiments"][0]["scores"] == plain["experiments"][0]["scores"], "the model read the same prompts"
    assert chatbot["unrecorded"] == 0


def test_a_gateway_that_runs_elsewhere(serve) -> None:
    gateway = serve(lambda fake, prompt: blocked("pre_call") if len(fake.requests) == 2 else "Yes.\n\nIt is.")
    typed = "Is it?\nIs it bad?\nexit\nnever asked\n"
    done = qa_eval("chat", "--gateway", gateway.url, typed=typed, QA_EVAL_GATEWAY_KEY=KEY)

    assert done.stdout == "Yes.\n\nIt is.\nYour request contains content that cannot be processed.\n"
    assert done.stderr == "No answer: blocked input (guardrail).\n"
    assert len(gateway.requests) == 2
    assert KEY not in done.stdout + done.stderr


def test_a_deployed_bot() -> None:
    def answer(asked: Any) -> tuple[int, Any]:
        if b"DescribeStacks" in asked.body:
            return 200, STACK
        state = {"intent": {"name": "FallbackIntent", "state": "Fulfilled"}, "sessionAttributes": ANSWERED}
        return 200, {"messages": [{"content": "Yes.", "contentType": "PlainText"}], "sessionState": state}

    aws = AwsEdge(answer)
    environment = {**no_account(), "AWS_ENDPOINT_URL": aws.url}
    done = qa_eval("chat", "--stack", "qa-eval", typed="Is it?\nReally?\n", **environment)
    aws.close()

    assert (done.returncode, done.stdout, done.stderr) == (0, "Yes.\nYes.\n", "")
    sessions = [re.search(r"/sessions/([^/]+)/text", asked.path) for asked in aws.asked[1:]]
    assert len({match[1] for match in sessions if match}) == 1


ANSWERED = {"outcome": "answered", "reason": ""}
_OUTPUTS = {"ChatbotBotId": "BOTBOTBOT1", "ChatbotAliasId": "TSTALIASID", "ChatbotModel": "qa"}
STACK = (
    '<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks>'
    "<member><StackName>S</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime>"
    "<StackStatus>CREATE_COMPLETE</StackStatus><Outputs>"
    + "".join(
        f"<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"
        for key, value in _OUTPUTS.items()
    )
    + "</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Give exactly one of --local, --stack NAME and --gateway URL."),
        (["--local", "--stack", "S"], "Give exactly one of"),
        (
            ["--stack", "S", "--model", "qa"],
            "--model cannot be combined with --stack: the deployed bot has its own model.",
        ),
        (["--gateway", "http://127.0.0.1:9"], "No gateway answers at http://127.0.0.1:9"),
        (["--stack", "S"], "set AWS_REGION"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, sentence) -> None:
    done = qa_eval("chat", "Is it?", *arguments, AWS_CONFIG_FILE="/dev/null", AWS_EC2_METADATA_DISABLED="true")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("qa-eval: ")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--target", "elsewhere"], "`--via` must be gateway, litellm, chatbot or lex:STACK, not `elsewhere`."),
        (
            ["--target", "chatbot", "--max-cost", "1"],
            "`--max-cost` cannot be kept: qa does not say",
        ),
        (
            ["--target", "chatbot", "--temperature", "1"],
            "`--temperature` does not reach the chatbot",
        ),
    ],
)
def test_a_wrong_target_is_one_sentence(arguments, sentence) -> None:
    done = qa_eval("run-experiment", "--gateway", "http://127.0.0.1:9", "--no-phoenix", *arguments)

    assert done.returncode == 2
    assert sentence in done.stderr


def test_a_deployed_bot_of_another_model_is_not_scored_under_a_wrong_name() -> None:
    aws = AwsEdge(lambda asked: (200, STACK))
    arguments = ["run-experiment", "--gateway", "http://127.0.0.1:9", "--no-phoenix", "--target", "lex:S"]
    done = qa_eval(*arguments, "--model", "nova-lite", **no_account(), AWS_ENDPOINT_URL=aws.url)
    aws.close()

    assert done.returncode == 2
    assert "The chatbot of 'S' asks qa: give `--model` qa, and no other." in done.stderr
