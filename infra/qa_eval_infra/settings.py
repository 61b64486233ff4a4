"""What can be chosen about a deployment, each with its default, and what is refused.

In: a YAML file, environment variables `QA_EVAL_INFRA_NAME` and flags `NAME=VALUE`, the later before the earlier.
Out: `QaEvalSettings`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from qa_eval.blueprint.gateway import LiteLLMConfig, config_path, read_config
from qa_eval.blueprint.iam import bedrock_resources
from qa_eval.blueprint.versions import server_versions
from qa_eval.errors import InputError

CLOUDFRONT_REGION: Final = "us-east-1"
"""Where CloudFront takes its certificate and its web ACL from."""
ENVIRONMENT_PREFIX: Final = "QA_EVAL_INFRA_"

Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Image = Annotated[str, StringConstraints(pattern=r"^[\w.-]+(:\d+)?(/[\w.-]+)+(:[\w.-]+|@sha256:[0-9a-f]{64})$")]
_LABELS: Final = r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+"
Domain = Annotated[str, StringConstraints(max_length=253, pattern=rf"^{_LABELS}[a-z]{{2,63}}$")]
RetentionDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365]
Strength = Literal["LOW", "MEDIUM", "HIGH"]

_FARGATE: Final = {
    256: (512, 1024, 2048),
    512: tuple(range(1024, 4097, 1024)),
    1024: tuple(range(2048, 8193, 1024)),
    2048: tuple(range(4096, 16385, 1024)),
    4096: tuple(range(8192, 30721, 1024)),
}
"""Which memory (MiB) Fargate has for which CPU units."""


def _mapping(value: Any) -> Any:
    return yaml.safe_load(value) if isinstance(value, str) else value


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class QaEvalSettings(BaseModel):
    """All settings of a deployment; without any, the smallest platform that is still safe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,29}$")] = Field(
        "qa-eval", description="The stack's name, and the beginning of the names of what is in it."
    )
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] = Field(
        "us-east-1", description="The home region; the models' inference profiles must be callable from it."
    )
    domain: Domain | None = Field(
        None, description="The public name. Without it, the platform has CloudFront's own name."
    )
    hosted_zone_id: Annotated[str, StringConstraints(pattern=r"^Z[A-Z0-9]{1,31}$")] | None = Field(
        None, description="The Route 53 hosted zone that holds `domain`."
    )
    config: Path | None = Field(
        None, description="Another gateway configuration than the blueprint's `config.yaml`: its models decide IAM."
    )
    load_balancer: Literal["internal", "public"] = Field(
        "internal",
        description="`internal`: reached by CloudFront's VPC origin only. `public`: by CloudFront's addresses with a "
        "secret header; needs `domain`.",
    )
    egress: Literal["nat", "public"] = Field(
        "nat",
        description="How tasks reach image registries and AWS: `nat` from private subnets, `public` with an address of "
        "their own and no inbound rule but the load balancer's.",
    )
    nat_gateways: int = Field(1, ge=1, le=2, description="With `egress: nat`: 1, or 2 to outlive a zone.")
    vpc_endpoints: bool = Field(
        False,
        description="Private endpoints for Bedrock, Secrets Manager and CloudWatch Logs; images still take `egress`.",
    )
    vpc_cidr: str = Field("10.20.0.0/16", description="The network's addresses, /16 to /22.")
    waf: bool = Field(True, description="AWS WAF before CloudFront.")
    rate_limit: int = Field(
        100_000, ge=100, le=2_000_000_000, description="Requests that one address may send in five minutes (WAF)."
    )
    architecture: Literal["arm64", "x86_64"] = Field("arm64", description="The tasks' and functions' processor.")
    litellm_image: Image = Field(
        f"ghcr.io/berriai/litellm-database:v{server_versions()['litellm']}",
        description="The gateway's image; `deploy` replaces a tag by its digest.",
    )
    phoenix_image: Image = Field(
        f"docker.io/arizephoenix/phoenix:version-{server_versions()['arize-phoenix']}",
        description="Phoenix's image; `deploy` replaces a tag by its digest.",
    )
    gateway_cpu: int = Field(1024, description="CPU units of a gateway task (1024 are one vCPU).")
    gateway_memory: int = Field(2048, description="MiB of a gateway task.")
    gateway_tasks_min: int = Field(1, ge=1, le=50, description="Gateway tasks when nothing is asked.")
    gateway_tasks_max: int = Field(4, ge=1, le=50, description="Gateway tasks at most.")
    phoenix_cpu: int = Field(512, description="CPU units of the Phoenix task.")
    phoenix_memory: int = Field(2048, description="MiB of the Phoenix task.")
    database_min_acu: float = Field(0.5, ge=0.5, le=256, multiple_of=0.5, description="Aurora's capacity when idle.")
    database_max_acu: float = Field(4, ge=1, le=256, multiple_of=0.5, description="Aurora's capacity at most.")
    database_backup_days: int = Field(7, ge=1, le=35, description="Days that Aurora's backups are kept.")
    deletion_protection: bool = Field(True, description="Database and load balancer refuse to be deleted.")
    cache_node: Annotated[str, StringConstraints(pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$")] = Field(
        "cache.t4g.micro", description="Valkey's node type."
    )
    cache_replica: bool = Field(False, description="A second Valkey node that takes over.")
    log_retention_days: Annotated[RetentionDays, BeforeValidator(_number)] = Field(
        30, description="Days that logs are kept."
    )
    trace_retention_days: int = Field(90, ge=0, le=3650, description="Days that Phoenix keeps traces; 0 for ever.")
    container_insights: bool = Field(False, description="CloudWatch's enhanced Container Insights (priced by metric).")
    guardrail_strength: Strength | None = Field(
        None, description="How strictly all content filters judge, in and out; without it as `guardrail.yaml` says."
    )
    chatbot: bool = Field(True, description="The Amazon Lex chatbot.")
    chatbot_model: Text = Field("qa", description="The model group that the chatbot asks.")
    chatbot_budget: float = Field(20, gt=0, description="US dollars a month on the chatbot's virtual key.")
    experiment_budget: float = Field(100, gt=0, description="US dollars a month on the experiments' virtual key.")
    alarm_email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] | None = Field(
        None, description="Who is told of alarms; SNS first asks for a confirmation."
    )
    monthly_budget: float = Field(
        300, gt=0, description="US dollars a month for the whole account, above which `alarm_email` is told."
    )
    tags: Annotated[dict[str, str], BeforeValidator(_mapping)] = Field(
        {}, description="Tags on every resource, beside `project: qa-eval`."
    )

    @cached_property
    def gateway_config(self) -> LiteLLMConfig:
        """The gateway's configuration, checked; read once, also by copies of these settings."""
        return read_config(self.config)

    @property
    def config_file(self) -> Path:
        """The file that the gateway reads."""
        return self.config or config_path()

    @property
    def model_groups(self) -> tuple[str, ...]:
        """The model groups that a virtual key may ask, in the order of the configuration."""
        return tuple(dict.fromkeys(entry.model_name for entry in self.gateway_config.model_list))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for wrong, sentence in _conflicts(self):
            if wrong:
                raise ValueError(sentence)
        return self


