"""`qa-eval gateway check` without a gateway: findings, exit codes, and what cannot be checked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from qa_eval.blueprint.gateway import config_path

COMMAND = str(Path(sys.executable).with_name("qa-eval"))


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, "gateway", "check", *arguments], capture_output=True, text=True)


@pytest.fixture
def changed(tmp_path: Path) -> Any:
    """Writes the platform's configuration with a change."""

    def write(change: Any) -> str:
        content = yaml.safe_load(config_path().read_text())
        change(content)
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return write


def test_the_platforms_own_configuration_passes():
    done = check()

    assert done.returncode == 0, done.stdout
    assert done.stdout == ""
    assert "no findings in the configuration" in done.stderr


def test_a_misspelled_guardrail_is_a_finding(changed):
    done = check("--config", changed(lambda c: c["guardrails"][2]["litellm_params"].update(guardrail="bedrocks")))

    assert done.returncode == 1
    assert done.stdout.startswith("shape: guardrails.2.litellm_params (bedrock-content-filter-input)")


def test_findings_as_json(changed):
    path = changed(lambda c: c["model_list"][-1]["litellm_params"].update(model="openai/gpt-x"))

    done = check("--config", path, "--json")

    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert document["config"] == path
    assert document["live"] is False
    assert [finding["rule"] for finding in document["findings"]] == ["shape"]
    assert "(titan-embed)" in document["findings"][0]["message"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--config", "/nowhere/config.yaml"), "cannot be read"),
        (("--call-models",), "add --live"),
        (("--gateway", "http://127.0.0.1:9"), "add --live"),
        (("--live",), "No gateway is running"),
        (("--live", "--gateway", "http://127.0.0.1:9"), "No gateway answers"),
        (("--live", "--gateway", "nonsense"), "is not the address of a server"),
    ],
)
def test_what_cannot_be_checked_is_one_sentence_and_exit_code_2(arguments, sentence):
    done = check(*arguments)

    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_file_that_is_no_configuration_at_all_is_a_finding(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n")

    done = check("--config", str(path))

    assert done.returncode == 1
    assert "the top" in done.stdout
