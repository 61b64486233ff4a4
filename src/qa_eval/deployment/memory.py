"""The configurations that passed a deployment's verification, for `qa-eval infra rollback`.

In: the settings of a deployment, with image digests. Out: a parameter of Systems Manager with settings and gateway
configuration, compressed; each one that differs is a new version of it, and the last `KEPT` can be deployed again. It
holds no secret: settings have none, and a configuration refers to its own by the names of variables.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from qa_eval._version import __version__
from qa_eval.aws.client import aws_errors, client
from qa_eval.errors import DeploymentError

if TYPE_CHECKING:
    from qa_eval_infra.settings import QaEvalSettings

KEPT: Final = 10
LARGEST: Final = 8 * 1024
"""Characters of a parameter, at most."""
_MISSING: Final = ("ParameterNotFound", "ParameterVersionNotFound")


@dataclass(frozen=True)
class RememberedConfiguration:
    """A configuration that passed."""

    version: int
    passed: datetime
    library: str
    """The version of qa-eval that deployed it."""
    settings: dict[str, Any]
    config: str
    """The text of the gateway's configuration."""
    config_suffix: str


def remember(settings: QaEvalSettings, on_progress: Callable[[str], None]) -> None:
    """Keep a configuration that passed, unless it is the one that was kept last.

    Args:
        settings: The settings, with image digests.
        on_progress: Called with what keeps it from being remembered.

    Raises:
        DeploymentError: AWS refuses.
    """
    value = _packed(settings)
    if len(value) > LARGEST:
        on_progress(f"The configuration is too large to be remembered for a rollback ({len(value):,} characters).")
        return
    name = _name(settings.name)
    last = _read(name, settings.region)
    if last is None or last["Value"] != value:
        with aws_errors():
            client("ssm", settings.region).put_parameter(
                Name=name,
                Description="The last configuration of qa-eval that passed its verification",
                Value=value,
                Type="String",
                Tier="Intelligent-Tiering",
                Overwrite=True,
            )


def recall(name: str, region: str, version: int | None = None) -> RememberedConfiguration:
    """A configuration that passed, by default the last one.

    Raises:
        DeploymentError: There is none, or not this version, or AWS refuses.
    """
    last = _read(_name(name), region)
    if last is None:
        raise DeploymentError(
            f"No configuration of {name} in {region} is remembered: only one that passes the verification of "
            "`qa-eval infra deploy` is. Deploy older settings instead."
        )
    newest = int(last["Version"])
    if version is None or version == newest:
        return _unpacked(last)
    found = _read(f"{_name(name)}:{version}", region) if newest - KEPT < version < newest else None
    if found is None:
        raise DeploymentError(
            f"Version {version} of the configurations of {name} is not remembered: give one from "
            f"{max(1, newest - KEPT + 1)} to {newest}."
        )
    return _unpacked(found)


def restore(remembered: RememberedConfiguration, folder: Path) -> QaEvalSettings:
    """The settings of a remembered configuration, whose gateway configuration is written to a folder.

    Raises:
        DeploymentError: This version of qa-eval does not take them, or the folder cannot be written.
    """
    from pydantic import ValidationError

    from qa_eval_infra.settings import QaEvalSettings

    config = folder.absolute() / f"remembered-{remembered.version}{remembered.config_suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.write_text(remembered.config, encoding="utf-8", newline="")
        return QaEvalSettings.model_validate({**remembered.settings, "config": config})
    except OSError as error:
        raise DeploymentError(f"{config} cannot be written ({error.strerror}): give another `output`.") from None
    except ValidationError as error:
        name = ".".join(str(part) for part in error.errors()[0]["loc"]) or "settings"
        raise DeploymentError(
            f"This version of qa-eval does not take the remembered {name}: use version {remembered.library}, which "
            "deployed it."
        ) from None


def is_deployed(settings: QaEvalSettings, assembly: Path) -> bool:
    """Whether the stacks' templates are those of an assembly.

    Raises:
        DeploymentError: AWS refuses.
    """
    from qa_eval_infra.settings import CLOUDFRONT_REGION

    stacks = {settings.name: settings.region}
    if settings.needs_edge_stack:
        stacks[settings.edge_stack] = CLOUDFRONT_REGION
    return all(
        _template(name, region) == json.loads((assembly / f"{name}.template.json").read_text(encoding="utf-8"))
        for name, region in stacks.items()
    )


def forget(name: str, region: str) -> None:
    """Remove all remembered configurations.

    Raises:
        DeploymentError: AWS refuses.
    """
    with aws_errors():
        client("ssm", region).delete_parameters(Names=[_name(name)])


def _name(name: str) -> str:
    return f"/qa-eval/{name}/configuration"


def _template(stack: str, region: str) -> Any:
    with aws_errors():
        try:
            found = client("cloudformation", region).get_template(StackName=stack, TemplateStage="Original")
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            return None
    body = found["TemplateBody"]
    return json.loads(body) if isinstance(body, str) else body


def _read(name: str, region: str) -> dict[str, Any] | None:
    with aws_errors():
        try:
            return dict(client("ssm", region).get_parameter(Name=name)["Parameter"])
        except ClientError as error:
            if error.response["Error"]["Code"] not in _MISSING:
                raise
            return None


def _packed(settings: QaEvalSettings) -> str:
    document = {
        "library": __version__,
        "settings": settings.model_dump(mode="json", exclude={"config"}),
        "config": settings.config_file.read_bytes().decode(),
        "config_suffix": settings.config_file.suffix,
    }
    return base64.b64encode(zlib.compress(json.dumps(document).encode(), 9)).decode()


def _unpacked(parameter: dict[str, Any]) -> RememberedConfiguration:
    try:
        document = json.loads(zlib.decompress(base64.b64decode(parameter["Value"])))
        passed = parameter["LastModifiedDate"].astimezone(UTC)
        return RememberedConfiguration(version=int(parameter["Version"]), passed=passed, **document)
    except (ValueError, zlib.error, TypeError):
        raise DeploymentError(
            f"The parameter {parameter['Name']} holds no configuration of qa-eval: delete it in Systems Manager."
        ) from None
