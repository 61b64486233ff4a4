"""Whether a new release may have the traffic: the same questions to both releases, judged by the gate.

In: a gateway, two releases of it that a header tells apart, and the rules. Out: a verdict with its reason. The
experiment is recorded nowhere; the gateway's own spans are in Phoenix.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import qa_eval
from qa_eval.analysis.gate import GateFailed, OnInconclusive, gate
from qa_eval.data.load import load_dataset
from qa_eval.experiment.metadata import Servers
from qa_eval.experiment.results import RunResult
from qa_eval.spec.metrics import MetricSpec
from qa_eval.spec.model import DatasetSpec, ExperimentSpec, LimitsSpec, Message, PromptSpec, SystemSpec
from qa_eval.targets.prompt import default_prompt

DATASET: Final = "sample"
CONCURRENCY: Final = 8
"""Questions in flight of one release: few, because users are asking the same tasks."""
ERRORS: Final = 0.1
"""The share of failed questions above which a release cannot be judged."""
ASKING: Final = 0.8
"""The share of the time in which questions are sent; the rest is for those in flight, and for the gate."""
TRY_S: Final = 60.0


@dataclass(frozen=True)
class Release:
    """A release of the gateway, and how it is asked."""

    model: str
    instruction: str | None
    """The chatbot's instruction, which precedes each question."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What leads a request to it."""


@dataclass(frozen=True)
class CanaryRules:
    """What the new release has to show, and with how much."""

    fail_on: tuple[str, ...]
    """The gate's rules on new minus old."""
    examples: int
    """Questions, each asked of both releases."""
    budget_usd: float
    """For both releases together."""
    inconclusive: OnInconclusive
    """What to do where the budget does not suffice to tell."""


@dataclass(frozen=True)
class CanaryVerdict:
    """Whether the release may have the traffic."""

    passed: bool
    reason: str


async def compare_releases(
    gateway_url: str, gateway_key: str, old: Release, new: Release, rules: CanaryRules, seconds: float
) -> CanaryVerdict:
    """Ask both releases the same questions at the same time, and judge the new one.

    Args:
        gateway_url: The address of both.
        gateway_key: A key for both.
        old: The release that has the traffic.
        new: The release that wants it.
        rules: What it has to show.
        seconds: The time for all of it.

    Raises:
        QaEvalError: A release is away, refuses the key, or does not have the model.
        TimeoutError: The time is over.
    """
    async with asyncio.timeout(seconds):
        old_result, new_result = await asyncio.gather(
            *(
                qa_eval.async_run_experiment(
                    _experiment(name, release, rules, seconds * ASKING),
                    servers=Servers(gateway_url, gateway_key, gateway_headers=release.headers),
                )
                for name, release in (("old", old), ("new", new))
            )
        )
        return await asyncio.to_thread(judge_releases, old_result, new_result, rules)


def judge_releases(old: RunResult, new: RunResult, rules: CanaryRules) -> CanaryVerdict:
    """The gate's verdict on two runs; what a limit left unasked is not part of it."""
    for name, result in (("old", old), ("new", new)):
        if problem := _too_many_failures(result):
            return CanaryVerdict(False, f"The {name} release cannot be judged: {problem}")
    stopped = " ".join(dict.fromkeys(each.stopped for each in (old, new) if each.stopped))
    if not _answered(old) & _answered(new):
        return CanaryVerdict(rules.inconclusive == "pass", f"inconclusive, no question was answered twice: {stopped}")
    try:
        text = gate(old, new, fail_on=rules.fail_on, inconclusive=rules.inconclusive).text
        return CanaryVerdict(True, f"{text}\n{stopped}".strip())
    except GateFailed as failed:
        return CanaryVerdict(False, f"{failed}\n{stopped}".strip())


def _experiment(name: str, release: Release, rules: CanaryRules, seconds: float) -> ExperimentSpec:
    return ExperimentSpec(
        dataset=DatasetSpec(path=DATASET, examples=rules.examples),
        systems=(SystemSpec(name=name, model=release.model, prompt=_prompt(release)),),
        metrics=(MetricSpec(name="exact_match"), MetricSpec(name="f1")),
        concurrency=CONCURRENCY,
        limits=LimitsSpec(cost_usd=rules.budget_usd / 2, time=seconds, errors=ERRORS, timeout=TRY_S),
    )


def _prompt(release: Release) -> PromptSpec:
    """The default prompt after the chatbot's instruction: what the model reads when the chatbot asks."""
    dataset = load_dataset(DATASET, examples=1)
    asked = default_prompt(dataset.version, "context" in dataset.fields)
    if release.instruction is None:
        return asked
    return PromptSpec(messages=(Message(role="system", content=_literal(release.instruction)), *asked.messages))


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _answered(result: RunResult) -> set[str]:
    (experiment,) = result.experiments
    return {answer.example.id for answer in experiment.answers}


def _too_many_failures(result: RunResult) -> str | None:
    (experiment,) = result.experiments
    failed = [answer for answer in experiment.answers if answer.reply.outcome.is_error]
    if len(failed) <= ERRORS * result.planned and len(failed) < max(len(experiment.answers), 1):
        return None
    last = failed[-1].reply
    return f"{len(failed)} of {len(experiment.answers)} questions failed; the last: {last.outcome}: {last.message}"
