"""The gateway's configuration, typed: `config.yaml` is validated with it, never generated from it.

Unknown keys are errors, because LiteLLM ignores them: a misspelled guardrail would be no guardrail.
"""

from __future__ import annotations

import ast
import re
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
        raise ValueError("is a literal value: use an environment variable instead, as os.environ/NAME")
    return value


EnvironmentReference = Annotated[str, AfterValidator(_reference)]
"""A value that LiteLLM reads from its environment: `os.environ/NAME`."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelParams(_Strict):
    """The parameters of a deployment's calls."""

    model: Annotated[str, AfterValidator(_bedrock)]
    aws_region_name: str
    input_cost_per_token: float | None = Field(default=None, gt=0)
    output_cost_per_token: float | None = Field(default=None, gt=0)
    """US dollars, overriding the price map; both or neither. LiteLLM treats 0 as a price of 5 dollars."""
    no_log: bool = Field(default=False, alias="no-log")
    """Whether calls are not traced."""
    additional_drop_params: tuple[str, ...] = ()
    """Parameters of a request that the model is not given."""


class AllowedFailsPolicy(_Strict):
    """Allowed failures of a deployment by kind of error."""

    BadRequestErrorAllowedFails: int = Field(ge=1)
    """400: more of them cool the deployment down; without this value, they never do."""


class ModelInfo(_Strict):
    """Metadata of a deployment."""

    base_model: str = Field(min_length=1)
    """The row of LiteLLM's price map, needed by cost-based routing."""
    mode: Literal["chat", "embedding"] = "chat"
    allowed_fails: int | None = Field(default=None, ge=0)
    """Failures after which the deployment is cooled down; effective only if the group has another deployment."""
    allowed_fails_policy: AllowedFailsPolicy | None = None
    """The same by kind of error; effective in every group."""


class Deployment(_Strict):
    """One deployment of a model group."""

    model_name: str = Field(min_length=1)
    litellm_params: ModelParams
    model_info: ModelInfo


class CacheArguments(_Strict):
    """Timeouts of Valkey, in seconds."""

    socket_timeout: float = Field(gt=0)
    socket_connect_timeout: float = Field(gt=0)


class LatencyArguments(_Strict):
    """Parameters of latency-based routing."""

    lowest_latency_buffer: float = Field(default=0, ge=0, le=1)
    """Deployments whose latency is within this fraction of the fastest one's are used alternately."""


class RetryPolicy(_Strict):
    """Retries by kind of error, overriding `num_retries`; a retry uses another deployment."""

    BadRequestErrorRetries: int | None = Field(default=None, ge=0)
    """400: Bedrock's error for a model id that no longer exists."""
    NotFoundErrorRetries: int | None = Field(default=None, ge=0)
    """404: Bedrock's error for a model after its end of life."""
    TimeoutErrorRetries: int | None = Field(default=None, ge=0)


class RouterSettings(_Strict):
    """Settings of the router."""

    routing_strategy: Literal["cost-based-routing", "latency-based-routing", "simple-shuffle"]
    routing_strategy_args: LatencyArguments | None = None
    num_retries: int = Field(ge=0)
    timeout: float = Field(gt=0)
    """Timeout of one attempt, in seconds."""
    retry_policy: RetryPolicy = RetryPolicy()
    model_group_retry_policy: dict[str, RetryPolicy] = {}
    """A group's policy replaces the general one; they are not merged."""
    cooldown_time: float = Field(default=5, gt=0)
    """Seconds for which a failed deployment is not used."""
    fallbacks: list[dict[str, list[str]]] = []
    """The groups that answer when a group fails."""
    max_fallbacks: int = Field(default=5, ge=0)
    model_group_alias: dict[str, str] = {}
    redis_host: EnvironmentReference | None = None
    redis_port: EnvironmentReference | None = None
    redis_password: EnvironmentReference | None = None
    """The Valkey through which gateway tasks share cooldowns and counters; without it, each task has its own."""
    cache_kwargs: CacheArguments | None = None

    def retry_policy_of(self, group: str) -> RetryPolicy:
        """The policy that LiteLLM applies to a group."""
        return self.model_group_retry_policy.get(group, self.retry_policy)

    def fallbacks_of(self, group: str) -> list[str]:
        """The fallback groups of a group."""
        return [name for entry in self.fallbacks for name in entry.get(group, [])]


