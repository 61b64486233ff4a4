"""What all parts of the specification share: their behaviour, their descriptions, parameters of a provider."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PlainSerializer, model_validator

from qa_eval.spec.settings import BY_PATH

_RESERVED = frozenset(("model", "messages", "stream", "stream_options", "n"))


class Part(BaseModel):
    """A part of the specification."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)


def described(path: str) -> str:
    """The one description of a setting, from the table of settings."""
    return BY_PATH[path].help


class Parameters(BaseModel):
    """Parameters of the provider; those that are not named here are passed on as they are."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)
    __pydantic_extra__: dict[str, JsonValue]

    temperature: float | None = Field(None, ge=0, le=2, description=described("parameters.temperature"))
    max_tokens: int | None = Field(None, ge=1, description=described("parameters.max_tokens"))

    @model_validator(mode="after")
    def _ours(self) -> Self:
        taken = sorted(_RESERVED & (self.__pydantic_extra__ or {}).keys())
        if taken:
            raise ValueError(f"cannot set `{taken[0]}`, which qa-eval sets itself")
        if "api_key" in (self.__pydantic_extra__ or {}):
            raise ValueError("cannot set `api_key`: keys come from the environment")
        return self

    def to_data(self) -> dict[str, Any]:
        """What is set."""
        return self.model_dump(mode="json", exclude_none=True)


def _dump_parameters(parameters: Parameters) -> dict[str, Any]:
    return parameters.to_data()


ParametersField = Annotated[Parameters, PlainSerializer(_dump_parameters, return_type=dict[str, Any])]
