"""What a run came to: numbers per system, as a table, as JSON and as a data frame.

Each metric has a mean over all its questions, where a failure counts 0 in the metrics that compare with references,
and one over the answered questions alone. A mean over all has a 95 % interval that allows for questions of one group
being alike. `official` repeats Exact Match and F1 as the official SQuAD scripts print them, in percent. Other metrics
have no score for a question without an answer, so their means are over the answers that they measured. A judge that
is measured with planted answers also has a mean that is corrected for its errors.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any

from qa_eval.experiment.answers import Answer
from qa_eval.experiment.calibration import JudgeReport
from qa_eval.metrics.definition import MetricDefinition
from qa_eval.targets.pace import Pace, is_queued

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
    failures: Mapping[str, int]
    """A judge's failures by name."""
    corrected: Estimate | None = None
    """A judge's mean over the answers that it judged, corrected for its errors; None where they are not known, or
    where the judge cannot tell right from wrong."""

    by_people: Estimate | None = None
    """A judge's mean over the same answers by people's labels of some of them; None where there are too few."""

    def to_json(self) -> dict[str, Any]:
        """Its part of the JSON document."""
        estimates = {name: _estimate_json(getattr(self, name)) for name in ("corrected", "by_people")}
        return {**asdict(self), "interval": _interval_json(self.interval), **estimates}

    def __str__(self) -> str:
        mean = "no score" if self.mean is None else f"{self.mean:.4g}"
        if self.interval is not None and self.interval.low is not None:
            mean += f" ({self.interval.low:.4g} to {self.interval.high:.4g})"
        failed = f", {self.errors} errors: {self.error}" if self.errors else ""
        if self.failures:
            failed = f"; not judged: {', '.join(f'{count} {name}' for name, count in self.failures.items())}"
        return f"{self.name} {mean} over {self.scored} answers{failed}"


