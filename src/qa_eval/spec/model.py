"""What an experiment is: dataset, systems, metrics, limits, gate, recording, servers.

Frozen Pydantic models without surprises: an unknown key is an error, and what is written reads back as the same
specification. Shorthands (a dataset's address, a prompt's text or file, a metric's name, a duration such as `30m`) are
accepted on reading; `to_data` writes the plain form. Secrets have no place here: the servers' keys come from the
environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from qa_eval.spec.base import Parameters, ParametersField, Part, described
from qa_eval.spec.metrics import DEFAULT_METRICS, METRIC_ALIASES, JudgesSpec, Metric, MetricSpec
from qa_eval.spec.ray import OptionalRay
from qa_eval.spec.values import Concurrency, Count, Names, Recorded, Rules, Seconds

DEFAULT_MODEL = "qa"
DEFAULT_PARAMETERS: Mapping[str, Any] = {"temperature": 0.0, "max_tokens": 32}
"""Answers are short spans; a longer answer is cut, which its scores show."""
EMBEDDERS = ("minilm", "gateway", "sentence-transformers")
_RUN_NAME = re.compile(r"\w[\w .+/-]{0,99}")
_FILE_ENDINGS = (".json", ".jsonl", ".csv", ".parquet", ".yaml", ".yml", ".toml")


# --- dataset --------------------------------------------------------------------------------------------------------


class ColumnsSpec(Part):
    """Which columns hold what; what is not named is found by the usual names."""

    id: str | None = None
    """Column with a unique id; without one, ids come from the content."""
    question: str | None = None
    context: str | None = None
    references: Names | None = None
    """Column, or columns, with accepted answers; each may hold a list."""
    group: str | None = None
    """Column that says which examples belong together, so that statistics resample them together."""


def parse_columns(value: Any) -> Any:
    """A mapping, or text such as `question=q,references=a+b`."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(name.strip() and column.strip() for name, _, column in pairs):
        raise ValueError("must be like question=q,references=a+b,group=c")
    return {name.strip(): column.strip() for name, _, column in pairs}


Columns = Annotated[ColumnsSpec, BeforeValidator(parse_columns, json_schema_input_type=ColumnsSpec | str)]


