"""From a file, flags or Python keywords to a checked specification.

Every error names its place: a file's key by its path (`qa-eval.yaml: limits.cost_usd`), a flag or keyword by its name.
Relative paths in a file are relative to that file; those that flags and keywords give, to the working directory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qa_eval.errors import InputError
from qa_eval.spec.explain import explain
from qa_eval.spec.files import read_data
from qa_eval.spec.metrics import DEFAULT_METRICS, JUDGE, MetricSpec
from qa_eval.spec.model import ExperimentSpec, PromptSpec, dataset_address
from qa_eval.spec.prompts import read_prompt
from qa_eval.spec.ray import RaySpec
from qa_eval.spec.rubrics import read_rubric
from qa_eval.spec.settings import BY_KEYWORD
from qa_eval.spec.systems import resolve_systems

BUNDLED = ("sample", "qa-eval-sample", "sample-free", "qa-eval-free-sample", "squad", "squad_v2")
_REPEATED = ("models", "prompts", "fail_on", "require", "metrics", "primary")
_OF_SYSTEMS = ("models", "prompts", "via")


@dataclass(frozen=True)
class LoadedSpec:
    """A specification, and the folder in which its own functions are found."""

    spec: ExperimentSpec
    folder: Path


def load_spec(path: str | Path, given: Mapping[str, Any] | None = None) -> LoadedSpec:
    """A specification from a file.

    Args:
        path: A YAML, JSON or TOML file.
        given: Settings by Python keyword, which override the file.

    Raises:
        InputError: The file cannot be read, a key is unknown, or a value is wrong.
    """
    path = Path(path)
    data = _with_absolute_paths(read_data(path), path.parent)
    _validate(data, {}, str(path))
    spec = _build(data, given or {}, str(path))
    try:
        resolve_systems(spec)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return LoadedSpec(spec, path.parent.absolute())


def build_spec(given: Mapping[str, Any]) -> LoadedSpec:
    """A specification from settings by Python keyword, as flags and Python give them.

    Raises:
        InputError: A setting is unknown or wrong.
    """
    return LoadedSpec(_build({}, given, ""), Path.cwd())


def override(loaded: LoadedSpec, given: Mapping[str, Any]) -> LoadedSpec:
    """A specification with some settings replaced.

    Raises:
        InputError: A setting is unknown or wrong.
    """
    return replace(loaded, spec=_build(loaded.spec.to_data(), given, "")) if _present(given) else loaded


def _build(data: dict[str, Any], given: Mapping[str, Any], origin: str) -> ExperimentSpec:
    """Validate some data with the given settings in it, and read its prompts."""
    settings = _present(given)
    unknown = next((name for name in settings if name not in BY_KEYWORD), None)
    if unknown is not None:
        raise InputError(explain_unknown(unknown))
    data = deepcopy(data)
    if any(name in settings for name in _OF_SYSTEMS):
        data.pop("systems", None)
    for keyword, value in settings.items():
        _set(data, keyword, value)
    spec = _validate(data, {BY_KEYWORD[name].path: name for name in settings}, origin)
    spec = _with_prompts(spec, "" if "prompts" in settings else origin)
    return _with_rubrics(spec, "" if "metrics" in settings else origin)


def explain_unknown(keyword: str) -> str:
    """The sentence for a keyword that is none."""
    from difflib import get_close_matches

    near = get_close_matches(keyword, BY_KEYWORD, 1)
    return f"There is no setting {keyword!r}: " + (f"use `{near[0]}`." if near else f"use {', '.join(BY_KEYWORD)}.")


def _present(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given: None and nothing repeated are as if left out."""
    return {
        name: value
        for name, value in given.items()
        if value is not None and not (name in _REPEATED and not isinstance(value, str) and len(value) == 0)
    }


def _validate(data: Mapping[str, Any], keywords: Mapping[str, str], origin: str) -> ExperimentSpec:
    try:
        return ExperimentSpec.model_validate(data)
    except ValidationError as error:
        raise InputError(explain(error, keywords, origin)) from None


def _set(data: dict[str, Any], keyword: str, value: Any) -> None:
    """Put one setting into the data, at its place."""
    if keyword == "dataset":
        source = dataset_address(str(value))
        kept = {key: v for key, v in _part(data, "dataset").items() if key not in ("path", "hub", "phoenix")}
        data["dataset"] = kept | ({"path": _absolute(source["path"], Path.cwd())} if "path" in source else source)
    elif keyword == "metrics":
        added = [_metric_in(metric, Path.cwd()) for metric in _several(value)]
        data["metrics"] = [*data.get("metrics", DEFAULT_METRICS), *added]
    elif keyword == "parameters":
        data["parameters"] = {**_part(data, "parameters"), **_parameters(value)}
    elif keyword == "prompts":
        data["prompts"] = [_prompt_here(prompt) for prompt in _several(value)]
    elif keyword == "ray" and not isinstance(value, str):
        data["ray"] = value.to_data() if isinstance(value, RaySpec) else dict(value)
    elif keyword == "record" and isinstance(value, str):
        _part(data, "recording")["examples"] = value
    elif keyword == "replay":
        _part(data, "servers")["replay"] = str(Path(value).absolute())
    else:
        *parents, key = BY_KEYWORD[keyword].path.split(".")
        target = data
        for parent in parents:
            target = _part(target, parent)
        target[key] = list(_several(value)) if keyword in _REPEATED else value


