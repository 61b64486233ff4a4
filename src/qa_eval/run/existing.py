"""A run that exists: continued, or given more metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qa_eval.errors import InputError
from qa_eval.experiment.execute import Run
from qa_eval.experiment.functions import (
    by_name,
    callables,
    find_functions,
    find_metrics,
    specified,
    with_functions,
)
from qa_eval.experiment.journal_file import JournalFile
from qa_eval.experiment.plan import Plan
from qa_eval.experiment.prepare import check_limits, check_servers, usable_metrics
from qa_eval.experiment.runs import find_run
from qa_eval.run.keywords import EvaluateKeywords, ResumeKeywords
from qa_eval.run.new import check_metrics
from qa_eval.run.prepared import Prepared, context_of, runs_folder
from qa_eval.servers import find_servers
from qa_eval.spec.load import LoadedSpec, override
from qa_eval.spec.metrics import MetricSpec, parse_metric
from qa_eval.spec.model import ExperimentSpec


def prepare_resume(run: str, keywords: ResumeKeywords) -> Prepared:
    """A run whose unanswered questions are asked."""
    context = context_of(keywords)
    path, plan = _read_plan(run)
    plan = _changed(plan, {name: value for name, value in keywords.items() if name != "metrics"})
    check_limits(plan.spec)
    folder = Path(plan.metadata.folder)
    metrics = by_name(callables(keywords.get("metrics")))
    unknown = next((name for name in metrics if name not in plan.metadata.own_metrics), None)
    if unknown is not None:
        raise InputError(f"The run was started without the metric {unknown!r}: leave it out, or start a new run.")
    functions = find_functions(plan.spec, folder, by_name(keywords.get("task")), metrics)
    servers, stack = find_servers(plan.spec, plan.dataset, context.on_progress)
    retry_failed = bool(keywords.get("retry_failed"))
    return Prepared(Run(plan, path, servers, functions, context, resumes=True, retry_failed=retry_failed), stack)


def prepare_evaluate(run: str, keywords: EvaluateKeywords) -> Prepared:
    """A run that gets more metrics."""
    context = context_of(keywords)
    path, plan = _read_plan(run)
    functions = by_name(callables(keywords.get("metrics")))
    plan = _with_spec(plan, _pinned(plan.spec))
    known = {metric.name: metric for metric in plan.spec.metrics}
    asked_for = list(map(parse_metric, specified(keywords.get("metrics"))))
    _check_same_judges(asked_for, known, keywords.get("judge_model"))
    added = [each for each in asked_for if each["name"] not in known]
    plan = _changed(plan, {**keywords, "metrics": added})
    spec = _pinned(usable_metrics(with_functions(plan.spec, {}, functions), plan.dataset, context.on_progress))
    plan = _with_spec(plan, spec)
    check_limits(spec)
    check_servers(spec)
    check_metrics(spec, plan.dataset)
    found = find_metrics(spec, Path(plan.metadata.folder), functions, known)
    servers, stack = find_servers(spec, plan.dataset, context.on_progress)
    return Prepared(Run(plan, path, servers, found, context, resumes=True, asks=False), stack)


def _with_spec(plan: Plan, spec: ExperimentSpec) -> Plan:
    return replace(plan, metadata=plan.metadata.model_copy(update={"spec": spec}))


def _pinned(spec: ExperimentSpec) -> ExperimentSpec:
    """The specification whose judges name their models, so that another `judge_model` is not taken for theirs."""
    metrics = (
        metric.model_copy(update={"model": metric.model or spec.judges.model}) if metric.judge else metric
        for metric in spec.metrics
    )
    return spec.model_copy(update={"metrics": tuple(metrics)})


def _check_same_judges(
    asked_for: Sequence[Mapping[str, Any]], known: Mapping[str, MetricSpec], judge_model: str | None
) -> None:
    """Refuse a judge that the run has already, by another model."""
    for metric in asked_for:
        model = metric.get("model") or judge_model
        there = known.get(metric["name"])
        if there is not None and there.judge and model not in (None, there.model):
            raise InputError(
                f"The run has the judge {there.name} by {there.model} already: give the one by {model} another name."
            )


def _read_plan(run: str) -> tuple[Path, Plan]:
    """The journal and the plan of a run that can be resumed."""
    path = find_run(runs_folder(), run)
    journal = JournalFile.open(path)
    try:
        journal.check_resumable()
        return path, journal.plan()
    finally:
        journal.close()


_CHANGEABLE = (
    "concurrency",
    "ray",
    "max_errors",
    "max_cost",
    "max_time",
    "gateway",
    "phoenix",
    "metrics",
    "judge_model",
    "planted",
)


def _changed(plan: Plan, keywords: Mapping[str, Any]) -> Plan:
    """The plan with the limits, the concurrency, the addresses and the metrics that hold from now on."""
    changes = {name: value for name in _CHANGEABLE if (value := keywords.get(name)) is not None}
    # A limit of an earlier process does not hold for this one, unless it is given again.
    spec = plan.spec.model_copy(
        update={"concurrency": "auto", "limits": plan.spec.limits.model_copy(update={"cost_usd": None, "time": None})}
    )
    if "gateway" in changes:
        spec = spec.model_copy(
            update={"servers": spec.servers.model_copy(update={"local": False, "stack": None, "replay": None})}
        )
    return replace(
        plan,
        metadata=plan.metadata.model_copy(
            update={"spec": override(LoadedSpec(spec, Path(plan.metadata.folder)), changes).spec}
        ),
    )
