"""The verbs in Python: what the commands do, as functions that return typed results.

Each has an `async_` version. The plain ones also work inside a running event loop, as in Jupyter: they then run in a
thread of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from qa_eval.data.examples import Dataset
from qa_eval.data.load import load_dataset, read_dataset
from qa_eval.errors import InputError
from qa_eval.experiment.estimate import CostEstimate, estimate
from qa_eval.experiment.execute import Run, execute
from qa_eval.experiment.functions import by_name, callables, find_functions, metric_names, with_functions
from qa_eval.experiment.journal_file import JournalFile
from qa_eval.experiment.metadata import Servers
from qa_eval.experiment.observer import NullObserver, Observer, OnProgress, RunContext, ignore
from qa_eval.experiment.plan import Plan
from qa_eval.experiment.prepare import check_limits, check_servers, make_plan
from qa_eval.experiment.results import RunResult
from qa_eval.experiment.runs import RunSummary, find_run, journal_path
from qa_eval.experiment.runs import list_runs as _list_runs
from qa_eval.experiment.runs import open_run as _open_run
from qa_eval.metrics.base import Metric
from qa_eval.paths import data_dir
from qa_eval.servers import LocalStack, find_servers, phoenix_of
from qa_eval.spec.keywords import ExperimentKeywords
from qa_eval.spec.load import LoadedSpec, build_spec, load_spec, override
from qa_eval.spec.model import ExperimentSpec, ServersSpec
from qa_eval.targets.function import TaskFunction

_T = TypeVar("_T")
SPEC_ENDINGS = (".yaml", ".yml", ".toml")
Experiment = ExperimentSpec | LoadedSpec | Dataset | str | Path
"""A specification, a specification's file, or a dataset: loaded, or what `load_dataset` takes."""


class RunObjects(TypedDict, total=False):
    """What only Python can give."""

    task: TaskFunction | Mapping[str, TaskFunction]
    """A function `(example) -> str`, plain or async, that answers in place of a model; or several by name."""
    servers: Servers
    """Addresses and keys, where they are already known."""
    observer: Observer
    """Follows the run."""
    on_progress: OnProgress
    """Called with one line for each thing that takes time."""


class RunKeywords(ExperimentKeywords, RunObjects, total=False):
    """All keywords of `run_experiment`."""


class ResumeKeywords(TypedDict, total=False):
    """The keywords of `resume`."""

    retry_failed: bool
    """Ask again what ended in an error."""
    gateway: str | None
    """The gateway's address, where it has changed."""
    phoenix: str | None
    """Phoenix's address, where it has changed."""
    concurrency: int | str | None
    """Maximum number of concurrent requests, or `auto`."""
    max_errors: float | str | None
    """Stop when more than this share of questions fails from now on."""
    max_cost: float | str | None
    """US dollars for the whole run, what is spent already included."""
    max_time: float | str | None
    """Seconds from now, or a text such as 10m."""
    task: TaskFunction | Mapping[str, TaskFunction]
    """The run's own task again; one that is named module:function is found without it."""
    metrics: Mapping[str, Metric] | Sequence[Metric]
    """The run's custom metrics again; those that can be imported are found without it."""
    observer: Observer
    on_progress: OnProgress


@dataclass(frozen=True)
class _Prepared:
    """A run, and the local stack where it was started for it."""

    run: Run
    stack: LocalStack | None

    def abandon(self) -> None:
        """After an interruption: stop what was started for this run alone."""
        if self.stack is not None:
            self.stack.stop(self.run.context.on_progress)