def _conflicts(chosen: QaEvalSettings) -> list[tuple[bool, str]]:
    """What each setting alone cannot know."""
    return [
        (
            (chosen.domain is None) != (chosen.hosted_zone_id is None),
            "`domain` and `hosted_zone_id` belong together: give both or none",
        ),
        (
            chosen.load_balancer == "public" and chosen.domain is None,
            "a public load balancer without `domain` would be reached unencrypted: give `domain`, or leave it internal",
        ),
        (
            chosen.gateway_tasks_min > chosen.gateway_tasks_max,
            "`gateway_tasks_min` is above `gateway_tasks_max`: give at most as many",
        ),
        (
            chosen.database_min_acu > chosen.database_max_acu,
            "`database_min_acu` is above `database_max_acu`: give at most as much",
        ),
        _size_conflict("gateway", chosen.gateway_cpu, chosen.gateway_memory),
        _size_conflict("phoenix", chosen.phoenix_cpu, chosen.phoenix_memory),
        _network_conflict(chosen.vpc_cidr),
        _region_conflict(chosen),
        (
            chosen.chatbot and chosen.chatbot_model not in chosen.model_groups,
            f"`chatbot_model` {chosen.chatbot_model} is no model group: give one of {', '.join(chosen.model_groups)}",
        ),
    ]


def _size_conflict(server: str, cpu: int, memory: int) -> tuple[bool, str]:
    sizes = _FARGATE.get(cpu)
    if sizes is None:
        return True, f"`{server}_cpu` {cpu} is no Fargate size: give one of {', '.join(map(str, _FARGATE))}"
    return memory not in sizes, f"`{server}_memory` {memory} does not go with {cpu} CPU units: give {_span(sizes)}"


def _span(sizes: Sequence[int]) -> str:
    return f"{sizes[0]} to {sizes[-1]} MiB"


def _network_conflict(cidr: str) -> tuple[bool, str]:
    try:
        prefix = ipaddress.IPv4Network(cidr).prefixlen
    except ValueError:
        prefix = 0
    return not 16 <= prefix <= 22, f"`vpc_cidr` {cidr} is no network of /16 to /22: give one such as 10.20.0.0/16"


def _region_conflict(chosen: QaEvalSettings) -> tuple[bool, str]:
    """An inference profile can only be called from the regions of its geography."""
    for resource in bedrock_resources(chosen.gateway_config):
        if resource.profile and resource.regions != ("",) and chosen.region not in resource.regions:
            known = ", ".join(resource.regions)
            return True, f"`region` {chosen.region} cannot call {resource.profile}: give one of {known}"
    return False, ""


def load_settings(
    file: Path | None = None, flags: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> QaEvalSettings:
    """Gather the settings: a flag goes before the environment, the environment before the file.

    Args:
        file: YAML, a mapping of settings.
        flags: Each `NAME=VALUE`.
        environment: Variables; `QA_EVAL_INFRA_REGION` is the setting `region`.

    Raises:
        InputError: Something cannot be read, is not known or is not allowed; the setting is named.
    """
    values = {**_from_file(file), **_from_environment(environment or {}), **_from_flags(flags)}
    try:
        return QaEvalSettings.model_validate(values)
    except ValidationError as error:
        raise InputError(_sentence(error)) from None


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise InputError(f"The settings {file} cannot be read ({error.strerror}): check the path.") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise InputError(f"The settings {file} are not YAML: mend the file.") from None
    if not isinstance(content, dict):
        raise InputError(f"The settings {file} are no mapping: write one `setting: value` a line.")
    return {str(name): value for name, value in content.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }


def _from_flags(flags: Sequence[str]) -> dict[str, str]:
    values = {}
    for flag in flags:
        name, equals, value = flag.partition("=")
        if not equals:
            raise InputError(f"--set {flag} has no value: write --set {flag}=VALUE.")
        values[name.strip().replace("-", "_")] = value
    return values


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"][:1])
    if first["type"] == "extra_forbidden":
        return f"There is no setting {name!r}: the settings are {', '.join(QaEvalSettings.model_fields)}."
    reason = first["msg"].removeprefix("Value error, ")
    if not name:
        return f"The settings do not fit together: {reason}."
    description = QaEvalSettings.model_fields[name].description
    return f"The setting `{name}` cannot be {first['input']!r} ({reason}). {description}"
