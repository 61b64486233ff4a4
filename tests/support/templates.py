"""Synthesised templates, as CloudFormation would read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa_eval_infra.settings import QaEvalSettings

DOMAIN = ("domain=qa.example.org", "hosted_zone_id=Z0123456789")

Resource = dict[str, Any]


@dataclass(frozen=True)
class Platform:
    """What one choice of settings becomes."""

    settings: QaEvalSettings
    folder: Path

    @property
    def home(self) -> dict[str, Any]:
        """The template of the home stack."""
        return self._template(self.settings.name)

    @property
    def edge(self) -> dict[str, Any]:
        """The template of the stack in us-east-1; empty where there is none."""
        return self._template(f"{self.settings.name}-edge")

    @property
    def templates(self) -> dict[str, str]:
        """Every template's text by its file's name."""
        return {path.name: path.read_text() for path in sorted(self.folder.glob("*.template.json"))}

    def all(self, kind: str) -> dict[str, Resource]:
        """The properties of all resources of a type, in both stacks, by their names in the template."""
        both = {**self.home["Resources"], **self.edge["Resources"]}
        return {name: each.get("Properties", {}) for name, each in both.items() if each["Type"] == kind}

    def only(self, kind: str, having: str = "") -> Resource:
        """The properties of the one resource of a type whose name holds a text."""
        (found,) = [each for name, each in self.all(kind).items() if having in name]
        return found

    def container(self, task: str) -> Resource:
        """The one container of a task definition whose name begins so."""
        (container,) = self.only("AWS::ECS::TaskDefinition", task)["ContainerDefinitions"]
        return dict(container)

    def _template(self, stack: str) -> dict[str, Any]:
        path = self.folder / f"{stack}.template.json"
        return json.loads(path.read_text()) if path.exists() else {"Resources": {}}


Synthesise = Callable[..., Platform]
