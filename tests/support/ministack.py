"""ministack, an emulator of AWS's network edge, and what has to be taken out of a template before it takes the rest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from qa_eval.deployment.cdk import VERSION
from qa_eval.paths import cache_dir
from qa_eval.stack import environments, ports
from qa_eval.stack.environments import ServerEnvironment

HERE = Path(__file__).parent
ENVIRONMENT = ServerEnvironment("ministack", "ministack", HERE / "ministack.txt", 60)

UNKNOWN: Final = (
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::Bedrock::Guardrail",
    "AWS::Bedrock::GuardrailVersion",
    "AWS::Budgets::Budget",
    "AWS::CloudFront::VpcOrigin",
    "AWS::EC2::EIP",
    "AWS::EC2::FlowLog",
    "AWS::EC2::NatGateway",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::Lex::Bot",
    "AWS::Lex::BotAlias",
    "AWS::Lex::BotVersion",
    "AWS::SNS::Subscription",
    "Custom::AWS",
    "Custom::RunTask",
)
"""What ministack's CloudFormation does not know, or could only do with Docker and Node.js."""


@contextmanager
def ministack(folder: Path) -> Iterator[str]:
    """Run it on loopback; gives its address."""
    environments.ensure(ENVIRONMENT, lambda line: None)
    folder.mkdir(parents=True, exist_ok=True)
    port = ports._free_port([])
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "HOME": str(folder), "PATH": os.environ["PATH"]}
    program = ENVIRONMENT.folder / "bin" / "ministack"
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen([program], env=settings, cwd=folder, stdout=log, stderr=log)
    try:
        _wait(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "ministack ended"
        try:
            urllib.request.urlopen(f"{url}/_ministack/health", timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("ministack did not start in 30 s")


def cdk_command() -> str:
    """The CDK command of our version, installed once in the cache from a lock file; what `QA_EVAL_CDK` may hold."""
    folder = cache_dir().absolute() / "environments" / f"cdk-{VERSION}"
    program = folder / "node_modules" / "aws-cdk" / "bin" / "cdk"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "cdk" / name, folder)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
    return f"{shutil.which('node')} {program}"


def take_out_unknown(assembly: Path) -> set[str]:
    """Reduce an assembly to what ministack knows; return the types that were taken out."""
    taken: set[str] = set()
    for path in assembly.glob("*.template.json"):
        template = json.loads(path.read_text())
        resources: dict[str, Any] = template["Resources"]
        gone = {name for name, each in resources.items() if each["Type"] in UNKNOWN or _is_metric_math(each)}
        taken |= {resources[name]["Type"] for name in gone}
        template["Resources"] = {name: _without(each, gone) for name, each in resources.items() if name not in gone}
        template["Outputs"] = _without(template.get("Outputs", {}), gone)
        path.write_text(json.dumps(template))
    return taken


def _is_metric_math(resource: dict[str, Any]) -> bool:
    """An alarm on an expression; ministack knows those on one metric."""
    return resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]


def _without(value: Any, gone: set[str]) -> Any:
    """A value in which a reference to what is gone is the word `unknown`."""
    if isinstance(value, list):
        return [_without(each, gone) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("Ref") in gone or (value.get("Fn::GetAtt") or [None])[0] in gone:
        return "unknown"
    kept = {name: _without(each, gone) for name, each in value.items()}
    if depends := kept.get("DependsOn"):
        names = [depends] if isinstance(depends, str) else depends
        kept["DependsOn"] = [name for name in names if name not in gone]
    return kept
