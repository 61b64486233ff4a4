"""A run's results as cells: the columns of its table, the rows of its export, and how both are written."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from qa_eval.experiment.answers import Answer
from qa_eval.experiment.metadata import RunMetadata
from qa_eval.experiment.summary import ExperimentResult
from qa_eval.metrics.definition import MetricDefinition
from qa_eval.metrics.registry import SIMILARITY

Cell = Callable[[ExperimentResult], str]
_WHOLE = 0.98
"""The share of the latency from which on a first token came with all the others."""
_SHORT = {SIMILARITY: "sim."}


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    title: str
    cell: Cell


def columns(metadata: RunMetadata, most: int | None = None) -> list[Column]:
    """The table's columns: the system, its metrics, and what the answers took.

    Args:
        metadata: The run's.
        most: At most so many metrics, where the width is limited.
    """
    metrics = [_metric(definition) for definition in list(metadata.definitions.values())[:most]]
    return [Column("system", _system), *metrics, *_COMMON]


def _metric(definition: MetricDefinition) -> Column:
    # Exact Match and F1 are written as the official scripts print them.
    form, factor = (".2f", 100.0) if definition.name in ("exact_match", "f1") else (".3f", 1.0)
    if not definition.is_share:
        form = ".4g"

    def cell(experiment: ExperimentResult) -> str:
        mean = experiment.mean(definition.name)
        return "-" if mean is None else format(factor * mean, form)

    return Column(_SHORT.get(definition.name, definition.label), cell)


def _system(experiment: ExperimentResult) -> str:
    return experiment.system


def _counts(experiment: ExperimentResult) -> str:
    return f"{experiment.answered}/{experiment.blocked}/{experiment.failed}"


def _tokens(experiment: ExperimentResult) -> str:
    return "/".join(number(experiment.total(field), "") for field in ("prompt_tokens", "completion_tokens"))


def _cost(experiment: ExperimentResult) -> str:
    return number(experiment.total("cost_usd"), ".4f")


def _latency(experiment: ExperimentResult) -> str:
    found = (experiment.latency(quantile) for quantile in (0.5, 0.95))
    return "/".join(number(value if value is None else round(value, 4), ".3g") for value in found)


_COMMON = (
    Column("answered/ blocked/ failed", _counts),
    Column("tokens in/out", _tokens),
    Column("cost $", _cost),
    Column("latency s p50/p95", _latency),
)


def number(value: float | None, form: str) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else format(value, form)


def first_token_remarks(experiment: ExperimentResult) -> Iterator[str]:
    """When streamed answers began, for which the table has no room."""
    p50, p95, whole = experiment.first_token(0.5), experiment.first_token(0.95), experiment.latency(0.5)
    if p50 is None or p95 is None or whole is None:
        return
    yield f"first token after {p50:.3g} s (p50), {p95:.3g} s (p95)"
    if p50 > _WHOLE * whole:
        yield "the answers came whole: a guardrail of the gateway may hold them back"


def answer_row(answer: Answer, model: str | None, metadata: RunMetadata, *, queued: bool) -> dict[str, Any]:
    """One answer as a row of the export; `queued` says that its latency is not the target's own."""
    from qa_eval.metrics.explain import answer_facts

    example, reply = answer.example, answer.reply
    return {
        "system": answer.system,
        "model": model,
        "example_id": example.id,
        "repetition": answer.repetition,
        "group": example.group,
        "question": example.question,
        "references": list(example.references),
        "answer": reply.text,
        "outcome": str(reply.outcome),
        "message": reply.message,
        **asdict(answer_facts(example.question, reply.text, example.references)),
        **{name: answer.score(name) for name in metadata.definitions},
        **_notes(answer, metadata),
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "cost_usd": reply.cost_usd,
        "latency_s": reply.latency_s,
        "queued": queued,
        "first_token_s": reply.first_token_s,
        "deployment": reply.deployment,
        "deployment_model": reply.deployment_model,
        "fallbacks": reply.fallbacks,
        "tries": reply.tries,
        "started_at": reply.started_at,
        "trace_id": reply.trace_id,
        **{f"metadata.{name}": value for name, value in example.metadata.items()},
    }


def _notes(answer: Answer, metadata: RunMetadata) -> dict[str, str]:
    """What judges and metrics of your own say besides numbers."""
    return {
        f"{score.name}.{kind}": note
        for score in answer.scores
        if not metadata.definitions[score.name].scores_unanswerable
        for kind in ("label", "explanation", "error")
        if (note := getattr(score, kind)) is not None
    }


def as_text(cells: Sequence[Sequence[str]]) -> str:
    """A table for a terminal, its columns aligned to the right."""
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)


def as_html(title: str, cells: Sequence[Sequence[str]], url: str | None) -> str:
    """A table for a notebook."""
    header, *rows = cells
    link = f'<p><a href="{html.escape(url)}">Phoenix dashboard</a></p>' if url else ""
    body = "".join(_html_row(row, "td") for row in rows)
    return f"<table><caption>{html.escape(title)}</caption>{_html_row(header, 'th')}{body}</table>{link}"


def _html_row(cells: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"
