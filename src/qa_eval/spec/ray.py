"""Where the work of a run is done: on this machine alone, or by workers on Ray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, JsonValue, field_validator

from qa_eval.spec.base import Part, described
from qa_eval.spec.values import Names, Seconds

NONE = "none"
"""The address that means: without Ray."""


class RayStage(Part):
    """The workers of one stage, and what each of them reserves."""

    workers: int | None = Field(None, ge=1)
    """Number of workers. By default one, but for own tasks as many as the cluster has room for."""
    num_cpus: float = Field(1.0, ge=0)
    """Processor cores of each."""
    num_gpus: float = Field(0.0, ge=0)
    """GPUs of each; a fraction shares one."""
    resources: Mapping[str, float] = {}
    """Custom resources of the cluster, by name."""

    @property
    def required(self) -> dict[str, float]:
        """What each worker reserves, by Ray's names."""
        needed = {"CPU": self.num_cpus, "GPU": self.num_gpus, **self.resources}
        return {name: amount for name, amount in needed.items() if amount}


class RaySpec(Part):
    """A Ray cluster, and what each stage's workers take of it."""

    address: str = Field("local", min_length=1, description=described("ray.address"))
    tasks: RayStage = RayStage()
    """Workers that ask: gateway, LiteLLM SDK, own tasks, judges."""
    metrics: RayStage = RayStage()
    """Workers that compute own metrics."""
    embed: RayStage = RayStage()
    """Workers that compute embeddings."""
    runtime_env: Mapping[str, JsonValue] = {}
    """Ray's runtime environment of the workers: working_dir, py_modules, pip, ..."""
    environment: Names = ()
    """Names of environment variables whose values the workers get."""
    wait: Seconds = 60.0
    """How long a stage may have no worker before the run ends. Ray notices a dead machine within 30 s; an autoscaling
    cluster needs minutes."""

    def to_data(self) -> dict[str, Any]:
        """As JSON or YAML holds it."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @field_validator("address")
    @classmethod
    def _no_client(cls, address: str) -> str:
        if address.startswith("ray://"):
            raise ValueError("must be local, auto or HOST:PORT; with `ray job submit` it is auto")
        return address

    @field_validator("runtime_env")
    @classmethod
    def _no_values(cls, runtime_env: Mapping[str, Any]) -> Mapping[str, Any]:
        if "env_vars" in runtime_env:
            raise ValueError("gives env_vars, which Ray shows: name the variables in `ray.environment`")
        return runtime_env


def parse_ray(value: Any) -> Any:
    """A mapping, or just the address; `none` is no Ray."""
    data = {"address": value} if isinstance(value, str) else value
    return None if isinstance(data, Mapping) and data.get("address") == NONE else data


OptionalRay = Annotated[RaySpec | None, BeforeValidator(parse_ray, json_schema_input_type=RaySpec | str | None)]
