"""What of a run is done by workers on Ray, and what they need for it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from qa_eval.embedding.choose import find_embedder
from qa_eval.errors import InputError
from qa_eval.experiment.functions import Functions
from qa_eval.experiment.metadata import Servers
from qa_eval.experiment.plan import Plan
from qa_eval.metrics.registry import SIMILARITY
from qa_eval.phoenix.client import Phoenix
from qa_eval.targets.build import is_traced

if TYPE_CHECKING:
    from qa_eval.distributed.workers import Workers


async def open_workers(
    resources: AsyncExitStack, plan: Plan, servers: Servers, functions: Functions, models: Sequence[str], *, asks: bool
) -> Workers | None:
    """The workers of a run; None for one that does its work itself.

    Args:
        resources: Closes them.
        plan: The run's.
        servers: Where the gateway is.
        functions: The user's own.
        models: The gateway's model groups that the run asks.
        asks: Whether questions are asked.

    Raises:
        QaEvalError: Ray is not installed, or the cluster cannot be used.
    """
    spec = plan.spec
    if spec.ray is None:
        return None
    try:
        from qa_eval.distributed import workers
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise InputError("`ray` needs the extra of its name: pip install 'qa-eval[ray]'.") from None
    from qa_eval.distributed.worker import Setup, Spans

    spans = None
    if servers.phoenix_url is not None and leaves_spans(plan, functions):
        phoenix = Phoenix(servers.phoenix_url, servers.phoenix_key)
        spans = Spans(phoenix.url, phoenix.headers, spec.recording.trace_content)
    setups: dict[str, Setup] = {}
    judges = any(metric.source == "judge" for metric in plan.metadata.definitions.values())
    if asks or judges:
        setups[workers.TASKS] = Setup(
            version=plan.dataset.version,
            systems=plan.metadata.systems if asks else (),
            tasks=functions.tasks if asks else {},
            timeout_s=spec.limits.timeout,
            stream=spec.stream,
            gateway_url=servers.gateway_url if models or judges else "",
            gateway_key=servers.gateway_key,
            gateway_headers=servers.gateway_headers,
            models=models,
            spans=spans,
        )
    if computed := computed_by_workers(plan, functions):
        setups[workers.METRICS] = Setup(metrics={name: functions.metrics[name] for name in computed}, spans=spans)
    if SIMILARITY in plan.metadata.definitions:
        load = partial(find_embedder, spec.similarity, servers.gateway_url, servers.gateway_key)
        setups[workers.EMBED] = Setup(embedder=load)
    return await resources.enter_async_context(workers.open_workers(spec.ray, plan.metadata.folder, setups))


def leaves_spans(plan: Plan, functions: Functions) -> bool:
    """Whether something runs on this side of the gateway that can leave spans, and they are wanted."""
    calls = bool(functions.metrics) or any(map(is_traced, plan.metadata.systems))
    return calls and plan.spec.recording.trace != "none"


def computed_by_workers(plan: Plan, functions: Functions) -> list[str]:
    """The own metrics without a judge: a judge's calls are journalled where they are paid."""
    return [name for name in functions.metrics if plan.metadata.definitions[name].source == "code"]
