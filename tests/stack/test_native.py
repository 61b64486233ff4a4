"""Programs from packages: found in the package, else on the PATH, else one sentence."""

import subprocess
import sys

import pytest

from qa_eval.stack import native


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with a program somewhere in it, whose code must not run."""
    program = tmp_path / "site" / "brings_it" / "bin" / "any-machine" / "server"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "from the package: $@"\n')
    program.chmod(0o755)
    (tmp_path / "site" / "brings_it" / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return program


@pytest.fixture
def on_the_path(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "server"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "from the PATH: $@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-P", native.__file__, *arguments], capture_output=True, text=True, check=False
    )


def test_the_packages_program_comes_before_that_of_the_path(package, on_the_path):
    assert run("brings_it", "server", "--port", "1").stdout == "from the package: --port 1\n"


def test_without_a_build_for_this_machine_the_path_is_searched(on_the_path):
    assert run("brings_nothing", "server", "-x").stdout == "from the PATH: -x\n"


def test_without_any_program_it_is_one_sentence():
    done = run("brings_nothing", "no-such-server")

    assert done.returncode == 1
    assert done.stderr == (
        "The package brings_nothing has no no-such-server for this machine: "
        "install no-such-server so that it is on the PATH.\n"
    )
