"""What a run came to: numbers per model, as a table, as JSON and as a data frame.

Scores are given twice and labelled: over all questions, where a failure counts 0, and over the answered ones. Each
mean over all has a 95 % interval that allows for questions of one article being alike. `official` repeats the scores
over all as the official SQuAD scripts print them, in percent. An own metric has a mean over the answers that it
measured, with the count of those and of its errors.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from qa_eval.data.examples import SquadVersion
from qa_eval.experiment.journal_file import Entry
from qa_eval.experiment.plan import SCORES, Settings

if TYPE_CHECKING:
    import pandas as pd

    from qa_eval.statistics import Estimate

SCHEMA = "qa-eval/run@1"


@dataclass(frozen=True)
class OwnMetric:
    """What an own metric makes of one model."""

    name: str
    mean: float | None
    """Over the answers that it measured; None where there are none."""
    interval: Estimate | None
    """The mean's 95 % interval by articles."""
    measured: int
    errors: int
    """Answers on which it failed."""
    error: str | None
    """The first of these errors."""

    def to_json(self) -> dict[str, Any]:
        """Its part of the JSON document."""
        counts = {"measured": self.measured, "errors": self.errors, "error": self.error}
        return {"mean": self.mean, "interval": _interval_json(self.interval), **counts}

    def __str__(self) -> str:
        mean = "no score" if self.mean is None else f"{self.mean:.4g}"
        if self.interval is not None and self.interval.low is not None:
            mean += f" ({self.interval.low:.4g} to {self.interval.high:.4g})"
        failed = f", {self.errors} errors: {self.error}" if self.errors else ""
        return f"{self.name} {mean} over {self.measured} answers{failed}"