class DatasetSpec(Part):
    """Where the questions come from, and which of them are asked. Give one of `path`, `hub` and `phoenix`."""

    path: str | None = None
    """`sample`, `squad`, `squad_v2`, or a file: SQuAD JSON, CSV, TSV, JSON Lines, JSON or Parquet."""
    hub: str | None = None
    """A dataset of the Hugging Face hub: ORG/NAME[:CONFIG][@REVISION][#SPLIT]."""
    phoenix: str | None = None
    """A dataset in Phoenix, used where it is: NAME[@VERSION]."""
    columns: Columns | None = Field(None, description=described("dataset.columns"))
    examples: Count = Field(100, description=described("dataset.examples"))
    seed: int = Field(0, description=described("dataset.seed"))
    stratify_by: str = Field("none", description=described("dataset.stratify_by"))
    name: str | None = Field(None, min_length=1, description=described("dataset.name"))

    @model_validator(mode="before")
    @classmethod
    def _one_source(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        given = [name for name in ("path", "hub", "phoenix") if data.get(name) is not None]
        if len(given) > 1:
            raise ValueError(f"gives {' and '.join(given)}: give one source")
        return data if given else {**data, "path": "sample"}

    @property
    def address(self) -> str:
        """The source as one text, as `--dataset` takes it."""
        if self.hub is not None:
            return f"hub:{self.hub}"
        return f"phoenix:{self.phoenix}" if self.phoenix is not None else str(self.path)


def parse_dataset(value: Any) -> Any:
    """A mapping, or an address such as `questions.csv`, `hub:ORG/NAME` or `phoenix:NAME`."""
    return dataset_address(str(value)) if isinstance(value, str | Path) else value


def dataset_address(address: str) -> dict[str, str]:
    """An address as the keys of `DatasetSpec`."""
    kind, colon, name = address.partition(":")
    return {kind: name} if colon and kind in ("hub", "phoenix") else {"path": address}


# --- prompts and systems ---------------------------------------------------------------------------------------------


class Message(Part):
    """One message of a chat prompt."""

    role: Literal["system", "user", "assistant"]
    content: str
    """Text with fields in braces: `{question}`, `{context}`, or any column of the dataset."""


class PromptSpec(Part):
    """A prompt: messages with fields in braces. Without messages it is still to be read from its source."""

    messages: tuple[Message, ...] = ()
    source: str | None = None
    """The file, or phoenix:NAME[@TAG], that it comes from."""
    version: str | None = None
    """The id of the prompt's version in Phoenix."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.messages and not self.source:
            raise ValueError("has neither messages nor a source")
        return self

    @property
    def label(self) -> str:
        """A short name for a system's default name."""
        if self.source is None:
            return "prompt"
        name = self.source.removeprefix("phoenix:")
        return name.partition("@")[0] if name != self.source else Path(name).stem


def parse_prompt(value: Any) -> Any:
    """A mapping, a list of messages, or a text: the prompt itself where it has fields or lines, else its source."""
    if isinstance(value, Path):
        return {"source": str(value)}
    if isinstance(value, str):
        is_text = ("{" in value and "}" in value) or "\n" in value
        return {"messages": [{"role": "user", "content": value}]} if is_text else {"source": value}
    return {"messages": value} if isinstance(value, list) else value


Prompt = Annotated[PromptSpec, BeforeValidator(parse_prompt, json_schema_input_type=PromptSpec | list[Message] | str)]


class SystemSpec(Part):
    """What is compared: a model with a prompt and parameters, asked in one way; or a function of your own."""

    name: str | None = Field(None, min_length=1, max_length=120)
    """Unique name; without one, the model's, with the prompt's where there are several."""
    model: str | None = Field(None, min_length=1)
    """Model group of the gateway; with `via: litellm` a provider's model, such as bedrock/MODEL."""
    prompt: Prompt | None = None
    """Without one, the default prompt for short answers."""
    parameters: ParametersField = Parameters()
    via: str | None = None
    """`gateway`, `litellm`, `chatbot` or `lex:STACK`; without it, the specification's `via`."""
    task: str | None = Field(None, min_length=1)
    """A function of your own in place of a model: module:function."""

    @field_validator("via")
    @classmethod
    def _known_via(cls, via: str | None) -> str | None:
        return None if via is None else check_via(via)

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str | None) -> str | None:
        if name is not None and (not name.isprintable() or name != name.strip()):
            raise ValueError("must be one line of printable text")
        return name

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.task is not None:
            given = [name for name in ("model", "prompt", "via") if getattr(self, name) is not None]
            if given:
                raise ValueError(f"gives task and {given[0]}: a task makes its own prompt and calls")
            if self.parameters.to_data():
                raise ValueError("gives task and parameters: a task decides for itself")
        elif self.model is None:
            raise ValueError("needs a model or a task")
        return self


def check_via(via: str) -> str:
    """One of the ways to ask."""
    if via not in ("gateway", "litellm", "chatbot") and not re.fullmatch(r"lex:.+", via):
        raise ValueError("must be gateway, litellm, chatbot or lex:STACK")
    return via


# --- limits, gate, recording, servers ----------------------------------------------------------------------


class LimitsSpec(Part):
    """When a run stops before all is asked."""

    cost_usd: float | None = Field(None, gt=0, allow_inf_nan=False, description=described("limits.cost_usd"))
    time: Seconds | None = Field(None, description=described("limits.time"))
    errors: float = Field(0.1, ge=0, le=1, description=described("limits.errors"))
    timeout: Seconds = Field(120.0, description=described("limits.timeout"))


class StopSpec(Part):
    """When a system is asked no more because its comparison with the baseline is decided."""

    early: bool = Field(False, description=described("stop.early"))
    looks: int = Field(5, ge=2, le=20, description=described("stop.looks"))
    margin: float | None = Field(None, gt=0, allow_inf_nan=False, description=described("stop.margin"))


def parse_stop(value: Any) -> Any:
    """A mapping, or just whether; where looks or a margin are given, it stops early."""
    if isinstance(value, bool):
        return {"early": value}
    return {"early": True, **value} if isinstance(value, Mapping) and value else value


class GateSpec(Part):
    """Rules that decide the exit code."""

    baseline: str | None = Field(None, description=described("gate.baseline"))
    fail_on: Rules = Field((), description=described("gate.fail_on"))
    require: Rules = Field((), description=described("gate.require"))
    inconclusive: Literal["pass", "fail"] = Field("pass", description=described("gate.inconclusive"))