def run_experiment(experiment: Experiment = "sample", **keywords: Unpack[RunKeywords]) -> RunResult:
    """Ask a dataset's questions of one or more systems, score the answers, record all in Phoenix.

    Args:
        experiment: A specification; the path of its file (YAML or TOML); a dataset, or what `load_dataset` takes.
        **keywords: The settings of `qa-eval run-experiment`, by their Python names (`ExperimentKeywords`): `models`,
            `prompts`, `examples`, `local`, `gateway`, `phoenix`, `max_cost` and so on. They override the
            specification. `metrics` takes functions `(example, prediction) -> float | Score` too. Besides, what only
            Python can give (`RunObjects`): `task`, `servers`, `observer`, `on_progress`.

    Returns:
        `RunResult`: the scores and all answers. A run that a limit ended early says so in `stopped`.

    Raises:
        QaEvalError: A setting is wrong or a server is not there; the message says what to do.
    """
    prepared = _prepare(experiment, keywords)
    try:
        return wait_for(partial(execute, prepared.run))
    except KeyboardInterrupt:
        prepared.abandon()
        raise


async def async_run_experiment(experiment: Experiment = "sample", **keywords: Unpack[RunKeywords]) -> RunResult:
    """`run_experiment`, to be awaited."""
    prepared = await asyncio.to_thread(_prepare, experiment, keywords)
    try:
        return await execute(prepared.run)
    except asyncio.CancelledError:
        prepared.abandon()
        raise


def resume(run: str, **keywords: Unpack[ResumeKeywords]) -> RunResult:
    """Ask the unanswered questions of a run, and record what Phoenix lacks. Nothing is asked or paid twice.

    Args:
        run: The run's id, its name, the beginning of its id, `latest`, or a journal's path.
        **keywords: What changes from now on; see `ResumeKeywords`.

    Returns:
        `RunResult`: the whole run, with the answers from before.

    Raises:
        QaEvalError: There is no such run, another process is at work on it, or a server is not there.
    """
    prepared = _prepare_resume(run, keywords)
    try:
        return wait_for(partial(execute, prepared.run))
    except KeyboardInterrupt:
        prepared.abandon()
        raise


async def async_resume(run: str, **keywords: Unpack[ResumeKeywords]) -> RunResult:
    """`resume`, to be awaited."""
    prepared = await asyncio.to_thread(_prepare_resume, run, keywords)
    try:
        return await execute(prepared.run)
    except asyncio.CancelledError:
        prepared.abandon()
        raise


async def async_load_dataset(dataset: str | Path = "sample", **options: Any) -> Dataset:
    """`load_dataset` in a thread, so that a large file does not block the event loop."""
    return await asyncio.to_thread(load_dataset, dataset, **options)


def load_experiment(file: Path | None, given: Mapping[str, Any]) -> LoadedSpec:
    """A specification from its file, where there is one, and from settings by keyword, as flags give them.

    Raises:
        InputError: The file or a setting is wrong.
    """
    return build_spec(given) if file is None else load_spec(file, given)


def estimate_experiment(experiment: Experiment = "sample", **keywords: Unpack[RunKeywords]) -> CostEstimate:
    """What `run_experiment` would use, by LiteLLM's price map; nothing is sent.

    Args:
        experiment: As for `run_experiment`.
        **keywords: As for `run_experiment`.

    Raises:
        QaEvalError: The dataset or a prompt cannot be read, or a setting is wrong.
    """
    from qa_eval.blueprint.gateway import read_config

    loaded, dataset, _ = _load(experiment, keywords)
    servers = keywords.get("servers") or Servers(phoenix_url=loaded.spec.servers.phoenix)
    plan = make_plan(loaded.spec, dataset, servers, folder=loaded.folder, on_progress=ignore)
    return estimate(plan, read_config().price_rows())


def list_runs() -> list[RunSummary]:
    """The runs whose journals are on this machine, newest first."""
    return list(_list_runs(_runs()))


def open_run(run: str = "latest") -> RunResult:
    """A run as a result, with every answer; it may still be in progress.

    Args:
        run: The run's id, its name, the beginning of its id, `latest`, or a journal's path.

    Raises:
        InputError: There is no such run, or its journal cannot be read.
    """
    return _open_run(_runs(), run)


def wait_for(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine to its end, in a thread of its own where this one already runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_run_loop, work).result()


