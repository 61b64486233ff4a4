"""The settings of a deployment, with their defaults and validation.

In: a YAML file, environment variables `QA_EVAL_INFRA_NAME` and assignments `NAME=VALUE`; later sources override
earlier ones. Out: `QaEvalSettings`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from qa_eval.blueprint.bot import REGIONS as LEX_REGIONS
from qa_eval.blueprint.gateway import LiteLLMConfig, config_path, read_config
from qa_eval.blueprint.iam import bedrock_resources
from qa_eval.blueprint.versions import server_versions
from qa_eval.errors import InputError
from qa_eval.spec.values import RULE, Rules
from qa_eval_infra.zones import ZONES

CLOUDFRONT_REGION: Final = "us-east-1"
"""The region of CloudFront's certificate and web ACL."""
ENVIRONMENT_PREFIX: Final = "QA_EVAL_INFRA_"

CANARY_MEASURES: Final = ("em", "f1", "answered", "failed", "p50_latency", "p95_latency", "cost")
"""What the canary can judge: it computes no embeddings and calls no judge."""

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
"""Fargate's memory sizes in MiB by CPU units."""


def _mapping(value: Any) -> Any:
    return yaml.safe_load(value) if isinstance(value, str) else value


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class QaEvalSettings(BaseModel):
    """The settings of a deployment; the defaults are the smallest secure platform."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,29}$")] = Field(
        "qa-eval", description="The stack's name, and the prefix of its resources' names."
    )
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] = Field(
        "us-east-1", description="The home region; the models' inference profiles must be callable from it."
    )
    domain: Domain | None = Field(None, description="The public domain name; by default CloudFront's.")
    hosted_zone_id: Annotated[str, StringConstraints(pattern=r"^Z[A-Z0-9]{1,31}$")] | None = Field(
        None, description="The Route 53 hosted zone of `domain`."
    )
    config: Path | None = Field(
        None,
        description="Gateway configuration in place of the blueprint's `config.yaml`; IAM allows exactly its models.",
    )
    load_balancer: Literal["internal", "public"] = Field(
        "internal",
        description="`internal`: reachable only through CloudFront's VPC origin. `public`: from CloudFront's addresses "
        "with a secret header; requires `domain`.",
    )
    egress: Literal["nat", "public"] = Field(
        "nat",
        description="How tasks reach image registries and AWS: `nat` from private subnets, `public` with public "
        "addresses and inbound traffic only from the load balancer.",
    )
    nat_gateways: int = Field(
        1, ge=1, le=2, description="With `egress: nat`: 1, or 2 to survive the failure of a zone."
    )
    vpc_endpoints: bool = Field(
        False,
        description="Private endpoints for Bedrock, Secrets Manager and CloudWatch Logs; images still use `egress`.",
    )
    vpc_cidr: str = Field("10.20.0.0/16", description="The network's address range, /16 to /22.")
    waf: bool = Field(True, description="AWS WAF in front of CloudFront.")
    rate_limit: int = Field(
        100_000,
        ge=100,
        le=2_000_000_000,
        description="Maximum number of requests of one address in five minutes (WAF).",
    )
    architecture: Literal["arm64", "x86_64"] = Field(
        "x86_64",
        description="Processor architecture of tasks and functions; `arm64` costs a fifth less, "
        "if both images have it.",
    )
    litellm_image: Image = Field(
        f"ghcr.io/berriai/litellm-database:v{server_versions()['litellm']}",
        description="The gateway's image; `deploy` replaces a tag with its digest.",
    )
    phoenix_image: Image = Field(
        f"docker.io/arizephoenix/phoenix:version-{server_versions()['arize-phoenix']}",
        description="Phoenix's image; `deploy` replaces a tag with its digest.",
    )
    gateway_cpu: int = Field(1024, description="CPU units of a gateway task (1024 are one vCPU).")
    gateway_memory: int = Field(2048, description="MiB of a gateway task.")
    gateway_tasks_min: int = Field(1, ge=1, le=50, description="Minimum number of gateway tasks.")
    gateway_tasks_max: int = Field(4, ge=1, le=50, description="Maximum number of gateway tasks.")
    phoenix_cpu: int = Field(512, description="CPU units of the Phoenix task.")
    phoenix_memory: int = Field(2048, description="MiB of the Phoenix task.")
    database_min_acu: float = Field(0.5, ge=0.5, le=256, multiple_of=0.5, description="Aurora's minimum capacity.")
    database_max_acu: float = Field(4, ge=1, le=256, multiple_of=0.5, description="Aurora's maximum capacity.")
    database_backup_days: int = Field(7, ge=1, le=35, description="Retention of Aurora's backups, in days.")
    deletion_protection: bool = Field(True, description="Protect database and load balancer from deletion.")
    cache_node: Annotated[str, StringConstraints(pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$")] = Field(
        "cache.t4g.micro", description="Valkey's node type."
    )
    cache_replica: bool = Field(False, description="A second Valkey node for failover.")
    log_retention_days: Annotated[RetentionDays, BeforeValidator(_number)] = Field(
        30, description="Retention of logs, in days."
    )
    trace_retention_days: int = Field(
        90, ge=0, le=3650, description="Retention of Phoenix's traces, in days; 0 for unlimited."
    )
    container_insights: bool = Field(False, description="CloudWatch's enhanced Container Insights (priced by metric).")
    guardrail_strength: Strength | None = Field(
        None, description="Strength of all content filters, for input and output; by default as in `guardrail.yaml`."
    )
    chatbot: bool = Field(True, description="The Amazon Lex chatbot.")
    chatbot_model: Text = Field("qa", description="The chatbot's model group.")
    chatbot_budget: float = Field(20, gt=0, description="Budget of the chatbot's virtual key, in US dollars a month.")
    experiment_budget: float = Field(
        100, gt=0, description="Budget of the experiments' virtual key, in US dollars a month."
    )
    canary: bool = Field(
        False, description="A changed gateway gets the traffic only after a paired experiment passes `canary_fail_on`."
    )
    canary_fail_on: Rules = Field(
        ("f1 < -0.05",),
        description="The canary's rules on new minus old, as in a specification's `gate`; none admits every gateway.",
    )
    canary_examples: int = Field(
        100, ge=20, le=100, description="The canary's questions of the sample dataset, each asked of both gateways."
    )
    canary_budget: float = Field(1, gt=0, description="Budget of one canary, in US dollars.")
    canary_inconclusive: Literal["pass", "fail"] = Field(
        "fail", description="What a rule of the canary does when its budget does not suffice to tell."
    )
    alarm_email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")] | None = Field(
        None, description="Recipient of alarms; SNS first asks for a confirmation."
    )
    monthly_budget: float = Field(
        300,
        gt=0,
        description="Budget of the whole account, in US dollars a month, above which `alarm_email` is notified.",
    )
    tags: Annotated[dict[str, str], BeforeValidator(_mapping)] = Field(
        {}, description="Tags on every resource, in addition to `project: qa-eval`."
    )

    @cached_property
    def gateway_config(self) -> LiteLLMConfig:
        """The gateway's configuration, validated; read once, also for copies of these settings."""
        return read_config(self.config)

    @property
    def edge_stack(self) -> str:
        """The name of the stack in CloudFront's region."""
        return f"{self.name}-edge"

    @property
    def needs_edge_stack(self) -> bool:
        """Whether CloudFront's region has a stack: for a web ACL or a certificate."""
        return self.waf or self.domain is not None

    @property
    def config_file(self) -> Path:
        """The path of the gateway's configuration."""
        return self.config or config_path()

    @property
    def model_groups(self) -> tuple[str, ...]:
        """The model groups of the configuration, in its order."""
        return tuple(dict.fromkeys(entry.model_name for entry in self.gateway_config.model_list))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for wrong, sentence in _conflicts(self):
            if wrong:
                raise ValueError(sentence)
        return self


