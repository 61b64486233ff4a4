"""The verbs in Python: what the commands do, as functions that return typed results.

Each has an `async_` version. The plain ones also work inside a running event loop, as in Jupyter: they then run in a
thread of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, Unpack

from qa_eval.data.examples import Dataset
from qa_eval.data.load import load_dataset
from qa_eval.experiment.estimate import CostEstimate, estimate
from qa_eval.experiment.execute import execute
from qa_eval.experiment.metadata import Servers
from qa_eval.experiment.observer import ignore
from qa_eval.experiment.prepare import make_plan
from qa_eval.experiment.results import RunResult
from qa_eval.experiment.runs import RunSummary
from qa_eval.experiment.runs import delete_run as _delete_run
from qa_eval.experiment.runs import list_runs as _list_runs
from qa_eval.experiment.runs import open_run as _open_run
from qa_eval.run.existing import prepare_evaluate, prepare_resume
from qa_eval.run.keywords import EvaluateKeywords, Experiment, ResumeKeywords, RunKeywords, RunObjects
from qa_eval.run.new import load, prepare
from qa_eval.run.prepared import Prepared, runs_folder
from qa_eval.spec.load import LoadedSpec, build_spec, load_spec

__all__ = [
    "EvaluateKeywords",
    "ResumeKeywords",
    "RunKeywords",
    "RunObjects",
    "async_evaluate",
    "async_load_dataset",
    "async_resume",
    "async_run_experiment",
    "delete_run",
    "estimate_experiment",
    "evaluate",
    "list_runs",
    "load_experiment",
    "open_run",
    "resume",
    "run_experiment",
]

_T = TypeVar("_T")


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
    return _execute(prepare(experiment, keywords))


async def async_run_experiment(experiment: Experiment = "sample", **keywords: Unpack[RunKeywords]) -> RunResult:
    """`run_experiment`, to be awaited."""
    return await _async_execute(await asyncio.to_thread(prepare, experiment, keywords))


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
    return _execute(prepare_resume(run, keywords))


async def async_resume(run: str, **keywords: Unpack[ResumeKeywords]) -> RunResult:
    """`resume`, to be awaited."""
    return await _async_execute(await asyncio.to_thread(prepare_resume, run, keywords))


def evaluate(run: str = "latest", **keywords: Unpack[EvaluateKeywords]) -> RunResult:
    """Add metrics to a run: its answers are scored as they are, and nothing is asked again.

    Judgements that were paid for are found in the journal; only what is missing is paid.

    Args:
        run: As for `resume`.
        **keywords: The metrics to add, and what changes from now on; see `EvaluateKeywords`.

    Returns:
        `RunResult`: the whole run, with the metrics that it had and those that were added.

    Raises:
        QaEvalError: There is no such run, another process is at work on it, a metric is wrong, or a server is not
            there.
    """
    return _execute(prepare_evaluate(run, keywords))


async def async_evaluate(run: str = "latest", **keywords: Unpack[EvaluateKeywords]) -> RunResult:
    """`evaluate`, to be awaited."""
    return await _async_execute(await asyncio.to_thread(prepare_evaluate, run, keywords))


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

    loaded, dataset, _ = load(experiment, keywords)
    servers = keywords.get("servers") or Servers(phoenix_url=loaded.spec.servers.phoenix)
    plan = make_plan(loaded.spec, dataset, servers, folder=loaded.folder, on_progress=ignore)
    return estimate(plan, read_config().price_rows())


def list_runs() -> list[RunSummary]:
    """The runs whose journals are on this machine, newest first."""
    return list(_list_runs(runs_folder()))


def delete_run(run: str) -> None:
    """Delete a run of this machine with its answers; what Phoenix has of it stays there.

    Args:
        run: A run's id, its name (the newest run of that name), or the beginning of its id.

    Raises:
        InputError: There is no such run, or a process is at work on it.
    """
    _delete_run(runs_folder(), run)


def open_run(run: str = "latest") -> RunResult:
    """A run as a result, with every answer; it may still be in progress.

    Args:
        run: The run's id, its name, the beginning of its id, `latest`, or a journal's path.

    Raises:
        InputError: There is no such run, or its journal cannot be read.
    """
    return _open_run(runs_folder(), run)


def _execute(prepared: Prepared) -> RunResult:
    try:
        return wait_for(partial(execute, prepared.run))
    except KeyboardInterrupt:
        prepared.abandon()
        raise


async def _async_execute(prepared: Prepared) -> RunResult:
    try:
        return await execute(prepared.run)
    except asyncio.CancelledError:
        prepared.abandon()
        raise


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
