"""Whether what was deployed works, tried from outside through CloudFront.

In: a stack and its configuration. Out: findings, one sentence each; none says that the guardrail is armed, that
questions are answered well enough, that their traces stand in Phoenix with the gateway's spans, and that Lex answers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from qa_eval.aws.deployed import DeployedStack
from qa_eval.aws.lex import LexBot
from qa_eval.blueprint.gateway import LiteLLMConfig
from qa_eval.data.load import load_dataset
from qa_eval.errors import QaEvalError
from qa_eval.experiment.results import RunResult
from qa_eval.gateway_check.live import LiveGateway
from qa_eval.run import run_experiment

Report = Callable[[str], None]

QUESTIONS: Final = 10
DATASET: Final = "smoke"
GATEWAY_SPAN: Final = "chat "
"""How the name of the span begins that only the gateway sends; the model's follows."""
_TRACE: Final = (
    "query ($id: String!) { getTraceByOtelId(traceId: $id) { spans(first: 50) { edges { node { name } } } } }"
)
_TRACES_SECONDS: Final = 60.0


def prove_gateway(url: str, master_key: str, config: LiteLLMConfig, report: Report) -> tuple[str, ...]:
    """Compare what runs with what is declared, and send the guardrail's canaries."""
    report("Sending canaries to the guardrail ...")
    with LiveGateway(url, master_key) as gateway:
        return tuple(finding.message for finding in gateway.prove(config))


def try_experiment(stack: DeployedStack, model: str, min_f1: float, report: Report) -> tuple[str, ...]:
    """Ask some questions of the sample, record them, and look for the traces.

    Args:
        stack: Where.
        model: The model group to ask.
        min_f1: The gate, 0 to 1.
        report: Gets one line for each thing that takes time.
    """
    report(f"Asking {QUESTIONS} questions of {model} through {stack.gateway_url} ...")
    dataset = load_dataset("sample", examples=QUESTIONS, name=DATASET)
    with _keys(stack):
        result = run_experiment(dataset, models=[model], gateway=stack.gateway_url, phoenix=stack.phoenix_url)
    report("Looking for the traces in Phoenix ...")
    return (*_judge(result, min_f1), *_missing_traces(stack, result))


def ask_bot(bot: LexBot, report: Report) -> tuple[str, ...]:
    """Ask Lex one question."""
    report("Asking the chatbot ...")
    reply = bot.say("qa-eval-smoke", "What is the capital of France?")
    if reply.outcome == "answered" and any(message.strip() for message in reply.messages):
        return ()
    return (f"The chatbot does not answer: {reply.outcome}, {reply.reason or 'no reason given'}.",)


def gather(*checks: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """All findings; a check that cannot be made is one."""
    return tuple(finding for check in checks for finding in _findings(check))


def _findings(check: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    try:
        return check()
    except QaEvalError as error:
        return (str(error),)


def _judge(result: RunResult, min_f1: float) -> Iterator[str]:
    (experiment,) = result.experiments
    if result.stopped:
        yield f"The experiment stopped early: {result.stopped}"
    # An empty answer is the model's doing, and the gate's affair.
    if any(entry.reply.outcome.is_error for entry in experiment.entries):
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(experiment.outcomes.items()))
        yield f"Not every question was answered: {outcomes}."
    if result.unrecorded:
        yield f"Phoenix lacks {result.unrecorded} answers: {result.unrecorded_reason}"
    f1 = experiment.mean("f1")
    if f1 is None or f1 < min_f1:
        yield f"F1 is {f1 if f1 is None else round(f1, 3)}, below the gate of {min_f1:g}."


def _missing_traces(stack: DeployedStack, result: RunResult) -> Iterator[str]:
    """The gateway sends its spans in batches, so they are waited for."""
    wanted = {str(entry.reply.trace_id) for each in result.experiments for entry in each.entries}
    end = time.monotonic() + _TRACES_SECONDS
    with httpx.Client(headers={"Authorization": f"Bearer {stack.phoenix_key}"}, timeout=30) as client:
        while wanted := {trace for trace in wanted if not _has_gateway_span(client, stack.phoenix_url, trace)}:
            if time.monotonic() > end:
                yield f"Phoenix has no gateway span in {len(wanted)} of the traces, {min(wanted)} for one."
                return
            time.sleep(1)


def _has_gateway_span(client: httpx.Client, phoenix_url: str, trace: str) -> bool:
    try:
        answer = client.post(f"{phoenix_url}/graphql", json={"query": _TRACE, "variables": {"id": trace}})
        found = (answer.json().get("data") or {}).get("getTraceByOtelId")
    except (httpx.HTTPError, ValueError, AttributeError):
        return False
    return found is not None and any(edge["node"]["name"].startswith(GATEWAY_SPAN) for edge in found["spans"]["edges"])


@contextmanager
def _keys(stack: DeployedStack) -> Iterator[None]:
    """The stack's keys where the library looks for them, for as long as it runs."""
    given = {"QA_EVAL_GATEWAY_KEY": stack.gateway_key, "PHOENIX_API_KEY": stack.phoenix_key}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
