"""The verbs in Python: what the command does, as functions that return typed results.

Each has an `async_` twin. The plain ones also work inside a running event loop, as in Jupyter: they then run in a
thread of their own.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from qa_eval.data.examples import Dataset
from qa_eval.data.load import DEFAULT_EXAMPLES, DEFAULT_SEED, SAMPLE, load_dataset
from qa_eval.data.predictions import read_predictions
from qa_eval.errors import InputError
from qa_eval.experiment.estimate import CostEstimate, estimate
from qa_eval.experiment.execute import Servers, execute, go_on
from qa_eval.experiment.journal_file import Ledger
from qa_eval.experiment.observer import Observer, Report
from qa_eval.experiment.plan import Settings
from qa_eval.experiment.results import RunResult
from qa_eval.experiment.runs import RunSummary, find_run
from qa_eval.experiment.runs import list_runs as _list_runs
from qa_eval.experiment.runs import open_run as _open_run
from qa_eval.experiment.scoring import EMBEDDERS
from qa_eval.metrics.custom import Metric, Metrics, find_metrics, installed, name_of
from qa_eval.paths import data_dir
from qa_eval.targets.function import OwnTask, TaskFunction
from qa_eval.targets.gateway import GatewayClient
from qa_eval.targets.outcome import Asker
from qa_eval.targets.prompt import Prompt, default_prompt, read_prompt

_P = ParamSpec("_P")
_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])
DEFAULT_MODELS = ("qa",)


async def async_load_dataset(
    dataset: str | Path = SAMPLE,
    *,
    examples: int | None = DEFAULT_EXAMPLES,
    seed: int = DEFAULT_SEED,
    stratify_by: str = "none",
    name: str | None = None,
) -> Dataset:
    """`load_dataset` in a thread, so that a large file does not hold up the event loop."""
    return await asyncio.to_thread(
        load_dataset, dataset, examples=examples, seed=seed, stratify_by=stratify_by, name=name
    )


@dataclass(frozen=True)
class _Prepared:
    """A run that only has to be executed: everything checked, the local stack up where it is used."""

    execute: Callable[[], Coroutine[Any, Any, RunResult]]
    report: Report
    started_stack: bool

    def abandon(self) -> None:
        """After an interruption: stop what was started for this run alone."""
        if self.started_stack:
            from qa_eval import stack

            self.report("Stopping the local stack, which was started for this run ...")
            stack.down(self.report)


def _run_experiment(
    dataset: Dataset | str | Path = SAMPLE,
    *,
    models: Sequence[str] = DEFAULT_MODELS,
    local: bool = False,
    deployment: str | None = None,
    gateway: str | None = None,
    phoenix: str | None = None,
    servers: Servers | None = None,
    record: bool = True,
    prompt: str | Path | None = None,
    temperature: float = 0.0,
    max_tokens: int = 32,
    repeat: int = 1,
    target: str = "gateway",
    concurrency: int | None = None,
    max_errors: float = 0.1,
    max_cost: float | None = None,
    max_time_s: float | None = None,
    similarity: str = "minilm",
    facts: bool = False,
    metrics: Metrics = (),
    task: TaskFunction | None = None,
    trace_content: bool = True,
    replay: str | Path | None = None,
    observer: Observer | None = None,
    report: Report = lambda line: None,
) -> _Prepared:
    """Ask a dataset's questions of one or more models behind a gateway, score the answers, record all in Phoenix.

    Args:
        dataset: A loaded dataset (`load_dataset` takes a subset), or what `load_dataset` takes.
        models: The gateway's model groups; one Phoenix experiment each.
        local: Start what is missing of the local stack and use it.
        deployment: The name of a stack on AWS: its outputs say where gateway and Phoenix are, and where their keys.
        gateway: The base URL of a running gateway; its key comes from `QA_EVAL_GATEWAY_KEY`.
        phoenix: The base URL of a running Phoenix; its key comes from `PHOENIX_API_KEY`.
        servers: Addresses and keys, where they are already known; in the place of the four above.
        record: False records nothing in Phoenix.
        prompt: The prompt, or a file with it as a `Path`; it holds `{question}` and, usually, `{context}`.
        temperature: 0 for the most likely answer.
        max_tokens: The longest answer, in tokens.
        repeat: How many times each question is asked of each model.
        target: Who is asked: the `gateway`, the `chatbot` in front of it (its handler, here), or `lex:STACK`, the
            deployed chatbot, whose one model must be the one of `models`.
        concurrency: How many questions are under way at once; None adapts to what the gateway bears.
        max_errors: The share of questions, 0 to 1, that may fail before the run stops.
        max_cost: US dollars, as the gateway counts them, after which no more is asked.
        max_time_s: Seconds after which no more is asked; what is under way is awaited.
        similarity: Which embedder scores it: `minilm`, `gateway` (its `titan-embed`) or `sentence-transformers`.
        facts: Record what explains a score in Phoenix too: answer contained, length, refusal, question type.
        metrics: Own metrics, `(example, prediction) -> float | Score`, plain or async: a list of functions, a mapping
            of names to them, or names that installed packages offer; see `qa_eval.metrics.custom`.
        task: An own function, `(example) -> str`, plain or async, that answers in the gateway's place; the experiment
            has the one name of `models`, or the function's. No gateway is needed then.
        trace_content: Whether the questions' own spans in Phoenix hold question and answer.
        replay: With `local`, a file of predictions, `{id: text}`, that answers in the model's place.
        observer: Who is told how the run goes.
        report: Called with one line for each thing that takes time before the first question.

    Returns:
        `RunResult`: the scores and all answers. A run that a limit ended early says so in `stopped`.

    Raises:
        QaEvalError: A setting is wrong or a server is not there; the message says what to do.
    """
    loaded = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    if task is not None:
        models, target = _task_names(task, models, prompt, target)
    own_metrics = find_metrics(metrics)
    settings = Settings(
        models=tuple(dict.fromkeys(models)),
        prompt="" if task is not None else _prompt(prompt, loaded).template,
        temperature=temperature,
        max_tokens=max_tokens,
        repeat=repeat,
        target=target,
        concurrency=concurrency,
        max_errors=max_errors,
        max_cost=max_cost,
        max_time_s=max_time_s,
        similarity=similarity,
        facts=facts,
        trace_content=trace_content,
        metrics=tuple(own_metrics),
    )
    _check_settings(settings)
    _check_servers(local, deployment, gateway, phoenix, record, replay, task, servers)
    if task is not None and similarity == "gateway" and not (local or deployment or gateway or servers):
        raise InputError("--similarity gateway asks a gateway: give --gateway URL or --local, or another similarity.")
    if servers is not None:
        phoenix, started = servers.phoenix_url, False
        servers = replace(servers, phoenix_url=phoenix if record else None)
    elif local:
        servers, started = _local_servers(_replay_table(loaded, replay), record, report)
    elif deployment:
        servers, started = _deployed_servers(deployment, record), False
    else:
        servers, started = _named_servers(gateway, phoenix, record), False
    asker = _asker(settings, servers, loaded, task)
    place = {
        "local": local,
        "deployment": deployment,
        "replay": str(Path(replay).absolute()) if replay else None,
        "phoenix_url": phoenix,
    }

    async def run() -> RunResult:
        return await execute(
            loaded,
            settings,
            servers,
            runs_folder=_runs(),
            facts={"place": place},
            observer=observer,
            report=report,
            asker=asker,
            metrics=own_metrics,
        )

    return _Prepared(run, report, started)


def _resume(
    run: str,
    *,
    retry_failed: bool = False,
    gateway: str | None = None,
    phoenix: str | None = None,
    concurrency: int | None = None,
    max_errors: float | None = None,
    max_cost: float | None = None,
    max_time_s: float | None = None,
    metrics: Metrics = (),
    task: TaskFunction | None = None,
    observer: Observer | None = None,
    report: Report = lambda line: None,
) -> _Prepared:
    """Go on with a run: ask what was never answered, record what Phoenix lacks. Nothing is asked or paid twice.

    Args:
        run: The run's id, the beginning of it, `latest`, or a journal's path.
        retry_failed: Ask again what ended in an error.
        gateway: The gateway's address, where it has changed.
        phoenix: Phoenix's address, where it has changed.
        concurrency: How many questions are under way at once; None adapts.
        max_errors: The share of questions that may fail from now on; the run's own without it.
        max_cost: US dollars for the whole run, what is spent already included.
        max_time_s: Seconds from now.
        metrics: The run's own metrics again; those that installed packages offer are found without it.
        task: The run's own task again.
        observer: Who is told how the run goes.
        report: Called with one line for each thing that takes time.

    Returns:
        `RunResult`: the whole run, with the answers from before.

    Raises:
        QaEvalError: There is no such run, another process is at work on it, or a server is not there.
    """
    path = find_run(_runs(), run)
    ledger = Ledger.open(path)
    facts, plan = ledger.facts(), ledger.plan()
    ledger.close()
    changes: dict[str, Any] = {"concurrency": concurrency, "max_cost": max_cost, "max_time_s": max_time_s}
    changes |= {} if max_errors is None else {"max_errors": max_errors}
    _check_settings(replace(plan.settings, similarity=facts["similarity"], **changes))
    own_metrics = _metrics_again(plan.settings, find_metrics(metrics))
    place = facts["place"]
    if place["local"] and not gateway:
        servers, started = _local_servers(_replay_table(plan.dataset, place["replay"]), facts["recorded"], report)
    elif place["deployment"] and not gateway:
        servers, started = _deployed_servers(place["deployment"], facts["recorded"]), False
    else:
        phoenix = phoenix or place["phoenix_url"]
        servers, started = _named_servers(gateway or plan.settings.gateway, phoenix, facts["recorded"]), False

    asker = _asker(plan.settings, servers, plan.dataset, task)

    async def run_on() -> RunResult:
        return await go_on(
            path,
            servers,
            retry_failed=retry_failed,
            changes=changes,
            observer=observer,
            report=report,
            asker=asker,
            metrics=own_metrics,
        )

    return _Prepared(run_on, report, started)


def list_runs() -> list[RunSummary]:
    """The runs whose journals are on this machine, newest first."""
    return list(_list_runs(_runs()))


def open_run(run: str = "latest") -> RunResult:
    """A run as a result, with every answer; it may still be under way.

    Args:
        run: The run's id, the beginning of it, `latest`, or a journal's path.

    Raises:
        InputError: There is no such run, or its journal cannot be read.
    """
    return _open_run(_runs(), run)


def estimate_experiment(
    dataset: Dataset | str | Path = SAMPLE,
    *,
    models: Sequence[str] = DEFAULT_MODELS,
    prompt: str | Path | None = None,
    max_tokens: int = 32,
    repeat: int = 1,
) -> CostEstimate:
    """What `run_experiment` would take, by LiteLLM's price map; nothing is sent.

    Args:
        dataset: As for `run_experiment`.
        models: Model groups of the blueprint, or rows of LiteLLM's price map.
        prompt: As for `run_experiment`.
        max_tokens: The longest answer, in tokens.
        repeat: How many times each question would be asked of each model.

    Raises:
        QaEvalError: The dataset or the prompt cannot be read.
    """
    from qa_eval.blueprint.gateway import read_config

    loaded = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
    settings = Settings(tuple(dict.fromkeys(models)), _prompt(prompt, loaded).template, 0.0, max_tokens, repeat)
    _check_settings(settings)
    return estimate(loaded, settings, read_config().price_rows())


def _runs() -> Path:
    return data_dir() / "runs"


def _plain(prepare: Callable[_P, _Prepared]) -> Callable[_P, RunResult]:
    """The function that waits; it works inside a running event loop too (Jupyter)."""

    def run(*args: _P.args, **kwargs: _P.kwargs) -> RunResult:
        prepared = prepare(*args, **kwargs)
        try:
            return wait_for(prepared.execute)
        except KeyboardInterrupt:
            prepared.abandon()
            raise

    return _dressed(run, prepare, RunResult, prepare.__name__.removeprefix("_"))


def _twin(prepare: Callable[_P, _Prepared]) -> Callable[_P, Coroutine[Any, Any, RunResult]]:
    """The function to await."""

    async def run(*args: _P.args, **kwargs: _P.kwargs) -> RunResult:
        prepared = await asyncio.to_thread(prepare, *args, **kwargs)
        try:
            return await prepared.execute()
        except asyncio.CancelledError:
            prepared.abandon()
            raise

    return _dressed(run, prepare, Coroutine[Any, Any, RunResult], f"async{prepare.__name__}")


def _dressed(function: _F, model: Callable[..., Any], returns: Any, name: str) -> _F:
    """Give a function the arguments and documentation of another, and a name of its own."""
    function.__doc__, function.__module__ = model.__doc__, model.__module__
    function.__name__ = function.__qualname__ = name
    vars(function)["__signature__"] = signature(model).replace(return_annotation=returns)
    return function


run_experiment = _plain(_run_experiment)
async_run_experiment = _twin(_run_experiment)
resume = _plain(_resume)
async_resume = _twin(_resume)


def wait_for(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine to its end, in a thread of its own where this one already runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(lambda: asyncio.run(work())).result()
    return asyncio.run(work())


def _prompt(prompt: str | Path | None, dataset: Dataset) -> Prompt:
    if isinstance(prompt, Path):
        return read_prompt(prompt)
    return default_prompt(dataset.version) if prompt is None else Prompt(prompt)


def _check_settings(settings: Settings) -> None:
    """Refuse what cannot work, in one sentence, before anything starts."""
    who = "task" if settings.asks_task else "chatbot"
    _refuse(
        {
            "Give at least one model with --model.": not settings.models,
            f"--temperature {settings.temperature:g} is out of range: give 0 to 2.": not 0 <= settings.temperature <= 2,
            f"--max-tokens {settings.max_tokens} leaves no room for an answer: give at least 1.": settings.max_tokens
            < 1,
            f"--repeat {settings.repeat} asks nothing: give at least 1.": settings.repeat < 1,
            f"--target {settings.target} is unknown: give gateway, chatbot or lex:STACK.": not re.fullmatch(
                "gateway|chatbot|lex:.+|task:.+", settings.target
            ),
            f"--concurrency {settings.concurrency} asks nothing: give at least 1, or `auto`.": settings.concurrency
            is not None
            and settings.concurrency < 1,
            f"--max-errors {settings.max_errors:g} is no share: give 0 to 1.": not 0 <= settings.max_errors <= 1,
            "--max-cost leaves nothing to spend: give US dollars above 0.": settings.max_cost is not None
            and not settings.max_cost > 0,
            f"--temperature {settings.temperature:g} does not reach the {who}: leave it out.": (
                settings.temperature != 0 and settings.target != "gateway"
            ),
            f"--max-cost cannot be kept with the {who} as the target: it does not tell what its answers cost.": (
                settings.max_cost is not None and settings.target != "gateway"
            ),
            "--max-time leaves no time: give seconds above 0.": settings.max_time_s is not None
            and not settings.max_time_s > 0,
            f"--similarity {settings.similarity} is unknown: give {', '.join(EMBEDDERS)}.": settings.similarity
            not in EMBEDDERS,
            "The prompt does not hold {question}: say where the question goes.": "{question}" not in settings.prompt
            and not settings.asks_task,
        }
    )


def _task_names(
    task: TaskFunction, models: Sequence[str], prompt: str | Path | None, target: str
) -> tuple[tuple[str, ...], str]:
    """The experiment's name, as the run's one model, and the target of a run that asks an own task."""
    _refuse(
        {
            "A task takes the place of the target: leave out target, or leave out task.": target != "gateway",
            "A task gets the example itself and makes its own prompt: leave out prompt.": prompt is not None,
            "A task is one experiment: give one name as its model, or none.": len(models) != 1,
        }
    )
    return (name_of(task),) if models is DEFAULT_MODELS else tuple(models), f"task:{name_of(task)}"


def _metrics_again(settings: Settings, given: dict[str, Metric]) -> dict[str, Metric]:
    """A run's own metrics, for the rest of it: those given again, and those that installed packages offer."""
    for name in given:
        if name not in settings.metrics:
            raise InputError(f"The run was begun without the metric {name!r}: leave it out, or make a new run.")
    try:
        return {name: given.get(name) or installed(name) for name in settings.metrics}
    except InputError as error:
        needed = ", ".join(settings.metrics)
        again = "give them again, qa_eval.resume(RUN, metrics=...) from Python"
        raise InputError(f"The run has own metrics ({needed}): {again}. {error}") from None