def _conflicts(chosen: QaEvalSettings) -> list[tuple[bool, str]]:
    """Checks across several settings: whether each fails, and its sentence."""
    return [
        (
            (chosen.domain is None) != (chosen.hosted_zone_id is None),
            "`domain` and `hosted_zone_id` belong together: give both or none",
        ),
        (
            chosen.load_balancer == "public" and chosen.domain is None,
            "a public load balancer without `domain` would be unencrypted: give `domain`, or leave it internal",
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
            chosen.region not in ZONES,
            f"`region` {chosen.region} has no availability zones in zones.py: give one of {', '.join(ZONES)}",
        ),
        (
            chosen.chatbot and chosen.region not in LEX_REGIONS,
            f"`region` {chosen.region} has no Amazon Lex: give `chatbot: false`, or one of {', '.join(LEX_REGIONS)}",
        ),
        _canary_conflict(chosen.canary_fail_on),
        (
            chosen.chatbot and chosen.chatbot_model not in chosen.model_groups,
            f"`chatbot_model` {chosen.chatbot_model} is not a model group: "
            f"give one of {', '.join(chosen.model_groups)}",
        ),
    ]


def _canary_conflict(rules: Sequence[str]) -> tuple[bool, str]:
    measures = [match[1] for rule in rules if (match := RULE.fullmatch(rule))]
    unknown = next((name for name in measures if name not in CANARY_MEASURES), None)
    return unknown is not None, f"`canary_fail_on` cannot judge {unknown}: give one of {', '.join(CANARY_MEASURES)}"


