"""Synthesis as a user runs it: from any folder, quickly, without credentials, without network, without noise."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qa_eval.errors import DeploymentError
from qa_eval_infra.app import prepare, synth
from qa_eval_infra.settings import QaEvalSettings

COMMAND = [sys.executable, "-m", "qa_eval.cli.main", "infra", "synth", "--output", "out"]
FEW = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def without_network() -> list[str]:
    """A prefix that takes the network away, where this user may do so."""
    cut = ["unshare", "--net", "--map-root-user"]
    may = shutil.which("unshare") and subprocess.run([*cut, "true"], check=False, capture_output=True).returncode == 0
    return cut if may else []


def test_synth_needs_no_account_no_network_and_little_time(tmp_path: Path) -> None:
    begun = _cpu_of_children()
    done = subprocess.run(
        [*without_network(), *COMMAND],
        cwd=tmp_path,
        env={**FEW, "HOME": str(Path.home()), "AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    took = _cpu_of_children() - begun
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["out/qa-eval-edge.template.json", "out/qa-eval.template.json"]
    assert done.stderr == "", "jsii's page about Node.js included"
    assert "missing" not in json.loads((tmp_path / "out" / "manifest.json").read_text())
    # 3 s here, of which 2.9 are CPU time, which a busy machine does not change. Compiling aws-cdk-lib's bytecode, where
    # it was not kept, takes 5 s more.
    assert took < 10 or not _keeps_bytecode(), took


def _cpu_of_children() -> float:
    """Seconds of CPU time of every process that was started and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _keeps_bytecode() -> bool:
    import aws_cdk

    return Path(str(aws_cdk.__cached__)).exists()


def test_the_same_settings_become_the_same_templates(tmp_path: Path) -> None:
    first, second = (synth(QaEvalSettings(), tmp_path / name) for name in ("a", "b"))
    for path in first.glob("*.json"):
        if path.name != "tree.json":
            assert path.read_text() == (second / path.name).read_text(), path.name


def test_a_stack_that_is_no_longer_wanted_leaves_no_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for settings in (QaEvalSettings(), QaEvalSettings(waf=False)):
        written = synth(settings, Path("out"))
    assert [path.name for path in written.glob("*.template.json")] == ["qa-eval.template.json"]


def test_without_node_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JSII_NODE", raising=False)
    with pytest.raises(DeploymentError, match=r"Node\.js is missing"):
        prepare()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeploymentError, match="cannot be written"):
        synth(QaEvalSettings(), tmp_path / "file" / "out")


@pytest.mark.parametrize("command", [["infra", "--help"], ["infra", "deploy", "--help"]])
def test_the_help_loads_nothing_heavy(command: list[str]) -> None:
    code = (
        "import sys, qa_eval.cli.main as m\n"
        f"try: m.app({command!r})\n"
        "except SystemExit: pass\n"
        "print('HEAVY', *{name.split('.')[0] for name in sys.modules} & {'aws_cdk', 'boto3', 'httpx', 'yaml'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY"
