"""The gateway's configuration, typed: `config.yaml` is checked against this, never generated from it.

Unknown keys are errors, because LiteLLM ignores what it does not know: a misspelled guardrail would be no guardrail.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from qa_eval.errors import InputError

PREFIX = "bedrock/"


def _bedrock(model: str) -> str:
    if not model.startswith(PREFIX) or model == PREFIX:
        raise ValueError(f"{model!r} is not a Bedrock model: only `{PREFIX}…` is allowed")
    return model


def _reference(value: str) -> str:
    if not value.startswith("os.environ/"):
        raise ValueError("is written out: name an environment variable instead, as os.environ/NAME")
    return value


EnvironmentReference = Annotated[str, AfterValidator(_reference)]
"""A value that LiteLLM reads from its environment: `os.environ/NAME`."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelParams(_Strict):
    """How a deployment is called."""

    model: Annotated[str, AfterValidator(_bedrock)]
    aws_region_name: str


class ModelInfo(_Strict):
    """What LiteLLM knows of a deployment."""

    base_model: str = Field(min_length=1)
    """The row of LiteLLM's price map; cost-based routing knows no price without it."""
    mode: Literal["chat", "embedding"] = "chat"


class Deployment(_Strict):
    """One deployment of a model group."""

    model_name: str = Field(min_length=1)
    litellm_params: ModelParams
    model_info: ModelInfo


class CacheArguments(_Strict):
    """How long the gateway waits for Valkey, in seconds."""

    socket_timeout: float = Field(gt=0)
    socket_connect_timeout: float = Field(gt=0)


class RouterSettings(_Strict):
    """How the router chooses and retries."""

    routing_strategy: Literal["cost-based-routing", "latency-based-routing", "simple-shuffle"]
    num_retries: int = Field(ge=0)
    timeout: float = Field(gt=0)
    """Seconds of one try."""
    model_group_alias: dict[str, str] = {}
    redis_host: EnvironmentReference | None = None
    redis_port: EnvironmentReference | None = None
    redis_password: EnvironmentReference | None = None
    """Where the gateway's tasks share cooldowns and counts; where the variables are not set, each keeps its own."""
    cache_kwargs: CacheArguments | None = None


class GuardrailParams(_Strict):
    """One guardrail; LiteLLM starts without it where `guardrail` is misspelled."""

    guardrail: Literal["bedrock"]
    mode: Literal["pre_call", "post_call", "during_call"]
    guardrailIdentifier: EnvironmentReference
    guardrailVersion: EnvironmentReference
    aws_region_name: str
    mask_request_content: bool = False
    mask_response_content: bool = False
    default_on: Literal[True]
    """A guardrail that a caller has to ask for protects nobody."""


class Guardrail(_Strict):
    """A named guardrail."""

    guardrail_name: str
    litellm_params: GuardrailParams


class LiteLLMSettings(_Strict):
    """Settings of the LiteLLM library."""

    callbacks: list[str]
    telemetry: Literal[False]


class GeneralSettings(_Strict):
    """Settings of the proxy server."""

    master_key: EnvironmentReference


class LiteLLMConfig(_Strict):
    """The whole of `config.yaml`."""

    model_list: list[Deployment] = Field(min_length=1)
    router_settings: RouterSettings
    guardrails: list[Guardrail] = Field(min_length=1)
    litellm_settings: LiteLLMSettings
    general_settings: GeneralSettings

    def environment(self) -> tuple[str, ...]:
        """The environment variables that the gateway must be given, sorted."""
        values = _strings(self.model_dump())
        return tuple(sorted({value.removeprefix("os.environ/") for value in values if value.startswith("os.environ/")}))

    def price_rows(self) -> dict[str, tuple[str, ...]]:
        """The rows of LiteLLM's price map that each model group, or alias of one, may answer with."""
        groups: dict[str, tuple[str, ...]] = {}
        for deployment in self.model_list:
            rows = groups.get(deployment.model_name, ())
            groups[deployment.model_name] = (*rows, deployment.model_info.base_model)
        return groups | {alias: groups[group] for alias, group in self.router_settings.model_group_alias.items()}


def config_path() -> Path:
    """Where the blueprint's `config.yaml` is; LiteLLM and CDK read this very file."""
    return Path(str(resources.files("qa_eval.blueprint"))) / "config.yaml"


def read_config(path: Path | None = None) -> LiteLLMConfig:
    """Read and check a configuration, the blueprint's own where none is named.

    Raises:
        InputError: The file cannot be read or something in it is wrong; the entry is named.
    """
    path = path or config_path()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return LiteLLMConfig.model_validate(content)
    except OSError as error:
        raise InputError(f"The configuration {path} cannot be read ({error.strerror}): check the path.") from None
    except yaml.YAMLError as error:
        raise InputError(f"The configuration {path} is not YAML ({str(error).splitlines()[0]}): mend it.") from None
    except ValidationError as error:
        raise InputError(f"The configuration {path} is wrong at {_explain(error, content)}.") from None


def _explain(error: ValidationError, content: Any) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    name = _entry_name(first["loc"], content)
    return f"{where}{f' ({name})' if name else ''}: {first['msg'].removeprefix('Value error, ')}"


def _entry_name(location: tuple[int | str, ...], content: Any) -> str | None:
    """The name of the list entry that an error is in, so that nobody has to count."""
    match location:
        case (str(section), int(place), *_):
            entry = content[section][place]
            return entry.get("model_name") or entry.get("guardrail_name") if isinstance(entry, dict) else None
        case _:
            return None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, str):
        yield value