def _part(data: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of the data as a mapping of its own; an address alone becomes one."""
    part = data.get(name) or {}
    if isinstance(part, str):
        part = dataset_address(part) if name == "dataset" else {"address": part}
    data[name] = dict(part)
    return data[name]  # type: ignore[no-any-return]


def _several(value: Any) -> Sequence[Any]:
    return [value] if isinstance(value, str | Path | Mapping | PromptSpec) else list(value)


def _parameters(value: Any) -> dict[str, Any]:
    """A mapping, or texts NAME=VALUE whose value is JSON where it can be."""
    if isinstance(value, Mapping):
        return dict(value)
    parameters: dict[str, Any] = {}
    for text in _several(value):
        name, equals, content = str(text).partition("=")
        if not equals or not name.strip():
            raise InputError(f"`parameters` must be NAME=VALUE, not `{text}`.")
        try:
            parameters[name.strip()] = json.loads(content)
        except ValueError:
            parameters[name.strip()] = content
    return parameters


# --- paths and prompts ------------------------------------------------------------------------------------------------


def _absolute(path: str, folder: Path) -> str:
    if path in BUNDLED and not (folder / path).exists():
        return path
    return str((folder / path).absolute())


def _with_absolute_paths(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A file's data with its paths made absolute, where they have the right form; the rest is left to validation."""
    data = dict(data)
    dataset = data.get("dataset")
    if isinstance(dataset, str):
        dataset = dataset_address(dataset)
        data["dataset"] = dataset
    if isinstance(dataset, dict) and isinstance(dataset.get("path"), str):
        data["dataset"] = dataset | {"path": _absolute(dataset["path"], folder)}
    servers = data.get("servers")
    if isinstance(servers, dict) and isinstance(servers.get("replay"), str):
        data["servers"] = servers | {"replay": str((folder / servers["replay"]).absolute())}
    if isinstance(data.get("ray"), dict):
        data["ray"] = _ray_in(data["ray"], folder)
    if isinstance(data.get("prompts"), list):
        data["prompts"] = [_prompt_in(prompt, folder) for prompt in data["prompts"]]
    elif isinstance(data.get("prompts"), str):
        data["prompts"] = [_prompt_in(data["prompts"], folder)]
    if isinstance(data.get("metrics"), list):
        data["metrics"] = [_metric_in(metric, folder) for metric in data["metrics"]]
    if isinstance(data.get("systems"), list):
        data["systems"] = [
            system | {"prompt": _prompt_in(system["prompt"], folder)}
            if isinstance(system, dict) and "prompt" in system
            else system
            for system in data["systems"]
        ]
    return data


def _prompt_in(prompt: Any, folder: Path) -> Any:
    """A prompt whose file's path is absolute."""
    is_file = isinstance(prompt, str) and "{" not in prompt and "\n" not in prompt and not prompt.startswith("phoenix:")
    return {"source": str((folder / prompt).absolute())} if is_file else prompt


def _prompt_here(prompt: Any) -> Any:
    if isinstance(prompt, PromptSpec):
        return prompt.model_dump(mode="json", exclude_defaults=True)
    return _prompt_in(str(prompt) if isinstance(prompt, Path) else prompt, Path.cwd())


def _ray_in(ray: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The part on Ray, its working directory absolute where it is a folder and no address."""
    environment = ray.get("runtime_env")
    given = environment.get("working_dir") if isinstance(environment, dict) else None
    if not isinstance(environment, dict) or not isinstance(given, str) or "://" in given:
        return ray
    return ray | {"runtime_env": environment | {"working_dir": str((folder / given).absolute())}}


def _metric_in(metric: Any, folder: Path) -> Any:
    """A metric whose rubric's file has an absolute path; built-in rubrics have names without a dot."""
    if isinstance(metric, str) and metric.startswith(JUDGE):
        metric = {"judge": metric.removeprefix(JUDGE)}
    if isinstance(metric, Mapping) and "." in str(metric.get("judge", "")):
        return {**metric, "judge": str((folder / metric["judge"]).absolute())}
    return metric


def _with_rubrics(spec: ExperimentSpec, origin: str) -> ExperimentSpec:
    """The specification with every rubric that is a file."""

    def read(place: int, metric: MetricSpec) -> MetricSpec:
        if metric.judge is None or metric.rubric is not None or "." not in metric.judge:
            return metric
        try:
            return metric.model_copy(update={"rubric": read_rubric(Path(metric.judge))})
        except InputError as error:
            raise InputError(f"{origin}: `metrics[{place}]`: {error}" if origin else str(error)) from None

    return spec.model_copy(update={"metrics": tuple(read(*each) for each in enumerate(spec.metrics))})


def _with_prompts(spec: ExperimentSpec, origin: str) -> ExperimentSpec:
    """The specification with the messages of every prompt that is a file."""
    prompts = tuple(_read(prompt, origin, f"prompts[{place}]") for place, prompt in enumerate(spec.prompts))
    systems = tuple(
        system
        if system.prompt is None
        else system.model_copy(update={"prompt": _read(system.prompt, origin, f"systems[{place}].prompt")})
        for place, system in enumerate(spec.systems)
    )
    return spec.model_copy(update={"prompts": prompts, "systems": systems})


def _read(prompt: PromptSpec, origin: str, key: str) -> PromptSpec:
    if prompt.messages or prompt.source is None or prompt.source.startswith("phoenix:"):
        return prompt
    try:
        return read_prompt(Path(prompt.source))
    except InputError as error:
        raise InputError(f"{origin}: `{key}`: {error}" if origin else str(error)) from None