class RecordingSpec(Part):
    """What Phoenix gets."""

    phoenix: bool = True
    """Whether anything is recorded in Phoenix."""
    examples: Recorded = Field("all", description=described("recording.examples"))
    prices: bool = Field(True, description=described("recording.prices"))
    trace: Literal["auto", "none"] = Field("auto", description=described("recording.trace"))
    facts: bool = Field(False, description=described("recording.facts"))
    trace_content: bool = True
    """Whether the questions' own spans hold question and answer."""

    @model_validator(mode="before")
    @classmethod
    def _none_is_no_phoenix(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("examples") == "none":
            return {**data, "phoenix": False, "examples": "all"}
        return data


class ServersSpec(Part):
    """Where gateway and Phoenix are. Their keys come from the environment."""

    local: bool = Field(False, description=described("servers.local"))
    stack: str | None = Field(None, min_length=1, description=described("servers.stack"))
    gateway: str | None = Field(None, min_length=1, description=described("servers.gateway"))
    phoenix: str | None = Field(None, min_length=1, description=described("servers.phoenix"))
    replay: str | None = Field(None, min_length=1, description=described("servers.replay"))

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        named = [name for name in ("gateway", "phoenix") if getattr(self, name)]
        if self.stack and (self.local or named):
            raise ValueError(f"gives stack and {'local' if self.local else named[0]}: a stack has its own servers")
        if self.local and named:
            raise ValueError(f"gives local and {named[0]}: the local stack has its own servers")
        if self.replay and not self.local:
            raise ValueError("gives replay without local: only the local stack can replay answers")
        return self


class ExperimentSpec(Part):
    """An experiment: what is asked of which systems, how it is scored, and when it stops."""

    name: str | None = Field(None, description=described("name"))
    dataset: Annotated[DatasetSpec, BeforeValidator(parse_dataset, json_schema_input_type=DatasetSpec | str)] = (
        DatasetSpec()
    )
    systems: tuple[SystemSpec, ...] = ()
    """What is compared. Or give `models` and `prompts`: each model with each prompt."""
    models: Names = Field((), description=described("models"))
    prompts: tuple[Prompt, ...] = Field((), description=described("prompts"))
    via: str = Field("gateway", description=described("via"))
    parameters: ParametersField = Parameters()
    """Parameters of the provider for all systems."""
    metrics: tuple[Metric, ...] = tuple(MetricSpec(name=name) for name in DEFAULT_METRICS)
    """Metrics by name, judges, or functions of your own."""
    primary: Names = Field((), description=described("primary"))
    judges: JudgesSpec = JudgesSpec()
    similarity: Literal["minilm", "gateway", "sentence-transformers"] = Field(
        "minilm", description=described("similarity")
    )
    repeat: int = Field(1, ge=1, description=described("repeat"))
    stream: bool = Field(False, description=described("stream"))
    concurrency: Concurrency = Field("auto", description=described("concurrency"))
    ray: OptionalRay = None
    """The work of the run on Ray: an address, or a cluster with the resources of each stage."""
    limits: LimitsSpec = LimitsSpec()
    stop: Annotated[StopSpec, BeforeValidator(parse_stop, json_schema_input_type=StopSpec | bool)] = StopSpec()
    gate: GateSpec = GateSpec()
    recording: RecordingSpec = RecordingSpec()
    servers: ServersSpec = ServersSpec()

    @field_validator("name")
    @classmethod
    def _run_name(cls, name: str | None) -> str | None:
        if name is None:
            return None
        if not _RUN_NAME.fullmatch(name) or name == "latest" or name.lower().endswith(_FILE_ENDINGS):
            raise ValueError("must be letters, digits, spaces and . + / - _, at most 100, and not a file's name")
        return name

    @field_validator("primary")
    @classmethod
    def _canonical(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(METRIC_ALIASES.get(name, name) for name in names)

    @field_validator("via")
    @classmethod
    def _via(cls, via: str) -> str:
        return check_via(via)

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.systems and (self.models or self.prompts):
            raise ValueError(f"gives systems and {'models' if self.models else 'prompts'}: give one of them")
        names = [metric.name for metric in self.metrics]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"names the metric {twice} twice: give one of them another name")
        unknown = next((name for name in self.primary if name not in names), None)
        if unknown is not None:
            raise ValueError(f"has the primary metric {unknown}, which is none of its metrics: {', '.join(names)}")
        return self

    @property
    def slots(self) -> int | None:
        """Maximum number of concurrent requests; None adapts."""
        return None if isinstance(self.concurrency, str) else self.concurrency

    def to_data(self) -> dict[str, Any]:
        """As JSON or YAML holds it; what is left at its default is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)
