"""The Lambda asset as Lambda runs it: packaged, in a process of its own, with nothing to import but what the runtime
ships."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path
from typing import Any

import pytest
from aws_edge import Asked, AwsEdge, no_account
from fake_gateway import KEY, error

from qa_eval.blueprint.bot import ASSET_PACKAGE, HANDLER, asset_root
from qa_eval.blueprint.chatbot.messages import SORRY
from qa_eval.chatbot.local import lex_event

SHIPPED = ("urllib3", "boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six")
RUNTIME = """
import json, sys, time
sys.path[:0] = sys.argv[1:3]
from chatbot.handler import lambda_handler

class Context:
    aws_request_id = "request-1"
    def get_remaining_time_in_millis(self):
        return 28000

print(json.dumps([lambda_handler(event, Context()) for event in json.load(sys.stdin)]))
"""


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with what the Lambda runtime ships, and nothing else."""
    folder = tmp_path_factory.mktemp("runtime")
    for name in SHIPPED:
        for file in files(name) or []:
            if file.parts[0] not in ("..", "__pycache__") and "__pycache__" not in file.parts:
                target = folder / Path(*file.parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.exists():
                    target.symlink_to(Path(str(file.locate())))
    return folder


@pytest.fixture
def asset(tmp_path: Path) -> Path:
    """The asset, without what CDK leaves out."""
    folder = tmp_path / "asset"
    source = asset_root() / ASSET_PACKAGE
    shutil.copytree(source, folder / ASSET_PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def invoke(runtime: Path, asset: Path, events: list[Any], **environment: str) -> tuple[list[dict[str, Any]], str]:
    """The responses of one process to some events, and its log."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", RUNTIME, str(asset), str(runtime)],
        input=json.dumps(events),
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], **environment},
        check=True,
    )
    return json.loads(done.stdout), done.stderr


def event(message: str) -> dict[str, Any]:
    return lex_event("session-1", message, {}, {})


def test_nothing_of_ours_is_there_to_import(runtime, asset):
    code = "import sys; sys.path[:0] = sys.argv[1:]; import chatbot.handler, urllib3, boto3; import qa_eval"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(asset), str(runtime)], capture_output=True, text=True, check=False
    )

    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'qa_eval'"


def test_with_the_key_in_the_environment(runtime, asset, serve):
    gateway = serve(lambda fake, prompt: "Into the Mulde.")
    settings = {"LITELLM_ENDPOINT": f"{gateway.url}/v1", "LITELLM_MODEL": "nova-lite", "LITELLM_API_KEY": KEY}
    (response,), log = invoke(runtime, asset, [event("Where does it flow?")], **settings)

    assert response["messages"] == [{"contentType": "PlainText", "content": "Into the Mulde."}]
    assert gateway.requests[0]["model"] == "nova-lite"
    assert "Mulde" not in log
    assert KEY not in log


def test_with_the_key_in_secrets_manager(runtime, asset, serve):
    def secret(asked: Asked) -> tuple[int, Any]:
        return 200, {"SecretString": KEY if json.loads(asked.body)["SecretId"] == "arn:of:it" else "another"}

    gateway = serve(
        lambda fake, prompt: "Yes." if f"Bearer {KEY}" in fake.headers[-1].values() else error(401),
    )
    manager = AwsEdge(secret)
    settings = {"LITELLM_ENDPOINT": f"{gateway.url}/v1", "LITELLM_MODEL": "qa"}
    settings |= {"LITELLM_API_KEY_SECRET_ARN": "arn:of:it", "AWS_ENDPOINT_URL_SECRETS_MANAGER": manager.url}
    responses, log = invoke(runtime, asset, [event("Is it?"), event("Really?")], **settings, **no_account())
    manager.close()

    assert [response["messages"][0]["content"] for response in responses] == ["Yes.", "Yes."]
    assert len(manager.asked) == 1
    assert KEY not in log


def test_without_any_settings_there_is_an_apology(runtime, asset):
    (response,), _ = invoke(runtime, asset, [event("Anybody?")])

    assert response["messages"][0]["content"] == SORRY
    assert response["sessionState"]["intent"]["state"] == "Failed"


def test_the_entry_point_is_in_the_asset(asset):
    module, _, function = HANDLER.rpartition(".")

    assert f"def {function}(" in (asset / f"{module.replace('.', '/')}.py").read_text()


def test_it_imports_the_standard_library_and_what_the_runtime_ships():
    names: set[str] = set()
    for path in (asset_root() / ASSET_PACKAGE).rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    foreign = {name.split(".")[0] for name in names} - sys.stdlib_module_names

    assert foreign == {"urllib3", "boto3", "botocore"}
