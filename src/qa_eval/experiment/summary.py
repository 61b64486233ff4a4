"""What a run came to: numbers per system, as a table, as JSON and as a data frame.

Each metric has a mean over all its questions, where a failure counts 0 in the metrics that compare with references,
and one over the answered questions alone. A mean over all has a 95 % interval that allows for questions of one group
being alike. `official` repeats Exact Match and F1 as the official SQuAD scripts print them, in percent. A custom
metric has no score for a question without an answer, so its mean is over the answers that it measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from qa_eval.experiment.answers import Answer

if TYPE_CHECKING:
    from qa_eval.statistics import Estimate


@dataclass(frozen=True)
class MetricSummary:
    """One metric over one system's answers."""

    name: str
    mean: float | None
    """Over all scored questions; None where nothing is scored."""
    mean_answered: float | None
    """Over the answered ones alone."""
    interval: Estimate | None
    """The mean's 95 % interval by groups."""
    scored: int
    """How many questions have a value."""
    errors: int
    """Answers on which the metric failed."""
    error: str | None
    """The first of these errors."""

    def to_json(self) -> dict[str, Any]:
        """Its part of the JSON document."""
        return {**asdict(self), "interval": _interval_json(self.interval)}

    def __str__(self) -> str:
        mean = "no score" if self.mean is None else f"{self.mean:.4g}"
        if self.interval is not None and self.interval.low is not None:
            mean += f" ({self.interval.low:.4g} to {self.interval.high:.4g})"
        failed = f", {self.errors} errors: {self.error}" if self.errors else ""
        return f"{self.name} {mean} over {self.scored} answers{failed}"


@dataclass(frozen=True)
class ExperimentResult:
    """One system on one dataset."""

    system: str
    answers: tuple[Answer, ...]
    metrics: tuple[str, ...] = ()
    """The run's metrics, in their order."""
    custom: tuple[str, ...] = ()
    """Those that are not built in: their values have no known range."""
    model: str | None = None
    """The model group; None for a task."""
    phoenix_id: str | None = None
    url: str | None = None

    @property
    def outcomes(self) -> Counter[str]:
        """How many questions ended in which way."""
        return Counter(str(answer.reply.outcome) for answer in self.answers)

    @property
    def deployments(self) -> Counter[str]:
        """How many answers each deployment of the gateway gave, by its model where the gateway names it."""
        replies = (answer.reply for answer in self.answers)
        return Counter(name for reply in replies if (name := reply.deployment_model or reply.deployment))

    @property
    def client_retries(self) -> int:
        """How many times this side tried again."""
        return sum(answer.reply.tries - 1 for answer in self.answers)

    @property
    def answered(self) -> int:
        """Questions with an answer."""
        return sum(answer.reply.outcome.is_answer for answer in self.answers)

    @property
    def blocked(self) -> int:
        """Questions or answers that the guardrail stopped."""
        return sum(answer.reply.outcome.is_blocked for answer in self.answers)

    @property
    def failed(self) -> int:
        """All other questions without an answer: errors and empty answers."""
        return len(self.answers) - self.answered - self.blocked

    def mean(self, metric: str, *, answered_only: bool = False) -> float | None:
        """The mean of one metric; None where nothing is scored."""
        values = [
            value
            for answer in self.answers
            if (answer.reply.outcome.is_answer or not answered_only) and (value := answer.score(metric)) is not None
        ]
        return fmean(values) if values else None

    def interval(self, metric: str) -> Estimate | None:
        """One metric's mean with its 95 % interval by groups; None where nothing is scored."""
        from qa_eval.statistics import mean_interval

        scored = [
            (value, answer.example.group) for answer in self.answers if (value := answer.score(metric)) is not None
        ]
        if not scored:
            return None
        values, groups = zip(*scored, strict=True)
        if metric in self.custom:
            return mean_interval(values, groups)
        return mean_interval(values, groups, bounds=(0.0, 1.0))

    def summary(self, metric: str) -> MetricSummary:
        """One metric with its interval, its counts and its errors."""
        scores = [score for answer in self.answers for score in answer.scores or () if score.name == metric]
        errors = [score.error or "no value" for score in scores if score.value is None]
        return MetricSummary(
            metric,
            mean=self.mean(metric),
            mean_answered=self.mean(metric, answered_only=True),
            interval=self.interval(metric),
            scored=len(scores) - len(errors),
            errors=len(errors),
            error=errors[0] if errors else None,
        )

    def intervals(self) -> dict[str, dict[str, float | None]]:
        """Each metric's mean with the limits of its 95 % interval."""
        found = {name: self.interval(name) for name in self.metrics}
        return {
            name: {"mean": estimate.estimate, "low": estimate.low, "high": estimate.high}
            for name, estimate in found.items()
            if estimate is not None
        }

    def total(self, field: str) -> float | None:
        """The sum of a number of the replies, by its name in `Reply`; None where there is none."""
        values = [value for answer in self.answers if (value := getattr(answer.reply, field)) is not None]
        return sum(values) if values else None

    def latency(self, quantile: float) -> float | None:
        """A quantile of the answered questions' latency in seconds (nearest rank)."""
        values = sorted(answer.reply.latency_s for answer in self.answers if answer.reply.outcome.is_answer)
        return values[min(len(values) - 1, int(quantile * len(values)))] if values else None

    def to_json(self) -> dict[str, Any]:
        """This system's part of the JSON document."""
        summaries = [self.summary(name) for name in self.metrics]
        return {
            "system": self.system,
            "model": self.model,
            "phoenix": {"experiment_id": self.phoenix_id, "url": self.url} if self.phoenix_id else None,
            "examples": len(self.answers),
            "outcomes": dict(sorted(self.outcomes.items())),
            "answered": self.answered,
            "blocked": self.blocked,
            "blocked_share": self.blocked / len(self.answers) if self.answers else None,
            "failed": self.failed,
            "scores": {summary.name: summary.mean for summary in summaries},
            "metrics": {summary.name: summary.to_json() for summary in summaries},
            "official": {
                name: None if (mean := self.mean(name)) is None else 100.0 * mean for name in ("exact_match", "f1")
            },
            "tokens": {"prompt": self.total("prompt_tokens"), "completion": self.total("completion_tokens")},
            "cost_usd": self.total("cost_usd"),
            "deployments": dict(self.deployments.most_common()),
            "fallbacks": self.total("fallbacks"),
            "retries": {"client": self.client_retries, "gateway": self.total("gateway_retries")},
            "latency_s": {"p50": self.latency(0.5), "p95": self.latency(0.95)},
        }


def _interval_json(estimate: Estimate | None) -> Mapping[str, Any] | None:
    if estimate is None:
        return None
    fields = ("low", "high", "confidence", "groups", "method", "reason")
    return {name: getattr(estimate, name) for name in fields}
