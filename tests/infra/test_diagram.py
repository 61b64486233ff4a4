"""The picture in the docs shows what is deployed: a resource type is drawn, or is said to be a detail."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from templates import Synthesise

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def architecture() -> ModuleType:
    spec = importlib.util.spec_from_file_location("architecture", DOCS / "architecture.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["architecture"] = module
    spec.loader.exec_module(module)
    return module


def test_every_type_is_drawn_or_a_detail(architecture: ModuleType, synthesise: Synthesise) -> None:
    found = {each["Type"] for each in architecture.resources(synthesise(*architecture.EXAMPLE).folder)}
    drawn = {node.type for node in architecture.NODES.values()}
    assert drawn <= found
    assert not drawn & architecture.DETAILS
    assert found == drawn | architecture.DETAILS


def test_labels_quote_the_templates(architecture: ModuleType, synthesise: Synthesise) -> None:
    assert architecture.facts(architecture.resources(synthesise(*architecture.EXAMPLE).folder)) == {
        "phoenix_paths": "100: /phoenix/*",
        "gateway_paths": "200: /*",
        "gateway_port": "4000",
        "phoenix_port": "6006",
    }


def test_the_picture_is_there() -> None:
    assert (DOCS / "architecture.png").read_bytes().startswith(b"\x89PNG")
    assert "](architecture.png)" in (DOCS / "infra.md").read_text()
