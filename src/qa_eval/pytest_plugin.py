"""The pytest plugin: a test of any project can demand something of a run, and sees how sure the answer is.

`qa_eval.gate(...)` works in a test as it is. The fixture `qa_eval_gate` takes the same arguments and also puts the
verdict at the end of pytest's output and into its JUnit file, so that an inconclusive rule that passes is still read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from qa_eval.analysis.gate import GateResult

_VERDICTS = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the list of verdicts."""
    config.stash[_VERDICTS] = []


@pytest.fixture
def qa_eval_gate(request: pytest.FixtureRequest) -> Callable[..., GateResult]:
    """`qa_eval.gate`, with its verdict shown whether it passes or fails."""
    from qa_eval.analysis.gate import GateFailed, gate

    def told(result: GateResult) -> None:
        request.config.stash[_VERDICTS].append(f"{request.node.nodeid}\n{result.text}")
        request.node.user_properties.append(("qa_eval_gate", result.text))

    def gated(*sources: Any, **rules: Any) -> GateResult:
        try:
            result = gate(*sources, **rules)
        except GateFailed as failure:
            told(failure.result)
            raise
        told(result)
        return result

    return gated


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show the verdicts of all gates."""
    verdicts = config.stash[_VERDICTS]
    if verdicts:
        terminalreporter.section("qa-eval gates")
        for verdict in verdicts:
            terminalreporter.write_line(verdict)
