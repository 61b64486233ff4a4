"""Journals of format 3, which knew models instead of systems: read as journals of format 4."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from qa_eval.experiment.journal_schema import ADDED_COLUMNS
from qa_eval.experiment.metadata import DatasetMetadata, PhoenixExperiment, Recording, RunMetadata
from qa_eval.spec.metrics import DEFAULT_METRICS
from qa_eval.spec.model import ExperimentSpec

Rows = Iterable[tuple[Any, ...]]
_OLD_BUILT_IN = ("exact_match", "f1", "semantic_similarity")
_ANSWER = (
    "seq, model, example_id, repetition, outcome, text, started_at, latency_s, message, prompt_tokens, "
    "completion_tokens, cost_usd, deployment, deployment_model, fallbacks, gateway_retries, tries, trace_id, span_id"
)


def convert(old: sqlite3.Connection) -> Iterator[tuple[str, Rows]]:
    """Every table of format 4 with its rows, from a journal of format 3."""
    run = {key: json.loads(value) for key, value in old.execute("SELECT key, value FROM run")}
    yield "run", _run(run)
    yield "examples", _examples(old)
    for new, name in (("answers", "answers"), ("retried", "superseded")):
        added = ", NULL" * sum(table == new for table, _, _ in ADDED_COLUMNS)
        yield new, old.execute(f"SELECT {_ANSWER}{added} FROM {name} ORDER BY seq").fetchall()  # noqa: S608
    yield "scored", old.execute("SELECT answer FROM scores").fetchall()
    yield "scores", _scores(old)
    yield "recorded", old.execute("SELECT answer, phoenix_run_id FROM recorded").fetchall()


def _run(run: dict[str, Any]) -> Rows:
    settings, place = run["settings"], run.get("place") or {}
    metadata = RunMetadata(
        run_id=run["run_id"],
        spec=_spec(settings, place, bool(run.get("recorded", True)), str(run.get("similarity", "minilm"))),
        dataset=DatasetMetadata(**run["dataset"]),
        embedder=str(settings.get("similarity", "")),
    )
    values = {"format": 4, "metadata": metadata.to_data(), "traced": run.get("traced", 0), "end": run.get("end") or {}}
    if "phoenix" in run:
        old = run["phoenix"]
        experiments = {model: PhoenixExperiment(**each) for model, each in old["experiments"].items()}
        values["recording"] = Recording(
            url=old["url"], dataset_id=old["dataset_id"], experiments=experiments
        ).model_dump(mode="json")
    return [(key, json.dumps(value)) for key, value in values.items()]


def _spec(settings: dict[str, Any], place: dict[str, Any], recorded: bool, similarity: str) -> ExperimentSpec:
    target = str(settings.get("target", "gateway"))
    local = bool(place.get("local"))
    return ExperimentSpec.model_validate(
        {
            "systems": [_system(model, target, settings) for model in settings["models"]],
            "metrics": [*DEFAULT_METRICS, *settings.get("metrics", ())],
            "similarity": similarity,
            "repeat": settings.get("repeat", 1),
            "concurrency": settings.get("concurrency") or "auto",
            "limits": {
                "cost_usd": settings.get("max_cost"),
                "time": settings.get("max_time_s"),
                "errors": settings.get("max_errors", 0.1),
            },
            "recording": {
                "phoenix": recorded,
                "facts": settings.get("facts", False),
                "trace_content": settings.get("trace_content", True),
            },
            "servers": {
                "local": local,
                "stack": place.get("deployment"),
                "gateway": None if local or place.get("deployment") else settings.get("gateway") or None,
                "phoenix": None if local or place.get("deployment") else place.get("phoenix_url"),
            },
        }
    )


def _system(model: str, target: str, settings: dict[str, Any]) -> dict[str, Any]:
    if target.startswith("task:"):
        return {"name": model, "task": target.removeprefix("task:")}
    parameters = {"temperature": settings.get("temperature", 0.0), "max_tokens": settings.get("max_tokens", 32)}
    prompt = {"messages": [{"role": "user", "content": settings["prompt"]}]}
    return {"name": model, "model": model, "via": target, "parameters": parameters, "prompt": prompt}


def _examples(old: sqlite3.Connection) -> Rows:
    for identifier, position, content in old.execute("SELECT id, position, content FROM examples"):
        values = json.loads(content)
        example = {
            "id": values["id"],
            "question": values["question"],
            "context": values["context"],
            "references": values["references"],
            "group": values["title"],
            "metadata": {"source": values["source"], "difficulty": values["difficulty"]},
        }
        yield identifier, position, json.dumps(example)


def _scores(old: sqlite3.Connection) -> Rows:
    columns = ", ".join(_OLD_BUILT_IN)
    for answer, *values in old.execute(f"SELECT answer, {columns} FROM scores").fetchall():  # noqa: S608
        for position, (name, value) in enumerate(zip(_OLD_BUILT_IN, values, strict=True)):
            yield answer, position, name, value, None, None, None
    query = "SELECT answer, name, value, label, explanation FROM extra_scores ORDER BY answer, rowid"
    for position, (answer, name, value, label, explanation) in enumerate(old.execute(query).fetchall()):
        # A custom metric that failed kept its error as the explanation.
        told = (None, explanation) if value is None else (explanation, None)
        yield answer, len(_OLD_BUILT_IN) + position, name, value, label, *told
