"""The archive of the canary's function: small enough, and complete without the environment that made it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from aws_edge import AwsEdge, no_account
from fake_gateway import KEY

from qa_eval.blueprint.canary import HOOK_VARIABLE
from qa_eval.data import load_dataset
from qa_eval.deployment import package
from qa_eval.errors import DeploymentError

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
RUNTIME = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""What Lambda's own Python has."""
linux = pytest.mark.skipif(sys.platform != "linux", reason="the archive holds programs for Linux")

_CALL = """
import json, sys
sys.path[:0] = sys.argv[1:3]
from qa_eval.deployment.canary_hook import lambda_handler
class Context:
    def get_remaining_time_in_millis(self):
        return 90_000
print(json.dumps(lambda_handler(json.load(sys.stdin), Context())))
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive for this machine's Python, as Lambda unpacks it."""
    folder = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(package.build(ARCHITECTURE, print, HERE)) as archive:
        archive.extractall(folder)
    return folder


@linux
def test_the_function_runs_with_nothing_but_its_archive(unpacked: Path, tmp_path: Path, serve: Any) -> None:
    answers = {each.question: each.references[0] for each in load_dataset("sample", examples=100)}
    gateway = serve(lambda _, prompt: next(answers[question] for question in answers if question in prompt))

    def account(asked: Any) -> tuple[int, Any]:
        body = json.loads(asked.body)
        if "SecretId" in body:
            return 200, {"SecretString": KEY}
        if "serviceRevisionArns" in body:
            return 200, {"serviceRevisions": [{"taskDefinition": body["serviceRevisionArns"][0]}]}
        told = {"name": "QA_EVAL_RELEASE", "value": json.dumps({"model": "qa", "instruction": None})}
        return 200, {"taskDefinition": {"containerDefinitions": [{"environment": [told]}]}}

    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name in RUNTIME:
        found = find_spec(name)
        assert found is not None
        assert found.origin
        source = Path(found.origin).parent if found.submodule_search_locations else Path(found.origin)
        (runtime / source.name).symlink_to(source)
    aws = AwsEdge(account)
    settings = {"gateway_url": gateway.url, "key_secret": "k", "header_secret": "h", "fail_on": ["f1 < -0.05"]}
    settings |= {"examples": 20, "budget_usd": 1, "inconclusive": "fail"}
    event = {"targetServiceRevisionArn": "new", "testTrafficWeights": {"new": 100}}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _CALL, str(unpacked), str(runtime)],
        input=json.dumps({**event, "productionTrafficWeights": {"old": 100}}),
        env={**no_account(), "AWS_ENDPOINT_URL": aws.url, HOOK_VARIABLE: json.dumps(settings), "HOME": str(tmp_path)}
        | {"QA_EVAL_DATA_DIR": str(tmp_path / "data"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    aws.close()
    assert done.returncode == 0, done.stderr
    answer, modules = done.stdout.splitlines()
    assert json.loads(answer) == {"hookStatus": "SUCCEEDED"}, done.stderr
    assert not {"onnxruntime", "tokenizers", "pandas", "litellm", "datasets"} & set(modules.split())


@linux
def test_it_fits_into_lambda_and_is_the_same_archive_again(unpacked: Path, tmp_path: Path) -> None:
    found = package.archive(ARCHITECTURE, HERE)
    with zipfile.ZipFile(found) as packed:
        assert sum(each.file_size for each in packed.infolist()) < package.LIMIT
    assert package.build(ARCHITECTURE, lambda line: pytest.fail(line), HERE) == found


def test_a_changed_lock_is_another_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = package.archive("arm64")
    assert before != package.archive("x86_64")
    (tmp_path / "lock").write_text("numpy==1")
    monkeypatch.setattr(package, "_lock", lambda: tmp_path / "lock")
    assert package.archive("arm64") != before


def test_synth_without_it_says_what_packs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_EVAL_CACHE_DIR", str(tmp_path))
    with pytest.raises(DeploymentError, match="run `qa-eval infra diff` or `qa-eval infra deploy`"):
        package.find("x86_64")


def test_what_cannot_be_installed_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_EVAL_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "lock").write_text("numpy==2.5.5\n")
    monkeypatch.setattr(package, "_lock", lambda: tmp_path / "lock")
    with pytest.raises(DeploymentError, match=r"uv says .*hash"):
        package.build("x86_64", lambda line: None)
    assert list((tmp_path / "cache" / "functions").iterdir()) == []
