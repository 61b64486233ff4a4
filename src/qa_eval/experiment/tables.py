"""A run's results as cells: the columns of its table, the rows of its export, and how both are written."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from qa_eval.experiment.answers import Answer
from qa_eval.experiment.metadata import RunMetadata
from qa_eval.experiment.scoring import SIMILARITY
from qa_eval.experiment.summary import ExperimentResult

Cell = Callable[[ExperimentResult], str]
_TITLES = {"exact_match": "EM", "f1": "F1", SIMILARITY: "sim."}


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    title: str
    cell: Cell


def columns(metadata: RunMetadata) -> list[Column]:
    """The table's columns: the system, its metrics, and what the answers took."""
    metrics = [_metric(metric.name, built_in=metric.built_in) for metric in metadata.spec.metrics]
    return [Column("system", _system), *metrics, *_COMMON]


def _metric(name: str, *, built_in: bool) -> Column:
    if not built_in:
        form, factor = ".4g", 1.0
    elif name == SIMILARITY:
        form, factor = ".3f", 1.0
    else:
        form, factor = ".2f", 100.0

    def cell(experiment: ExperimentResult) -> str:
        mean = experiment.mean(name)
        return "-" if mean is None else format(factor * mean, form)

    return Column(_TITLES.get(name, name) if built_in else name, cell)


def _system(experiment: ExperimentResult) -> str:
    return experiment.system


def _counts(experiment: ExperimentResult) -> str:
    return f"{experiment.answered}/{experiment.blocked}/{experiment.failed}"


def _tokens(experiment: ExperimentResult) -> str:
    return "/".join(number(experiment.total(field), "") for field in ("prompt_tokens", "completion_tokens"))


def _cost(experiment: ExperimentResult) -> str:
    return number(experiment.total("cost_usd"), ".4f")


def _latency(experiment: ExperimentResult) -> str:
    return "/".join(number(experiment.latency(quantile), ".3g") for quantile in (0.5, 0.95))


_COMMON = (
    Column("answered/ blocked/ failed", _counts),
    Column("tokens in/out", _tokens),
    Column("cost $", _cost),
    Column("latency s p50/p95", _latency),
)


def number(value: float | None, form: str) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else format(value, form)


def answer_row(answer: Answer, model: str | None, metadata: RunMetadata) -> dict[str, Any]:
    """One answer as a row of the export."""
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
        **{metric.name: answer.score(metric.name) for metric in metadata.spec.metrics},
        **_notes(answer, metadata),
        **asdict(answer_facts(example.question, reply.text, example.references)),
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
        **{f"metadata.{name}": value for name, value in example.metadata.items()},
    }


def _notes(answer: Answer, metadata: RunMetadata) -> dict[str, str]:
    """What custom metrics say besides numbers."""
    custom = metadata.custom_metrics
    return {
        f"{score.name}.{kind}": note
        for score in answer.scores or ()
        if score.name in custom
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