@dataclass(frozen=True)
class ExperimentResult:
    """One system on one dataset."""

    system: str
    answers: tuple[Answer, ...]
    definitions: Mapping[str, MetricDefinition] = field(default_factory=dict)
    """The run's metrics by name, in their order."""
    judges: Mapping[str, JudgeReport] = field(default_factory=dict)
    """Those that are judges, by name."""
    model: str | None = None
    """The model group; None for a task."""
    phoenix_id: str | None = None
    url: str | None = None
    pace: Pace = field(default_factory=Pace)
    """When answers queued, so that their latency is not the target's own."""
    planned: int | None = None
    """How many questions it is to be asked, repetitions included, where its comparison may have been decided early."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the run's metrics, in their order."""
        return tuple(self.definitions)

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

    @property
    def unscored(self) -> int:
        """Answers that the run stopped before judging."""
        return sum(not answer.scored for answer in self.answers)

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
        definition = self.definitions.get(metric)
        if definition is None or definition.range is None:
            return mean_interval(values, groups)
        return mean_interval(values, groups, bounds=definition.range)

    def corrected(self, metric: str) -> Estimate | None:
        """A judge's mean over the answers that it judged, corrected for its errors on planted answers."""
        from qa_eval.statistics import corrected_mean

        report = self.judges.get(metric)
        judged = [
            (value, answer.example.group)
            for answer in self.answers
            if answer.reply.outcome.is_answer and (value := answer.score(metric)) is not None
        ]
        if report is None or report.accuracy is None or not judged:
            return None
        values, groups = zip(*judged, strict=True)
        return corrected_mean(values, groups, report.accuracy)

    def by_people(self, metric: str) -> Estimate | None:
        """A judge's mean over the answers that it judged, by what people say of some of them.

        None where people have labelled too few of this system's answers.
        """
        from qa_eval.statistics import MIN_LABELS, prediction_powered_mean

        report = self.judges.get(metric)
        judged = [
            (score.value, answer.example.group, str(score.label), answer.seq)
            for answer in self.answers
            if answer.reply.outcome.is_answer
            and (score := answer.find_score(metric)) is not None
            and score.value is not None
        ]
        if report is None or not judged:
            return None
        values, groups, verdicts, numbers = zip(*judged, strict=True)
        labels = {place: report.labels[seq] for place, seq in enumerate(numbers) if seq in report.labels}
        if len(labels) < MIN_LABELS:
            return None
        limits = self.definitions[metric].range or (-math.inf, math.inf)
        return prediction_powered_mean(values, groups, labels, verdicts, bounds=limits)

    def summary(self, metric: str) -> MetricSummary:
        """One metric with its interval, its counts and its errors."""
        scores = [score for answer in self.answers for score in answer.scores if score.name == metric]
        errors = [score.error or "no value" for score in scores if score.value is None]
        is_judge = metric in self.judges
        return MetricSummary(
            metric,
            mean=self.mean(metric),
            mean_answered=self.mean(metric, answered_only=True),
            interval=self.interval(metric),
            scored=len(scores) - len(errors),
            errors=len(errors),
            error=errors[0] if errors else None,
            failures=Counter(error.partition(":")[0] for error in errors) if is_judge else {},
            corrected=self.corrected(metric) if is_judge else None,
            by_people=self.by_people(metric) if is_judge else None,
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

    @property
    def mean_cost(self) -> float | None:
        """US dollars a question; None where an answer's cost is not known."""
        total = self.total("cost_usd")
        known = all(answer.reply.cost_usd is not None for answer in self.answers if answer.reply.outcome.is_answer)
        return total / len(self.answers) if total is not None and known else None

    def is_queued(self, answer: Answer) -> bool:
        """Whether a queue of ours, or a limit of the target's, was part of an answer's latency.

        Where that may be said of every answer, it is said of none: there is no better latency to show.
        """
        return not self.all_queued and _is_queued(self.pace, answer)

    @cached_property
    def all_queued(self) -> bool:
        """Whether every answer may have queued: the run was too short to find its concurrency."""
        return all(_is_queued(self.pace, answer) for answer in self._given)

    @cached_property
    def queued(self) -> int:
        """How many answers are left out of the latency because of that."""
        return sum(map(self.is_queued, self._given))

    @property
    def _given(self) -> Sequence[Answer]:
        return [answer for answer in self.answers if answer.reply.outcome.is_answer]

    def latency(self, quantile: float) -> float | None:
        """A quantile of the latency in seconds (nearest rank) of the answers that did not queue; None without one."""
        return _quantile((answer.reply.latency_s for answer in self._timed), quantile)

    def first_token(self, quantile: float) -> float | None:
        """A quantile of the seconds to the first token of the same answers; None where none was streamed."""
        return _quantile((answer.reply.first_token_s for answer in self._timed), quantile)

    @property
    def _timed(self) -> Sequence[Answer]:
        return [answer for answer in self._given if not self.is_queued(answer)]

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
            "latency_s": {"p50": self.latency(0.5), "p95": self.latency(0.95), "queued": self.queued},
            "first_token_s": {"p50": self.first_token(0.5), "p95": self.first_token(0.95)},
        }


def _is_queued(pace: Pace, answer: Answer) -> bool:
    return is_queued(pace, answer.reply.started_at, answer.reply.latency_s)


def _quantile(values: Iterable[float | None], quantile: float) -> float | None:
    known = sorted(value for value in values if value is not None)
    return known[min(len(known) - 1, int(quantile * len(known)))] if known else None


def _estimate_json(estimate: Estimate | None) -> dict[str, Any] | None:
    """An estimate of its own with its interval."""
    return None if estimate is None else {"mean": estimate.estimate, **(_interval_json(estimate) or {})}


def _interval_json(estimate: Estimate | None) -> Mapping[str, Any] | None:
    if estimate is None:
        return None
    fields = ("low", "high", "confidence", "groups", "method", "reason")
    return {name: getattr(estimate, name) for name in fields}