def _expression(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is not a regular expression ({error})") from None
    return pattern


class FilterPattern(_Strict):
    """A kind of personal data that the gateway itself masks."""

    pattern_type: Literal["regex"]
    name: Literal["EMAIL", "PHONE"]
    action: Literal["MASK"]
    pattern: Annotated[str, AfterValidator(_expression)]


class ContentFilterParams(_Strict):
    """LiteLLM's own filter, which masks in the gateway's process before anything is sent or traced."""

    guardrail: Literal["litellm_content_filter"]
    mode: Literal["pre_call"]
    default_on: Literal[True]
    patterns: tuple[FilterPattern, ...] = Field(min_length=1)


def _python(code: str) -> str:
    try:
        ast.parse(code)
    except SyntaxError as error:
        raise ValueError(f"is not Python ({error.msg} in line {error.lineno})") from None
    return code


class CustomCodeParams(_Strict):
    """A few lines of Python that LiteLLM runs in a sandbox, with LiteLLM's helpers and without imports."""

    guardrail: Literal["custom_code"]
    mode: Literal["pre_call"]
    default_on: Literal[True]
    custom_code: Annotated[str, AfterValidator(_python)]


class BedrockGuardrailParams(_Strict):
    """One use of the Bedrock guardrail; if `guardrail` is misspelled, LiteLLM starts without it."""

    guardrail: Literal["bedrock"]
    mode: Literal["pre_call", "post_call", "during_call"]
    guardrailIdentifier: EnvironmentReference
    guardrailVersion: EnvironmentReference
    aws_region_name: str
    mask_request_content: bool = False
    mask_response_content: bool = False
    timeout: float = Field(gt=0)
    """Timeout of one evaluation, in seconds; without it a hanging guardrail blocks a request for ten minutes."""
    default_on: Literal[True]
    """Required, because otherwise callers would have to request the guardrail."""


class Guardrail(_Strict):
    """A named guardrail."""

    guardrail_name: str
    litellm_params: Annotated[
        BedrockGuardrailParams | ContentFilterParams | CustomCodeParams, Field(discriminator="guardrail")
    ]


class LiteLLMSettings(_Strict):
    """Settings of the LiteLLM library."""

    callbacks: list[str]
    telemetry: Literal[False]


class GeneralSettings(_Strict):
    """Settings of the proxy server."""

    master_key: EnvironmentReference


class LiteLLMConfig(_Strict):
    """The content of `config.yaml`."""

    model_list: list[Deployment] = Field(min_length=1)
    router_settings: RouterSettings
    guardrails: list[Guardrail] = Field(min_length=1)
    litellm_settings: LiteLLMSettings
    general_settings: GeneralSettings

    def bedrock_guardrails(self) -> list[BedrockGuardrailParams]:
        """The uses of the Bedrock guardrail, in the file's order."""
        every = (each.litellm_params for each in self.guardrails)
        return [each for each in every if isinstance(each, BedrockGuardrailParams)]

    def groups(self) -> dict[str, list[Deployment]]:
        """The model groups with their deployments, in the file's order."""
        groups: dict[str, list[Deployment]] = {}
        for entry in self.model_list:
            groups.setdefault(entry.model_name, []).append(entry)
        return groups

    def environment(self) -> tuple[str, ...]:
        """The environment variables that the gateway needs, sorted."""
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
    """The path of the blueprint's `config.yaml`; LiteLLM and CDK read this file."""
    return Path(str(resources.files("qa_eval.blueprint"))) / "config.yaml"


def read_config(path: Path | None = None) -> LiteLLMConfig:
    """Read and validate a configuration, by default the blueprint's.

    Raises:
        InputError: The file cannot be read, or an entry is invalid.
    """
    path = path or config_path()
    content = load_content(path)
    try:
        return LiteLLMConfig.model_validate(content)
    except ValidationError as error:
        raise InputError(f"The configuration {path} is invalid at {mistakes(error, content)[0]}.") from None


def load_content(path: Path) -> Any:
    """The content of a configuration file, not validated.

    Raises:
        InputError: The file cannot be read, or is not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"The configuration {path} cannot be read ({reason}): check the path.") from None
    except yaml.YAMLError as error:
        raise InputError(f"The configuration {path} is not YAML ({str(error).splitlines()[0]}): correct it.") from None


def mistakes(error: ValidationError, content: Any) -> list[str]:
    """The validation errors of a configuration: location, name of the entry, and message."""
    return [_explain(each["loc"], each["msg"], content) for each in error.errors(include_url=False)]


def _explain(location: tuple[int | str, ...], message: str, content: Any) -> str:
    where = ".".join(str(part) for part in location) or "the top"
    name = _entry_name(location, content)
    return f"{where}{f' ({name})' if name else ''}: {message.removeprefix('Value error, ')}"


def _entry_name(location: tuple[int | str, ...], content: Any) -> str | None:
    """The name of the list entry that contains an error."""
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
