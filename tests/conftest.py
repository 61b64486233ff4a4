"""What every test has: folders of its own. What a test may ask for: the real stack, started once for all."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_gateway import Answer, FakeGateway, Serve

from qa_eval import stack as local_stack
from qa_eval.stack.ports import is_free


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees, or changes, what the user has. The cache stays the user's: it holds the servers' environments."""
    monkeypatch.setenv("QA_EVAL_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture(scope="session")
def stack_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the session's stack."""
    return tmp_path_factory.mktemp("stack")


@pytest.fixture(scope="session")
def stack(stack_folder: Path) -> Iterator[local_stack.RunningStack]:
    """The real stack: Phoenix, LiteLLM, local Bedrock and model, up until the last test has ended.

    With QA_EVAL_TEST_POSTGRES=1, Phoenix keeps its records in PostgreSQL: `make test` runs what records on both.
    """
    # Ports that neither another stack nor the system takes while a test restarts a server: `make test` runs two
    # processes, each with a stack, and both would choose the defaults.
    edge, gateway, phoenix, *_ = filter(is_free, random.sample(range(20_000, 32_000), 50))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QA_EVAL_DATA_DIR", str(stack_folder))
        running = local_stack.up(
            port=edge,
            gateway_port=gateway,
            phoenix_port=phoenix,
            postgres=bool(os.environ.get("QA_EVAL_TEST_POSTGRES")),
        )
    yield running
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QA_EVAL_DATA_DIR", str(stack_folder))
        local_stack.down()


@pytest.fixture
def in_stack_folder(
    stack: local_stack.RunningStack, stack_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> local_stack.RunningStack:
    """The session's stack, for a test whose commands shall find it (`status`, `--local`, ...)."""
    monkeypatch.setenv("QA_EVAL_DATA_DIR", str(stack_folder))
    return stack


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts fake gateways, and closes them when the test has ended."""
    started: list[FakeGateway] = []

    def start(answer: Answer) -> FakeGateway:
        started.append(FakeGateway(answer))
        return started[-1]

    yield start
    for gateway in started:
        gateway.close()