def _run_loop(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    return asyncio.run(work())


def _runs() -> Path:
    return data_dir() / "runs"


# --- a new run ------------------------------------------------------------------------------------------------------


def _prepare(experiment: Experiment, keywords: RunKeywords) -> _Prepared:
    context = _context(keywords)
    loaded, dataset, functions = _load(experiment, keywords)
    for note in dataset.notes:
        context.on_progress(note)
    spec = loaded.spec
    check_rules(spec)
    servers, stack = keywords.get("servers"), None
    if servers is None:
        check_servers(spec)
        servers, stack = find_servers(spec, dataset, context.on_progress)
    else:
        spec = _with_servers(spec, servers)
    plan = make_plan(spec, dataset, servers, folder=loaded.folder, on_progress=context.on_progress)
    run = Run(
        plan,
        journal_path(_runs(), plan.metadata.run_id),
        servers,
        find_functions(plan.spec, loaded.folder, functions.tasks, functions.metrics),
        context,
    )
    return _Prepared(run, stack)


def check_rules(spec: ExperimentSpec) -> None:
    """Read the gate's rules before anything is asked.

    Raises:
        InputError: One is not a rule.
    """
    if spec.gate.fail_on or spec.gate.require:
        from qa_eval.analysis.gate import parse_rules

        parse_rules(spec.gate.fail_on, spec.gate.require)


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


def _load(experiment: Experiment, keywords: RunKeywords) -> tuple[LoadedSpec, Dataset, _Given]:
    """The specification with all keywords in it, its dataset, and the functions that are not in it."""
    given = {name: value for name, value in keywords.items() if name not in RunObjects.__annotations__}
    tasks, metrics = by_name(keywords.get("task")), by_name(callables(given.get("metrics")))
    given["metrics"] = metric_names(given.get("metrics"))
    loaded = _specified(experiment, given)
    spec = with_functions(loaded.spec, tasks, metrics)
    if isinstance(experiment, Dataset):
        return replace(loaded, spec=spec), experiment, _Given(tasks, metrics)
    known = keywords.get("servers")
    url, key = (None, None)
    if spec.dataset.phoenix is not None:
        url, key = (known.phoenix_url, known.phoenix_key) if known else phoenix_of(spec, _context(keywords).on_progress)
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


def _context(keywords: Mapping[str, Any]) -> RunContext:
    return RunContext(keywords.get("observer") or NullObserver(), keywords.get("on_progress") or ignore)


# --- a run that exists ----------------------------------------------------------------------------------------------


def _prepare_resume(run: str, keywords: ResumeKeywords) -> _Prepared:
    context = _context(keywords)
    path = find_run(_runs(), run)
    journal = JournalFile.open(path)
    try:
        journal.check_resumable()
        plan = journal.plan()
    finally:
        journal.close()
    plan = _changed(plan, keywords)
    check_limits(plan.spec)
    folder = Path(plan.metadata.folder)
    metrics = by_name(callables(keywords.get("metrics")))
    unknown = next((name for name in metrics if name not in plan.metadata.custom_metrics), None)
    if unknown is not None:
        raise InputError(f"The run was started without the metric {unknown!r}: leave it out, or start a new run.")
    functions = find_functions(plan.spec, folder, by_name(keywords.get("task")), metrics)
    servers, stack = find_servers(plan.spec, plan.dataset, context.on_progress)
    retry_failed = bool(keywords.get("retry_failed"))
    return _Prepared(Run(plan, path, servers, functions, context, resumes=True, retry_failed=retry_failed), stack)


def _changed(plan: Plan, keywords: ResumeKeywords) -> Plan:
    """The plan with the limits, the concurrency and the addresses that hold from now on."""
    changes = {
        name: value
        for name in ("concurrency", "max_errors", "max_cost", "max_time", "gateway", "phoenix")
        if (value := keywords.get(name)) is not None
    }
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
