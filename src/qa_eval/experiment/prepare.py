"""From a specification to a plan: systems and prompts resolved, and checked before anything starts."""

from __future__ import annotations

import subprocess
from pathlib import Path

from qa_eval.data.examples import Dataset
from qa_eval.errors import InputError
from qa_eval.experiment.metadata import DatasetMetadata, RunMetadata, Servers, new_run_id
from qa_eval.experiment.observer import OnProgress
from qa_eval.experiment.plan import Plan
from qa_eval.experiment.stop_design import plan_stop
from qa_eval.metrics.registry import applies, definition_of
from qa_eval.spec.metrics import MetricSpec
from qa_eval.spec.model import ExperimentSpec, PromptSpec, SystemSpec
from qa_eval.spec.systems import resolve_systems
from qa_eval.targets.build import asks_gateway, can_stream, check_system, says_cost
from qa_eval.targets.prompt import check_fields, default_prompt


def make_plan(
    spec: ExperimentSpec, dataset: Dataset, servers: Servers, *, folder: Path, on_progress: OnProgress
) -> Plan:
    """The plan of a new run.

    Args:
        spec: What the user gave.
        dataset: Its examples.
        servers: Where Phoenix is, for prompts from its registry.
        folder: Where the specification's own functions are found.
        on_progress: Called with a line for what the dataset does not allow.

    Raises:
        QaEvalError: A system, prompt or limit cannot work.
    """
    resolved = resolve_systems(spec)
    systems = tuple(_with_prompt(system, dataset, servers) for system in resolved.systems)
    for system in systems:
        check_system(system)
    check_streaming(resolved, on_progress)
    resolved = usable_metrics(resolved.model_copy(update={"systems": systems}), dataset, on_progress)
    check_limits(resolved)
    metadata = RunMetadata(
        run_id=new_run_id(),
        spec=resolved,
        dataset=_dataset_metadata(dataset),
        folder=str(folder.absolute()),
        commit=_commit(),
    )
    design = plan_stop(metadata, dataset)
    return Plan(metadata.model_copy(update={"stop": design}), dataset)


def check_limits(spec: ExperimentSpec) -> None:
    """Refuse a cost limit that cannot be kept.

    Raises:
        InputError: A system does not say what its answers cost.
    """
    if spec.limits.cost_usd is None:
        return
    priceless = [system.name for system in spec.systems if not says_cost(system)]
    if priceless:
        raise InputError(f"`max_cost` cannot be kept: {priceless[0]} does not say what its answers cost.")


def check_streaming(spec: ExperimentSpec, on_progress: OnProgress) -> None:
    """Refuse to stream where no system can, and say what the cost misses in streams.

    Raises:
        InputError: No system can stream.
    """
    if not spec.stream:
        return
    if not any(map(can_stream, spec.systems)):
        raise InputError("`stream` has no effect: tasks and chatbots answer whole. Leave it out.")
    if any(can_stream(system) and asks_gateway(system) for system in spec.systems):
        on_progress("Streamed answers: LiteLLM's gateway reports the cost of their tokens, without its guardrail's.")


def check_servers(spec: ExperimentSpec) -> None:
    """Make sure that the specification says where gateway and Phoenix are.

    Raises:
        InputError: It does not.
    """
    servers = spec.servers
    if servers.local or servers.stack:
        return
    if not servers.gateway and any(asks_gateway(system) for system in resolve_systems(spec).systems):
        raise InputError(
            "No gateway given. Use `local` to start one here, `stack` for one on AWS, or `gateway` for a running one."
        )
    judge = next((metric.name for metric in spec.metrics if definition_of(metric).source == "judge"), None)
    if not servers.gateway and judge is not None:
        raise InputError(f"The judge {judge} needs a gateway: use `gateway` or `local`.")
    if not servers.gateway and spec.similarity == "gateway":
        raise InputError("`similarity` gateway needs a gateway: use `gateway` or `local`, or another `similarity`.")
    if spec.recording.phoenix and not servers.phoenix:
        raise InputError("No Phoenix given. Use `phoenix` for a running one, or `record=False` to record nothing.")


def check_prompts(spec: ExperimentSpec, dataset: Dataset) -> None:
    """Check the prompts that are here against the dataset; one in Phoenix is checked when it has been fetched.

    Raises:
        InputError: One uses what no example has.
    """
    for system in resolve_systems(spec).systems:
        if system.prompt is not None and system.prompt.messages:
            check_fields(system.prompt, dataset.fields)


def _with_prompt(system: SystemSpec, dataset: Dataset, servers: Servers) -> SystemSpec:
    """The system with its prompt spelled out and checked against the dataset."""
    if system.task is not None:
        return system
    prompt = system.prompt or default_prompt(dataset.version, "context" in dataset.fields)
    if not prompt.messages:
        prompt = _fetched(prompt, servers)
    check_fields(prompt, dataset.fields)
    return system.model_copy(update={"prompt": prompt})


def _fetched(prompt: PromptSpec, servers: Servers) -> PromptSpec:
    from qa_eval.phoenix.prompts import fetch_prompt

    source = str(prompt.source)
    if servers.phoenix_url is None:
        raise InputError(f"The prompt {source} is in Phoenix: say in which one with `phoenix`.")
    return fetch_prompt(servers.phoenix_url, servers.phoenix_key, source.removeprefix("phoenix:"))


def usable_metrics(spec: ExperimentSpec, dataset: Dataset, on_progress: OnProgress) -> ExperimentSpec:
    """Metrics that no example has what they need for are left out: those with references, those with a context."""

    def usable(metric: MetricSpec) -> bool:
        return any(applies(definition_of(metric), example, dataset.version) for example in dataset)

    left_out = [metric.name for metric in spec.metrics if not usable(metric)]
    if not left_out:
        return spec
    missing = "a context" if dataset.labelled else "a reference"
    on_progress(f"No example has {missing}: {', '.join(left_out)} are left out.")
    kept = tuple(metric for metric in spec.metrics if metric.name not in left_out)
    primary = tuple(name for name in spec.primary if name not in left_out)
    return spec.model_copy(update={"metrics": kept, "primary": primary})


def _commit() -> str | None:
    """The Git commit of the working directory; None where there is none, or no Git."""
    command = ("git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _dataset_metadata(dataset: Dataset) -> DatasetMetadata:
    origin = dataset.origin
    return DatasetMetadata(
        name=dataset.name,
        version=dataset.version,
        description=dataset.description,
        fingerprint=dataset.fingerprint,
        named=dataset.named,
        phoenix_id=None if origin is None else origin.dataset_id,
        phoenix_version=None if origin is None else origin.version_id,
        node_ids={} if origin is None else origin.node_ids,
    )