def _asker(
    settings: Settings, servers: Servers, dataset: Dataset, task: TaskFunction | None
) -> Callable[[GatewayClient], Asker]:
    """Who is asked in the gateway's place."""
    if settings.asks_task:
        if task is None:
            name = settings.target.removeprefix("task:")
            raise InputError(
                f"An own task ({name}) answers this run: give the function, qa_eval.resume(RUN, task=...) from Python."
            )
        own_task = OwnTask(task, dataset, settings.timeout_s)
        return lambda client: own_task
    if settings.target == "gateway":
        return lambda client: client
    from qa_eval.targets.chatbot import in_front_of_gateway, in_lex

    if settings.target == "chatbot":
        return lambda client: in_front_of_gateway(client.url, servers.gateway_key, settings.timeout_s)
    target = in_lex(settings.target.removeprefix("lex:"), settings.models)
    return lambda client: target


def _check_servers(
    local: bool,
    deployment: str | None,
    gateway: str | None,
    phoenix: str | None,
    record: bool,
    replay: str | Path | None,
    task: TaskFunction | None,
    servers: Servers | None,
) -> None:
    found = local or bool(deployment) or servers is not None
    _refuse(
        {
            "--local starts its own gateway and Phoenix: leave out --gateway and --phoenix, or leave out "
            "--local.": local and bool(gateway or phoenix),
            "--stack knows its gateway and Phoenix: leave out --local, --gateway and --phoenix, or leave out "
            "--stack.": bool(deployment) and bool(local or gateway or phoenix),
            "There is no gateway to ask: give --local to start one here, --stack NAME for one on AWS, or --gateway "
            "URL for one that runs.": not found and not gateway and task is None,
            "There is no Phoenix to record in: give --phoenix URL, or --no-phoenix to record nothing.": not found
            and record
            and not phoenix,
            "`servers` names gateway and Phoenix: leave out `local`, `stack`, `gateway` and `phoenix`.": servers
            is not None
            and bool(local or deployment or gateway or phoenix),
            "--replay answers in the local model's place: give --local with it.": replay is not None and not local,
        }
    )


