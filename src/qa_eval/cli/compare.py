"""`qa-eval compare`: two or more systems on the same questions, and a gate for a build."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from qa_eval.errors import InputError, RulesBroken

if TYPE_CHECKING:
    from qa_eval.analysis.comparison import Comparison
    from qa_eval.analysis.gate import GateResult

SOURCES = "Runs (name, id, its start, `latest`, RUN:SYSTEM), exports, predictions, results of other tools, experiments."
Dataset = Annotated[
    str | None, typer.Option(metavar="FILE", help="The questions that predictions files answer; as for `score`.")
]
PhoenixUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The Phoenix of experiments named by id.  [default: the local stack's]"),
]


def command(
    sources: Annotated[list[str], typer.Argument(metavar="RUN", help=SOURCES)],
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE", help="On candidate minus baseline: 'f1 < -0.02', 'p95_latency > 0.5'; may repeat."
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE", help="On the candidate's own value: 'em >= 0.6', 'cost < 0.001'; may repeat."),
    ] = None,
    inconclusive: Annotated[
        str,
        typer.Option(metavar="pass|fail", help="What a rule does when the sample cannot tell."),
    ] = "pass",
    primary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC",
            help="Metric whose difference is tested; may repeat.  [default: the baseline run's, else f1]",
        ),
    ] = None,
    dataset: Dataset = None,
    phoenix: PhoenixUrl = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the gate's checks as JUnit XML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")] = False,
) -> None:
    """Compare systems in pairs on their common questions; the first is the baseline.

    Rules see metrics as they are, shares as 0 to 1 over all questions, times in seconds, cost in dollars a question.
    Names: every metric, such as em, f1 and similarity; answered, failed, p50_latency, p95_latency, p50_first_token,
    p95_first_token, cost. A rule fails when its whole 95 % interval violates it; the exit code is then 1.
    """
    from qa_eval.analysis.comparison import compare_systems
    from qa_eval.analysis.gate import OnInconclusive, judge
    from qa_eval.analysis.rules import parse_rules
    from qa_eval.analysis.sources import observe

    if as_json and as_markdown:
        raise InputError("--json and --markdown both print to standard output: give one of them.")
    rules = parse_rules(fail_on or (), require or ())
    if junit is not None and not rules:
        raise InputError("--junit writes what the gate says: give a rule with --fail-on or --require.")
    comparison = compare_systems(observe(sources, dataset=dataset, phoenix=phoenix_of(phoenix, sources)), primary or ())
    result = judge(comparison, rules, cast(OnInconclusive, inconclusive))
    if junit is not None:
        write(junit, result.to_junit())
    _print(comparison, result, as_json=as_json, as_markdown=as_markdown)
    if not result.passed:
        raise RulesBroken(f"the gate failed: {result.reason}.")


def phoenix_of(url: str | None, sources: list[str]) -> str | None:
    """The Phoenix that was named, or the local stack's where one is needed and runs."""
    from qa_eval.analysis.sources.phoenix import is_experiment

    if url is not None or not any(is_experiment(source) for source in sources):
        return url
    from qa_eval import stack

    running = stack.find()
    return None if running is None else running.phoenix_url


def write(path: Path, text: str) -> None:
    """Write a file.

    Raises:
        InputError: It cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}): give another path.") from None


def _print(comparison: Comparison, result: GateResult, *, as_json: bool, as_markdown: bool) -> None:
    judged = bool(result.checks)
    if as_json:
        document = {**comparison.to_json(), "gate": result.to_json() if judged else None}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    elif as_markdown:
        sys.stdout.write(comparison.to_markdown() + (f"\n```\n{result.text}\n```\n" if judged else ""))
    else:
        from qa_eval.cli.comparison_table import print_comparison
        from qa_eval.cli.console import output_console

        print_comparison(output_console(), comparison)
        if judged:
            typer.echo(f"\n{result.text}")
