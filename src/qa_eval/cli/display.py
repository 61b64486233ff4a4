"""What a run looks like from start to end: progress, the result's table, the gate, and how the command ends.

All progress goes to standard error, the table to standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from qa_eval.cli.console import output_console
from qa_eval.cli.progress import Display
from qa_eval.cli.result_tables import show_result
from qa_eval.errors import Interrupted, RulesBroken, StoppedEarly

if TYPE_CHECKING:
    from qa_eval.analysis.comparison import Comparison
    from qa_eval.analysis.gate import GateResult
    from qa_eval.experiment.results import RunResult


@contextmanager
def showing(display: Display, *, as_json: bool) -> Iterator[Callable[[RunResult], None]]:
    """Show a run while it is in progress; call what this yields with its result. Then end as the run did.

    Args:
        display: Where progress is shown.
        as_json: Print one JSON document instead of the table.
    """
    results: list[RunResult] = []
    try:
        with display:
            yield results.append
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {display.kept()}") from None
    for result in results:
        gate = judge_run(result)
        print_result(result, gate, as_json=as_json)
        _conclude(result, gate)


def print_result(result: RunResult, gate: GateResult | None = None, *, as_json: bool) -> None:
    """Print what a run came to: the answer where it has several systems, the table, the gate."""
    comparison = compare_run(result)
    if as_json:
        document = result.to_json() | {"verdict": None if comparison is None else _verdict_json(comparison)}
        document |= {} if gate is None else {"gate": gate.to_json()}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return
    show_result(output_console(), result, comparison.answers if comparison else ())
    if gate is not None:
        typer.echo(gate.text)


def _conclude(result: RunResult, gate: GateResult | None) -> None:
    """Report what is left to do, and end as the run did."""
    resume = f"`qa-eval resume {result.run_id}`"
    if result.metadata.spec.servers.local:
        typer.echo("The local stack is still running; `qa-eval stack down` stops it.", err=True)
    if result.unrecorded:
        typer.echo(
            f"Phoenix lacks {result.unrecorded} answers. {result.unrecorded_reason} {resume} records them.", err=True
        )
    if result.stopped:
        raise StoppedEarly(f"stopped early: {result.stopped} The answers so far are kept; {resume} continues.")
    if result.unrecorded:
        raise typer.Exit(2)
    if gate is not None and not gate.passed:
        raise RulesBroken(f"the gate failed: {gate.reason}.")


def compare_run(result: RunResult) -> Comparison | None:
    """The systems of a run compared with its baseline; None where there is one, or the run is not whole."""
    if len(result.experiments) < 2 or result.incomplete:
        return None
    from qa_eval.analysis.comparison import compare_systems
    from qa_eval.analysis.sources import observe

    baseline = result.metadata.baseline
    return compare_systems(sorted(observe([result]), key=lambda system: system.name != baseline))


def _verdict_json(comparison: Comparison) -> dict[str, Any]:
    """The answer of a run: the sentences, and the differences that they rest on."""
    return {
        "baseline": comparison.baseline.name,
        "answers": list(comparison.answers),
        "differences": [difference.to_json() for difference in comparison.differences],
        "notes": list(comparison.notes),
    }


def judge_run(result: RunResult) -> GateResult | None:
    """The verdict of the gate in the run's specification; None where it has no rules or the run is not whole."""
    rules = result.metadata.spec.gate
    if not (rules.fail_on or rules.require) or result.incomplete:
        return None
    from qa_eval.analysis.gate import judge_run as judge

    return judge(result)
