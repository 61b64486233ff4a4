"""Verify a deployment from outside, through CloudFront.

In: a stack and its configuration. Out: findings, one sentence each. Without a finding the guardrail is active, the
answers pass the gate, Phoenix has their traces with the gateway's spans, and Lex answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import httpx

from qa_eval.aws.deployed import DeployedStack
from qa_eval.aws.lex import LexBot
from qa_eval.blueprint.gateway import LiteLLMConfig
from qa_eval.data.load import load_dataset
from qa_eval.errors import QaEvalError
from qa_eval.experiment.metadata import Servers
from qa_eval.experiment.results import RunResult
from qa_eval.gateway_check.live import LiveGateway
from qa_eval.run import run_experiment

OnProgress = Callable[[str], None]
"""Called with one line about each step that takes time."""

QUESTIONS: Final = 10
DATASET: Final = "smoke"
GATEWAY_SPAN: Final = "chat "
"""Prefix of the name of the span that only the gateway exports; the model's name follows."""
_TRACE: Final = (
    "query ($id: String!) { getTraceByOtelId(traceId: $id) { spans(first: 50) { edges { node { name } } } } }"
)
_TRACES_TIMEOUT_S: Final = 60.0


def verify_gateway(url: str, master_key: str, config: LiteLLMConfig, on_progress: OnProgress) -> tuple[str, ...]:
    """Compare the running gateway with its configuration, test its guardrail, and call every model group."""
    with LiveGateway(url, master_key) as gateway:
        on_progress("Sending canaries to the guardrail ...")
        findings = gateway.verify(config)
        on_progress(f"Asking each of the {len(config.groups())} model groups one question ...")
        return tuple(finding.message for finding in (*findings, *gateway.call_models(config)))


def run_smoke_experiment(stack: DeployedStack, model: str, min_f1: float, on_progress: OnProgress) -> tuple[str, ...]:
    """Run a small experiment on the sample dataset, and look up its traces.

    Args:
        stack: The deployed stack.
        model: The model group that answers.
        min_f1: The gate, 0 to 1.
        on_progress: Called with one line about each step that takes time.
    """
    on_progress(f"Asking {QUESTIONS} questions of {model} through {stack.gateway_url} ...")
    dataset = load_dataset("sample", examples=QUESTIONS, name=DATASET)
    servers = Servers(stack.gateway_url, stack.gateway_key, stack.phoenix_url, stack.phoenix_key)
    result = run_experiment(dataset, models=[model], servers=servers)
    on_progress("Looking up the traces in Phoenix ...")
    return (*_check_result(result, min_f1), *_missing_traces(stack, result))


def check_chatbot(bot: LexBot, on_progress: OnProgress) -> tuple[str, ...]:
    """Send one question to the Lex bot."""
    on_progress("Asking the chatbot ...")
    reply = bot.say("qa-eval-smoke", "What is the capital of France?")
    if reply.outcome == "answered" and any(message.strip() for message in reply.messages):
        return ()
    return (f"The chatbot does not answer: {reply.outcome}, {reply.reason or 'no reason given'}.",)


def run_checks(*checks: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """The findings of all checks; a check that fails with an error is a finding itself."""
    return tuple(finding for check in checks for finding in _findings(check))


def _findings(check: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    try:
        return check()
    except QaEvalError as error:
        return (str(error),)


def _check_result(result: RunResult, min_f1: float) -> Iterator[str]:
    (experiment,) = result.experiments
    if result.stopped:
        yield f"The experiment stopped early: {result.stopped}"
    # An empty answer is not an error of the platform; the gate on F1 counts it.
    if any(answer.reply.outcome.is_error for answer in experiment.answers):
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(experiment.outcomes.items()))
        yield f"Not every question was answered: {outcomes}."
    if result.unrecorded:
        yield f"Phoenix lacks {result.unrecorded} answers: {result.unrecorded_reason}"
    f1 = experiment.mean("f1")
    if f1 is None or f1 < min_f1:
        yield f"F1 is {f1 if f1 is None else round(f1, 3)}, below the gate of {min_f1:g}."


def _missing_traces(stack: DeployedStack, result: RunResult) -> Iterator[str]:
    """Traces without the gateway's span, after waiting for the gateway's next batches of spans."""
    missing = {str(answer.reply.trace_id) for experiment in result.experiments for answer in experiment.answers}
    end = time.monotonic() + _TRACES_TIMEOUT_S
    with httpx.Client(headers={"Authorization": f"Bearer {stack.phoenix_key}"}, timeout=30) as client:
        while missing := {trace for trace in missing if not _has_gateway_span(client, stack.phoenix_url, trace)}:
            if time.monotonic() > end:
                yield f"Phoenix has no gateway span in {len(missing)} of the traces, for example {min(missing)}."
                return
            time.sleep(1)


def _has_gateway_span(client: httpx.Client, phoenix_url: str, trace: str) -> bool:
    try:
        answer = client.post(f"{phoenix_url}/graphql", json={"query": _TRACE, "variables": {"id": trace}})
        found = (answer.json().get("data") or {}).get("getTraceByOtelId")
    except (httpx.HTTPError, ValueError, AttributeError):
        return False
    return found is not None and any(edge["node"]["name"].startswith(GATEWAY_SPAN) for edge in found["spans"]["edges"])
