"""What a run would use, before anything is sent: questions, tokens, and the cost by LiteLLM's price map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from qa_eval.experiment.calibration import plant
from qa_eval.experiment.functions import find_judges
from qa_eval.experiment.plan import Plan
from qa_eval.experiment.record_policy import recording_seconds, recording_words
from qa_eval.litellm_sdk import price, sdk
from qa_eval.metrics.judgement import SYSTEM
from qa_eval.metrics.judges import Judge, PreferenceJudge
from qa_eval.spec.model import SystemSpec
from qa_eval.targets.prompt import render

SCHEMA = "qa-eval/estimate@2"
_JUDGEMENT = 60
"""Tokens of a judgement: two sentences and a label."""


@dataclass(frozen=True)
class SystemEstimate:
    """What one system would use."""

    system: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    """As many as the reference answers have."""
    cost_usd: float | None
    """With the group's cheapest deployment, the guardrail not included; None where no price is known."""
    cost_usd_most: float | None
    """With its most expensive one, each answer as long as `max_tokens` allows."""


@dataclass(frozen=True)
class CostEstimate:
    """What a run would use; tokens are counted by LiteLLM's default tokenizer, so they are near, not exact."""

    dataset: str
    examples: int
    repeat: int
    systems: tuple[SystemEstimate, ...]
    judges: tuple[SystemEstimate, ...] = ()
    """What the judges would use, planted answers included, under the names of their metrics."""
    stops_early: bool = False
    """Whether a comparison that is decided is asked no further, so that it may be less."""
    recording: str = "all"
    """Which examples Phoenix gets, as `recording.examples`; `none` where it gets none."""
    recording_s: float = 0.0
    """About how long Phoenix takes for that; where it gets failures, at least."""

    def to_json(self) -> dict[str, Any]:
        """The document that `--dry-run --json` prints."""
        return {"schema": SCHEMA, **asdict(self)}

    def __repr__(self) -> str:
        lines = [f"{self.examples} questions of {self.dataset}, {self.repeat} time(s) each; nothing was sent"]
        for each in self.systems:
            cost = (
                "no price is known"
                if each.cost_usd is None
                else f"about {each.cost_usd:.4f} USD, at most {each.cost_usd_most:.4f}"
            )
            lines.append(
                f"{each.system}: {each.calls} calls, about {each.prompt_tokens} tokens in and "
                f"{each.completion_tokens} out, {cost}"
            )
        for each in self.judges:
            cost = "no price is known" if each.cost_usd is None else f"about {each.cost_usd:.4f} USD"
            lines.append(f"judge {each.system}: at most {each.calls} calls, {cost}")
        if self.stops_early:
            lines.append("It is less where a comparison is decided early.")
        if self.recording_s:
            lines.append(f"{recording_words(self.recording, self.recording_s)}.")
        return "\n".join([*lines, "Prices are LiteLLM's; a guardrail costs extra."])


def estimate(plan: Plan, deployments: Mapping[str, Sequence[str]]) -> CostEstimate:
    """Estimate a run.

    Args:
        plan: What would be asked.
        deployments: The rows of LiteLLM's price map that each model group may answer with; a group that is missing
            is taken for a row itself.
    """
    answers = [fmean(map(_tokens, e.references)) if e.references else 1.0 for e in plan.dataset]
    tokens_out = round(sum(answers)) * plan.spec.repeat
    systems = tuple(_estimate(plan, system, tokens_out, deployments) for system in plan.metadata.systems)
    judges = find_judges(plan.spec, plan.dataset.fields)
    planted = plant(judges, plan)
    judging = tuple(_judging(plan, judge, len(planted.get(judge.name, ())), deployments) for judge in judges)
    recording = plan.spec.recording
    return CostEstimate(
        plan.dataset.name,
        len(plan.dataset),
        plan.spec.repeat,
        systems,
        judging,
        stops_early=plan.metadata.stop is not None,
        recording=recording.examples if recording.phoenix else "none",
        recording_s=recording_seconds(plan) if recording.phoenix else 0.0,
    )


def _judging(
    plan: Plan, judge: Judge | PreferenceJudge, planted: int, deployments: Mapping[str, Sequence[str]]
) -> SystemEstimate:
    """What a judge would use if every system gave a reference as its answer."""
    examples = plan.dataset.examples
    answers = [next(iter(example.references), "an answer") for example in examples]
    if isinstance(judge, PreferenceJudge):
        each, systems = 2, len(plan.metadata.systems) - 1
        requests = [judge.requests(*pair, pair[1])[0] for pair in zip(examples, answers, strict=True)]
    else:
        each, systems = 1, len(plan.metadata.systems)
        requests = [judge.request(*pair) for pair in zip(examples, answers, strict=True)]
    calls = each * systems * plan.questions_per_system + planted
    tokens_in = round(calls * fmean(_tokens(f"{SYSTEM}\n{request.content}") for request in requests))
    tokens_out = calls * _JUDGEMENT
    prices = [found for row in deployments.get(judge.model, (judge.model,)) if (found := price(row))]
    costs = [tokens_in * read + tokens_out * write for read, write in prices]
    return SystemEstimate(judge.name, calls, tokens_in, tokens_out, min(costs, default=None), max(costs, default=None))


def _estimate(
    plan: Plan, system: SystemSpec, tokens_out: int, deployments: Mapping[str, Sequence[str]]
) -> SystemEstimate:
    name, calls = str(system.name), plan.questions_per_system
    if system.task is not None or system.prompt is None:
        return SystemEstimate(name, calls, 0, 0, None, None)
    tokens_in = plan.spec.repeat * sum(
        _tokens("\n".join(message["content"] for message in render(system.prompt, example))) for example in plan.dataset
    )
    model = str(system.model)
    prices = [found for row in deployments.get(model, (model,)) if (found := price(row))]
    longest = calls * int(system.parameters.max_tokens or 0)
    costs = [tokens_in * read + tokens_out * write for read, write in prices]
    most = [tokens_in * read + longest * write for read, write in prices]
    return SystemEstimate(name, calls, tokens_in, tokens_out, min(costs, default=None), max(most, default=None))


def _tokens(text: str) -> int:
    return int(sdk().token_counter(model="", text=text))