@dataclass(frozen=True)
class ExperimentResult:
    """One model on one dataset."""

    model: str
    entries: tuple[Entry, ...]
    phoenix_id: str | None = None
    url: str | None = None

    @property
    def outcomes(self) -> Counter[str]:
        """How many questions ended in which way."""
        return Counter(str(entry.reply.outcome) for entry in self.entries)

    @property
    def deployments(self) -> Counter[str]:
        """How many answers each deployment of the gateway gave, by its model where the gateway names it."""
        replies = (entry.reply for entry in self.entries)
        return Counter(name for reply in replies if (name := reply.deployment_model or reply.deployment))

    @property
    def client_retries(self) -> int:
        """How many times this side asked again."""
        return sum(entry.reply.tries - 1 for entry in self.entries)

    @property
    def answered(self) -> int:
        """Questions with an answer."""
        return sum(entry.reply.outcome.is_answer for entry in self.entries)

    @property
    def blocked(self) -> int:
        """Questions or answers that the guardrail stopped."""
        return sum(entry.reply.outcome.is_blocked for entry in self.entries)

    @property
    def failed(self) -> int:
        """All other questions without an answer: errors and empty answers."""
        return len(self.entries) - self.answered - self.blocked

    def mean(self, score: str, *, answered_only: bool = False) -> float | None:
        """The mean of one score, 0 to 1; None where there is nothing to average."""
        values = [
            getattr(entry.scores, score)
            for entry in self.entries
            if entry.scores is not None and (entry.reply.outcome.is_answer or not answered_only)
        ]
        return fmean(values) if values else None

    def interval(self, score: str) -> Estimate | None:
        """One score's mean over all questions with its 95 % interval by articles; None where nothing is scored."""
        from qa_eval.statistics import mean_interval

        scored = [entry for entry in self.entries if entry.scores is not None]
        if not scored:
            return None
        values = [getattr(entry.scores, score) for entry in scored]
        return mean_interval(values, [entry.example.group for entry in scored], bounds=(0.0, 1.0))

    def own_metrics(self) -> tuple[OwnMetric, ...]:
        """What each own metric makes of the model, in the order in which they were given."""
        names = dict.fromkeys(own.name for entry in self.entries for own in entry.own_scores)
        return tuple(self._own_metric(name) for name in names)

    def _own_metric(self, name: str) -> OwnMetric:
        from qa_eval.statistics import mean_interval

        found = [(own, entry.example.group) for entry in self.entries for own in entry.own_scores if own.name == name]
        measured = [(own.value, title) for own, title in found if own.value is not None]
        values, titles = [value for value, _ in measured], [title for _, title in measured]
        errors = [own.explanation for own, _ in found if own.value is None]
        return OwnMetric(
            name,
            mean=fmean(values) if values else None,
            interval=mean_interval(values, titles) if values else None,
            measured=len(values),
            errors=len(errors),
            error=errors[0] if errors else None,
        )

    def total(self, field: str) -> float | None:
        """The sum of a number that the gateway gives, as `Reply` names it; None where it said nothing."""
        values = [value for entry in self.entries if (value := getattr(entry.reply, field)) is not None]
        return sum(values) if values else None

    def latency(self, quantile: float) -> float | None:
        """A quantile of the answered questions' latency in seconds (nearest rank)."""
        values = sorted(entry.reply.latency_s for entry in self.entries if entry.reply.outcome.is_answer)
        return values[min(len(values) - 1, int(quantile * len(values)))] if values else None

    def to_json(self) -> dict[str, Any]:
        """This model's part of the JSON document."""
        return {
            "model": self.model,
            "phoenix": {"experiment_id": self.phoenix_id, "url": self.url} if self.phoenix_id else None,
            "examples": len(self.entries),
            "outcomes": dict(sorted(self.outcomes.items())),
            "answered": self.answered,
            "blocked": self.blocked,
            "blocked_share": self.blocked / len(self.entries) if self.entries else None,
            "failed": self.failed,
            "scores": {name: self.mean(name) for name in SCORES},
            "scores_answered": {name: self.mean(name, answered_only=True) for name in SCORES},
            "intervals": {name: _interval_json(self.interval(name)) for name in SCORES},
            "own_metrics": {own.name: own.to_json() for own in self.own_metrics()},
            "official": {
                name: None if (mean := self.mean(name)) is None else 100.0 * mean for name in ("exact_match", "f1")
            },
            "tokens": {"prompt": self.total("prompt_tokens"), "completion": self.total("completion_tokens")},
            "cost_usd": self.total("cost_usd"),
            "deployments": dict(self.deployments.most_common()),
            "fallbacks": self.total("fallbacks"),
            "retries": {
                "client": self.client_retries,
                "gateway": self.total("gateway_retries"),
            },
            "latency_s": {"p50": self.latency(0.5), "p95": self.latency(0.95)},
        }