def _size_conflict(server: str, cpu: int, memory: int) -> tuple[bool, str]:
    sizes = _FARGATE.get(cpu)
    if sizes is None:
        return True, f"`{server}_cpu` {cpu} is not a Fargate size: give one of {', '.join(map(str, _FARGATE))}"
    return memory not in sizes, f"`{server}_memory` {memory} is not available with {cpu} CPU units: give {_span(sizes)}"


def _span(sizes: Sequence[int]) -> str:
    return f"{sizes[0]} to {sizes[-1]} MiB"


def _network_conflict(cidr: str) -> tuple[bool, str]:
    try:
        prefix = ipaddress.IPv4Network(cidr).prefixlen
    except ValueError:
        prefix = 0
    return not 16 <= prefix <= 22, f"`vpc_cidr` {cidr} is not a network of /16 to /22: give one such as 10.20.0.0/16"


def _region_conflict(chosen: QaEvalSettings) -> tuple[bool, str]:
    """An inference profile can only be called from the regions of its geography."""
    for resource in bedrock_resources(chosen.gateway_config):
        if resource.profile and resource.regions != ("",) and chosen.region not in resource.regions:
            known = ", ".join(resource.regions)
            return True, f"`region` {chosen.region} cannot call {resource.profile}: give one of {known}"
    return False, ""


def load_settings(
    file: Path | None = None, assignments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> QaEvalSettings:
    """Load the settings: assignments override the environment, which overrides the file.

    Args:
        file: A YAML mapping of settings.
        assignments: Each `NAME=VALUE`.
        environment: Environment variables; `QA_EVAL_INFRA_REGION` is the setting `region`.

    Raises:
        InputError: A source cannot be read, or a setting is unknown or invalid.
    """
    values = {**_from_file(file), **_from_environment(environment or {}), **_from_assignments(assignments)}
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
        raise InputError(f"The settings {file} are not YAML: correct the file.") from None
    if not isinstance(content, dict):
        raise InputError(f"The settings {file} are not a mapping: write one `setting: value` in each line.")
    return {str(name): value for name, value in content.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }


def _from_assignments(assignments: Sequence[str]) -> dict[str, str]:
    values = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise InputError(f"The setting {assignment!r} has no value: write {assignment}=VALUE.")
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
