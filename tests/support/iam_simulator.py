"""What IAM would decide about a synthesised role, by a simulator of its rules (npm, for these tests only)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from templates import Platform

ACCOUNT = "123456789012"
_SOURCE = Path(__file__).parent / "iam"
_KINDS = {
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{name}",
    "AWS::ECS::Cluster": "ecs:{region}:{account}:cluster/{name}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::Bedrock::Guardrail": "bedrock:{region}:{account}:guardrail/{name}",
}


@dataclass(frozen=True)
class Request:
    """One call of a role; the resource is an ARN, `*`, or the beginning of a resource's name in the template."""

    role: str
    action: str
    resource: str
    conditions: Mapping[str, str] = field(default_factory=dict)


class Account:
    """An account in which a platform's home stack is deployed: its resources have ARNs made of their names."""

    def __init__(self, platform: Platform) -> None:
        self._region = platform.settings.region
        self._resources = platform.home["Resources"]

    def name(self, beginning: str) -> str:
        """The full name of the one resource with an ARN whose name begins so."""
        found = [
            name for name, each in self._resources.items() if name.startswith(beginning) and each["Type"] in _KINDS
        ]
        assert len(found) == 1, f"{beginning}: {found}"
        return found[0]

    def arn(self, name: str) -> str:
        """A resource's ARN."""
        resource = self._resources[name]
        if resource["Type"] == "AWS::SecretsManager::SecretTargetAttachment":
            return str(self._resolved(resource["Properties"]["SecretId"]))
        kind = _KINDS[resource["Type"]]
        return "arn:aws:" + kind.format(region=self._region, account=ACCOUNT, name=name)

    def described(self, request: Request) -> dict[str, Any]:
        """A request with the role's policies, as the simulator takes it."""
        role = self.name(request.role)
        attached = [
            self._resolved(each["Properties"]["PolicyDocument"])
            for each in self._resources.values()
            if each["Type"] == "AWS::IAM::Policy" and {"Ref": role} in each["Properties"]["Roles"]
        ]
        is_given = request.resource.startswith(("arn:", "*"))
        resource = request.resource if is_given else self.arn(self.name(request.resource))
        return {
            "role": role,
            "policies": attached,
            "action": request.action,
            "resource": resource,
            "conditions": dict(request.conditions),
        }

    def _resolved(self, value: Any) -> Any:
        """A value of the template without CloudFormation's functions."""
        match value:
            case {"Ref": "AWS::Partition"}:
                return "aws"
            case {"Ref": "AWS::AccountId"}:
                return ACCOUNT
            case {"Ref": "AWS::StackId"}:
                return f"arn:aws:cloudformation:{self._region}:{ACCOUNT}:stack/qa-eval/1"
            case {"Ref": name} | {"Fn::GetAtt": [name, "Arn" | "GuardrailArn"]}:
                return self.arn(name)
            case {"Fn::Sub": str(text)}:
                return text.replace("${AWS::AccountId}", ACCOUNT)
            case {"Fn::Join": [separator, parts]}:
                return separator.join(self._resolved(part) for part in parts)
            case dict():
                return {name: self._resolved(each) for name, each in value.items()}
            case list():
                return [self._resolved(each) for each in value]
            case _:
                return value


def install(folder: Path) -> Path:
    """Install the simulator, by its lock file, and return its program."""
    for path in _SOURCE.iterdir():
        shutil.copy(path, folder)
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(["npm", "ci", *quiet], cwd=folder, check=True, capture_output=True)
    return folder / "simulate.mjs"


def decide(program: Path, account: Account, requests: Sequence[Request]) -> list[str]:
    """What IAM would decide about each request: Allowed, ImplicitlyDenied or ExplicitlyDenied."""
    described = [account.described(request) for request in requests]
    done = subprocess.run(
        ["node", str(program)], input=json.dumps(described), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))