def _refuse(wrong: dict[str, bool]) -> None:
    for sentence, holds in wrong.items():
        if holds:
            raise InputError(sentence)


def _named_servers(gateway: str | None, phoenix: str | None, record: bool) -> Servers:
    return Servers(
        gateway_url=gateway or "",
        gateway_key=os.environ.get("QA_EVAL_GATEWAY_KEY"),
        phoenix_url=phoenix if record else None,
        phoenix_key=os.environ.get("PHOENIX_API_KEY"),
    )


def _deployed_servers(deployment: str, record: bool) -> Servers:
    from qa_eval.aws.deployed import find

    found = find(deployment)
    return Servers(
        gateway_url=found.gateway_url,
        gateway_key=found.gateway_key,
        phoenix_url=found.phoenix_url if record else None,
        phoenix_key=found.phoenix_key,
    )


def _local_servers(replay: Path | None, record: bool, report: Report) -> tuple[Servers, bool]:
    from qa_eval import stack

    running = stack.up(replay=replay, on_progress=report)
    servers = Servers(
        gateway_url=running.gateway_url,
        gateway_key=running.gateway_key,
        phoenix_url=running.phoenix_url if record else None,
        phoenix_key=running.phoenix_key,
    )
    return servers, running.started_here


def _replay_table(dataset: Dataset, replay: str | Path | None) -> Path | None:
    """Predictions by id as the local endpoint reads them: by context and question."""
    if replay is None:
        return None
    from qa_eval.stack.bedrock.replay import ReplayEntry, write_replay

    predictions = read_predictions(replay)
    table = data_dir() / "stack" / "replay.jsonl"
    table.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_replay(table, [ReplayEntry(e.context, e.question, predictions.get(e.id, "")) for e in dataset])
    return table
