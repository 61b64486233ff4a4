"""What is measured: built-in metrics, judges with their rubrics, and functions of your own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, field_validator, model_validator

from qa_eval.spec.base import Parameters, ParametersField, Part, described

DEFAULT_METRICS = ("exact_match", "f1", "semantic_similarity")
METRIC_ALIASES = {"em": "exact_match", "similarity": "semantic_similarity"}
JUDGE = "judge:"
Direction = Literal["higher", "lower"]


class RubricSpec(Part):
    """What a judge is asked: a prompt, and the choices it has, each with its value."""

    prompt: str = Field(min_length=1)
    """Text with fields in braces: `{question}`, `{answer}`, `{references}`, `{context}`, or any column of the
    dataset. How to reply is added to it."""
    choices: dict[str, float] = Field(min_length=2)
    """The labels that the judge chooses from, with their values."""
    direction: Direction = "higher"
    """Whether a higher value is better."""
    source: str | None = None
    """The file that it comes from."""

    @field_validator("choices")
    @classmethod
    def _labels(cls, choices: dict[str, float]) -> dict[str, float]:
        if any(not label.strip() or label != label.strip() or "\n" in label for label in choices):
            raise ValueError("must have labels of one line, without spaces around them")
        if len({label.casefold() for label in choices}) < len(choices):
            raise ValueError("must have labels that differ in more than upper and lower case")
        if len(set(choices.values())) < 2:
            raise ValueError("must have at least two different values")
        return choices

    @model_validator(mode="after")
    def _judges_answers(self) -> Self:
        if "{answer}" not in self.prompt:
            raise ValueError("has a prompt without {answer}: put it where the answer goes")
        return self

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest value."""
        return min(self.choices.values()), max(self.choices.values())


class MetricSpec(Part):
    """A metric: a built-in one, a judge, one that an installed package offers, or a function of your own."""

    name: str = Field(pattern=r"^[A-Za-z_][\w.-]{0,63}$")
    metric: str | None = None
    """The built-in metric, where `name` is another name."""
    options: Mapping[str, JsonValue] = {}
    """What the built-in metric takes, such as `pattern` or `tolerance`."""
    python: str | None = Field(None, pattern=r"^[\w.]+:[\w.]+$")
    """A function of your own: module:function."""
    judge: str | None = Field(None, min_length=1)
    """A judge by its rubric: a built-in one, or a YAML or JSON file with `prompt` and `choices`."""
    model: str | None = Field(None, min_length=1)
    """Model group of the gateway that judges; without one, `judges.model`."""
    rubric: RubricSpec | None = None
    """The rubric itself, in place of a file."""
    parameters: ParametersField = Parameters()
    """Parameters of the judge's model."""
    direction: Direction | None = None
    """Whether a higher value is better; for functions of your own."""
    range: tuple[float, float] | None = None
    """The lowest and the highest possible value; for functions of your own."""
    needs: tuple[Literal["references", "context"], ...] = ()
    """What an example must have to be scored; for functions of your own."""
    source: Literal["code", "judge"] = "code"
    """Who decides; for functions of your own."""

    @field_validator("name", "metric")
    @classmethod
    def _canonical(cls, name: str | None) -> str | None:
        return None if name is None else METRIC_ALIASES.get(name, name)

    @field_validator("range")
    @classmethod
    def _ordered(cls, limits: tuple[float, float] | None) -> tuple[float, float] | None:
        if limits is not None and not limits[0] < limits[1]:
            raise ValueError("must be a lower and a higher number")
        return limits

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [name for name in ("metric", "python", "judge") if getattr(self, name) is not None]
        if len(kinds) > 1:
            raise ValueError(f"gives {' and '.join(kinds)}: give one of them")
        if self.options and (self.python or self.judge):
            raise ValueError("gives options, which only built-in metrics take")
        if self.model and not self.judge and self.source != "judge":
            raise ValueError("gives the model of a judge without `judge`")
        if not self.judge and (self.rubric or self.parameters.to_data()):
            raise ValueError("gives the rubric or the parameters of a judge without `judge`")
        if self.judge and (self.direction or self.range or self.needs or self.source == "judge"):
            raise ValueError("gives direction, range, needs or source, which follow from a judge's rubric")
        return self

    @property
    def kind(self) -> str:
        """`judge`, `python`, or the name of the metric."""
        return JUDGE.rstrip(":") if self.judge else "python" if self.python else self.metric or self.name


class JudgesSpec(Part):
    """What holds for all judges."""

    model: str | None = Field(None, min_length=1, description=described("judges.model"))
    planted: int = Field(50, ge=0, le=1000, description=described("judges.planted"))


def parse_metric(value: Any) -> Any:
    """A mapping, or a text: a name, NAME=OPTION, judge:RUBRIC, or module:function."""
    if isinstance(value, Mapping):
        return {**_default_name(value), **value}
    if not isinstance(value, str):
        return value
    if value.startswith(JUDGE):
        return parse_metric({"judge": value.removeprefix(JUDGE)})
    name, equals, option = value.partition("=")
    if equals and ":" not in name:
        return {"name": name.strip(), "options": {"value": option}}
    return parse_metric({"python": value}) if ":" in value else {"name": value}


def _default_name(value: Mapping[str, Any]) -> dict[str, str]:
    """The name of a metric that has none of its own: its function's, its rubric's, or the built-in metric's."""
    if "python" in value:
        return {"name": str(value["python"]).rpartition(":")[2].rpartition(".")[2]}
    if "judge" in value:
        return {"name": Path(str(value["judge"])).stem}
    return {"name": str(value["metric"])} if "metric" in value else {}


Metric = Annotated[MetricSpec, BeforeValidator(parse_metric, json_schema_input_type=MetricSpec | str | dict[str, Any])]
