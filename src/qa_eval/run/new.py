"""A new run: its specification, dataset and functions, all checked before a server is started or asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qa_eval.data.examples import Dataset
from qa_eval.data.load import read_dataset
from qa_eval.errors import InputError
from qa_eval.experiment.execute import Run
from qa_eval.experiment.functions import (
    built_in,
    by_name,
    callables,
    find_functions,
    find_judges,
    specified,
    with_functions,
)
from qa_eval.experiment.metadata import Servers
from qa_eval.experiment.prepare import check_prompts, check_servers, make_plan
from qa_eval.experiment.runs import journal_path
from qa_eval.metrics.base import Metric
from qa_eval.metrics.judges import PreferenceJudge
from qa_eval.metrics.registry import definition_of
from qa_eval.run.keywords import SPEC_ENDINGS, Experiment, RunKeywords, RunObjects
from qa_eval.run.prepared import Prepared, context_of, runs_folder
from qa_eval.servers import find_servers, phoenix_of
from qa_eval.spec.load import LoadedSpec, build_spec, load_spec, override
from qa_eval.spec.model import ExperimentSpec, ServersSpec
from qa_eval.spec.systems import resolve_systems
from qa_eval.targets.function import TaskFunction


def prepare(experiment: Experiment, keywords: RunKeywords) -> Prepared:
    """A new run, checked, with its servers."""
    context = context_of(keywords)
    loaded, dataset, functions = load(experiment, keywords)
    for note in dataset.notes:
        context.on_progress(note)
    spec = loaded.spec
    check_rules(spec)
    found = find_functions(resolve_systems(spec), loaded.folder, functions.tasks, functions.metrics)
    check_metrics(spec, dataset)
    check_prompts(spec, dataset)
    servers, stack = keywords.get("servers"), None
    if servers is None:
        check_servers(spec)
        servers, stack = find_servers(spec, dataset, context.on_progress)
    else:
        spec = _with_servers(spec, servers)
    plan = make_plan(spec, dataset, servers, folder=loaded.folder, on_progress=context.on_progress)
    run = Run(
        plan,
        journal_path(runs_folder(), plan.metadata.run_id),
        servers,
        found,
        context,
    )
    return Prepared(run, stack)


def check_rules(spec: ExperimentSpec) -> None:
    """Read the gate's rules before anything is asked.

    Raises:
        InputError: One is not a rule.
    """
    if spec.gate.fail_on or spec.gate.require:
        from qa_eval.analysis.rules import parse_rules

        parse_rules(spec.gate.fail_on, spec.gate.require, map(definition_of, spec.metrics))


def check_metrics(spec: ExperimentSpec, dataset: Dataset) -> None:
    """Check the options of the metrics and the judges before anything is asked.

    Raises:
        InputError: One is wrong.
    """
    built_in(spec, dataset.version)
    judges = find_judges(spec, dataset.fields)
    if any(isinstance(judge, PreferenceJudge) for judge in judges) and len(resolve_systems(spec).systems) < 2:
        raise InputError("The judge preference compares two systems, and there is one: give another with `models`.")


def _with_servers(spec: ExperimentSpec, servers: Servers) -> ExperimentSpec:
    """The specification with the addresses of servers that are already known."""
    if spec.servers != ServersSpec():
        raise InputError("`servers` gives gateway and Phoenix: leave out `local`, `stack`, `gateway` and `phoenix`.")
    named = ServersSpec(gateway=servers.gateway_url or None, phoenix=servers.phoenix_url)
    recording = spec.recording.model_copy(update={"phoenix": servers.phoenix_url is not None})
    return spec.model_copy(update={"servers": named, "recording": recording})


@dataclass(frozen=True)
class _Given:
    """Functions that were given from Python, by the name that the specification knows them by."""

    tasks: Mapping[str, TaskFunction]
    metrics: Mapping[str, Metric]


def load(experiment: Experiment, keywords: RunKeywords) -> tuple[LoadedSpec, Dataset, _Given]:
    """The specification with all keywords in it, its dataset, and the functions that are not in it."""
    given = {name: value for name, value in keywords.items() if name not in RunObjects.__annotations__}
    tasks, metrics = by_name(keywords.get("task")), by_name(callables(given.get("metrics")))
    given["metrics"] = specified(given.get("metrics"))
    loaded = _specified(experiment, given)
    spec = with_functions(loaded.spec, tasks, metrics)
    if isinstance(experiment, Dataset):
        return replace(loaded, spec=spec), experiment, _Given(tasks, metrics)
    known = keywords.get("servers")
    url, key = (None, None)
    if spec.dataset.phoenix is not None:
        url, key = (
            (known.phoenix_url, known.phoenix_key) if known else phoenix_of(spec, context_of(keywords).on_progress)
        )
    dataset = read_dataset(spec.dataset, phoenix_url=url, phoenix_key=key)
    return replace(loaded, spec=spec), dataset, _Given(tasks, metrics)


def _specified(experiment: Experiment, given: Mapping[str, Any]) -> LoadedSpec:
    if isinstance(experiment, ExperimentSpec):
        return override(LoadedSpec(experiment, Path.cwd()), given)
    if isinstance(experiment, LoadedSpec):
        return override(experiment, given)
    if isinstance(experiment, Dataset):
        return build_spec({**given, "dataset_name": experiment.name})
    if Path(experiment).suffix in SPEC_ENDINGS:
        return load_spec(Path(experiment), given)
    return build_spec({"dataset": str(experiment), **given})