@dataclass(frozen=True)
class RunResult:
    """What one `run_experiment` made."""

    run_id: str
    dataset: str
    version: SquadVersion
    settings: Settings
    experiments: tuple[ExperimentResult, ...]
    journal: Path
    planned: int
    """How many questions each model was to be asked, repetitions included."""
    wall_s: float
    """From the first question to the last answer, in seconds."""
    url: str | None = None
    """The dashboard page that shows all experiments of the run side by side."""
    stopped: str | None = None
    """Why the run ended early; None if it did not."""
    unrecorded: int = 0
    """How many answers Phoenix lacks."""
    unrecorded_reason: str | None = None

    @property
    def incomplete(self) -> bool:
        """Whether questions are left that were never answered."""
        return any(len(experiment.entries) < self.planned for experiment in self.experiments)

    def to_pandas(self) -> pd.DataFrame:
        """One row an answer: question, references, answer, outcome, scores, facts, tokens, cost, latency.

        Own metrics follow, each a column with its name; `NAME.label`, `NAME.explanation` where one says so much.
        """
        import pandas as pd

        rows = [_row(entry) | _own_row(entry) for experiment in self.experiments for entry in experiment.entries]
        return pd.DataFrame(rows)

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints; `schema` names its version."""
        asked = sum(len(experiment.entries) for experiment in self.experiments)
        return {
            "schema": SCHEMA,
            "run": self.run_id,
            "dataset": {"name": self.dataset, "squad_version": self.version},
            "settings": self.settings.to_json(),
            "planned": self.planned,
            "experiments": [experiment.to_json() for experiment in self.experiments],
            "wall_s": self.wall_s,
            "questions_per_s": asked / self.wall_s if self.wall_s else None,
            "url": self.url,
            "journal": str(self.journal),
            "stopped": self.stopped,
            "unrecorded": self.unrecorded,
        }

    def __repr__(self) -> str:
        header, *rows = self._cells()
        widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
        lines = (
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)
        )
        return "\n".join((self._title(), *lines, *([self.url] if self.url else [])))

    def _repr_html_(self) -> str:
        header, *rows = self._cells()
        link = f'<p><a href="{html.escape(self.url)}">Phoenix dashboard</a></p>' if self.url else ""
        body = "".join(_html_row(row, "td") for row in rows)
        return f"<table><caption>{html.escape(self._title())}</caption>{_html_row(header, 'th')}{body}</table>{link}"

    def _title(self) -> str:
        early = " (stopped early)" if self.incomplete else ""
        return f"Run {self.run_id} on {self.dataset}, {self.planned} questions a model{early}"

    def _cells(self) -> list[list[str]]:
        columns = (*COLUMNS, *((name, _own_mean(name)) for name in self.settings.metrics))
        return [[title for title, _ in columns], *([cell(e) for _, cell in columns] for e in self.experiments)]


def _interval_json(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    fields = ("low", "high", "confidence", "articles", "method", "reason")
    return {name: getattr(estimate, name) for name in fields}


def _row(entry: Entry) -> dict[str, Any]:
    from qa_eval.metrics.explain import answer_facts

    example, reply = entry.example, entry.reply
    facts = asdict(answer_facts(example.question, reply.text, example.references))
    return {
        "model": entry.model,
        "example_id": example.id,
        "repetition": entry.repetition,
        "title": example.group,
        "difficulty": example.metadata.get("difficulty"),
        "question": example.question,
        "references": list(example.references),
        "answer": reply.text,
        "outcome": str(reply.outcome),
        "message": reply.message,
        **{name: None if entry.scores is None else getattr(entry.scores, name) for name in SCORES},
        **facts,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "cost_usd": reply.cost_usd,
        "latency_s": reply.latency_s,
        "deployment": reply.deployment,
        "deployment_model": reply.deployment_model,
        "fallbacks": reply.fallbacks,
        "tries": reply.tries,
        "started_at": reply.started_at,
        "trace_id": reply.trace_id,
    }


def _own_row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for own in entry.own_scores:
        row[own.name] = own.value
        notes = {"label": own.label, "explanation": own.explanation}
        row |= {f"{own.name}.{name}": note for name, note in notes.items() if note is not None}
    return row


def _html_row(cells: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _percent(score: str) -> Callable[[ExperimentResult], str]:
    return lambda e: "-" if (mean := e.mean(score)) is None else f"{100 * mean:.2f}"


def _own_mean(name: str) -> Callable[[ExperimentResult], str]:
    return lambda e: next((_number(own.mean, ".4g") for own in e.own_metrics() if own.name == name), "-")


COLUMNS: tuple[tuple[str, Callable[[ExperimentResult], str]], ...] = (
    ("model", lambda e: e.model),
    ("EM", _percent("exact_match")),
    ("F1", _percent("f1")),
    ("sim.", lambda e: _number(e.mean("semantic_similarity"), ".3f")),
    ("answered/ blocked/ failed", lambda e: f"{e.answered}/{e.blocked}/{e.failed}"),
    ("tokens in/out", lambda e: f"{_number(e.total('prompt_tokens'), '')}/{_number(e.total('completion_tokens'), '')}"),
    ("cost $", lambda e: _number(e.total("cost_usd"), ".4f")),
    ("latency s p50/p95", lambda e: f"{_number(e.latency(0.5), '.3g')}/{_number(e.latency(0.95), '.3g')}"),
)
"""The table's columns: a title, and its cell for one experiment."""
