"""What is compared: the systems of a specification, each with its name, its way and its parameters."""

from __future__ import annotations

from collections.abc import Sequence

from qa_eval.errors import InputError
from qa_eval.spec.base import Parameters
from qa_eval.spec.model import DEFAULT_MODEL, DEFAULT_PARAMETERS, ExperimentSpec, PromptSpec, SystemSpec


def resolve_systems(spec: ExperimentSpec) -> ExperimentSpec:
    """The same experiment with its systems spelled out: no matrix, no shared parameters, every system named.

    Raises:
        InputError: Two systems have one name, or the gate's baseline is none of them.
    """
    systems = spec.systems or _matrix(spec.models or (DEFAULT_MODEL,), spec.prompts)
    resolved = tuple(_resolved(spec, system) for system in systems)
    _check_names([str(system.name) for system in resolved], spec.gate.baseline)
    return spec.model_copy(
        update={"systems": resolved, "models": (), "prompts": (), "parameters": Parameters(), "via": "gateway"}
    )


def _matrix(models: Sequence[str], prompts: Sequence[PromptSpec]) -> list[SystemSpec]:
    """Each model with each prompt; several prompts are part of the names."""
    models = list(dict.fromkeys(models))
    if len(prompts) <= 1:
        return [SystemSpec(model=model, prompt=next(iter(prompts), None)) for model in models]
    labels = _labels(prompts)
    return [
        SystemSpec(name=f"{model}-{label}", model=model, prompt=prompt)
        for model in models
        for label, prompt in zip(labels, prompts, strict=True)
    ]


def _labels(prompts: Sequence[PromptSpec]) -> list[str]:
    labels = [prompt.label for prompt in prompts]
    return [f"{label}-{place}" if labels.count(label) > 1 else label for place, label in enumerate(labels, 1)]


def _resolved(spec: ExperimentSpec, system: SystemSpec) -> SystemSpec:
    if system.task is not None:
        return system.model_copy(update={"name": system.name or system.task.rpartition(":")[2]})
    parameters = {**DEFAULT_PARAMETERS, **spec.parameters.to_data(), **system.parameters.to_data()}
    return system.model_copy(
        update={
            "name": system.name or system.model,
            "via": system.via or spec.via,
            "parameters": Parameters.model_validate(parameters),
        }
    )


def _check_names(names: Sequence[str], baseline: str | None) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"Two systems are called {twice!r}: give each a name of its own.")
    if baseline is not None and baseline not in names:
        raise InputError(f"The gate's baseline {baseline!r} is not a system: name one of {', '.join(names)}.")
