"""The result of a run as tables and sentences, on standard output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from qa_eval.cli.console import NO_BREAK, at_hyphens, plain_table, print_text
from qa_eval.spec.metrics import DEFAULT_METRICS
from qa_eval.words import counted

if TYPE_CHECKING:
    from rich.console import Console

    from qa_eval.experiment.calibration import JudgeReport
    from qa_eval.experiment.results import RunResult
    from qa_eval.experiment.summary import ExperimentResult, MetricSummary

SHORT_NAMES = {"exact_match": "EM", "f1": "F1"}
"""How narrow columns and lines call the scores that they have room for."""
MAIN_METRICS = 3
"""So many metrics are in the main table; a terminal of 80 columns has no room for more."""

NARROWEST_NAME = 12
"""So many columns a system's name has at least; where there is no room for it, there is no table."""

METRIC_TITLES = ("metric", "system", "mean", "95 % interval", "n", "not scored")


def show_result(console: Console, result: RunResult, answers: Sequence[str] = ()) -> None:
    """Print the answer, the tables, what they leave out, and the link.

    Args:
        console: Where to print.
        result: What is printed.
        answers: What the comparison of its systems says, a sentence a candidate.
    """
    for sentence in answers:
        print_text(console, sentence, style="bold")
    for line in _stop_lines(result):
        print_text(console, line)
    if answers:
        console.print()
    print_text(console, _title(result))
    _show_systems(console, result.cells(MAIN_METRICS))
    for experiment in result.experiments:
        print_text(console, f"{experiment.system}:")
        for line in _remarks(experiment):
            print_text(console, line, indent=2, hanging=2)
    for line in _pace_lines(result):
        print_text(console, line)
    _show_other_metrics(console, result)
    for line in _judge_lines(result):
        print_text(console, line, hanging=2)
    if result.unwanted:
        whole, policy = sum(len(each.answers) for each in result.experiments), result.metadata.spec.recording.examples
        print_text(console, f"Phoenix has {whole - result.unwanted:,} of {whole:,} answers ({policy}).")
    if result.url:
        print_text(console, f"Dashboard: {result.url}")


def _pace_lines(result: RunResult) -> Iterator[str]:
    """The concurrency that the run settled on, and what is left out of its latency."""
    pace = result.pace
    if pace.words:
        yield f"Pace: {pace.words}."
    if queued := sum(experiment.queued for experiment in result.experiments):
        reasons = ", ".join(dict.fromkeys(str(spell.reason) for spell in pace.spells))
        yield f"Left out of the latency: {counted(queued, 'answer')} that queued ({reasons})."
    if unknown := [each.system for each in result.experiments if each.answered and each.all_queued]:
        yield f"The latency of {', '.join(unknown)} includes waiting: so few answers did not show how many fit at once."


def _stop_lines(result: RunResult) -> Iterator[str]:
    """What the looks at the comparisons saved, or that they settled nothing."""
    design = result.metadata.stop
    if design is None or result.incomplete:
        return
    saved = result.saved
    cost = "" if saved.cost_usd is None else f" and about ${saved.cost_usd:.4f}"
    if saved.questions > 0:
        yield f"Stopping early saved {saved.questions:,} of {saved.planned:,} questions{cost}."
    else:
        yield f"Nothing was settled before the last of {len(design.looks)} looks: all questions were asked."


def _show_systems(console: Console, cells: Sequence[Sequence[str]]) -> None:
    """A row a system; in a terminal that is too narrow for it, a paragraph a system."""
    from rich.text import Text

    # A narrow terminal breaks the titles and the systems' names, never the figures.
    header, *rows = ([name.replace(" ", "\n") for name in cells[0]], *cells[1:])
    figures = sum(2 + max(_width(row[place]) for row in (header, *rows)) for place in range(1, len(header)))
    room = console.width - figures
    if room < NARROWEST_NAME:
        for row in rows:
            print_text(console, row[0], style="bold")
            parts = (f"{title.replace('/ ', '/')} {cell}" for title, cell in zip(cells[0][1:], row[1:], strict=True))
            print_text(console, ", ".join(part.replace(" ", NO_BREAK) for part in parts), indent=2)
        return
    table = plain_table(console)
    for place, name in enumerate(header):
        table.add_column(Text(name), justify="right" if place else "left", no_wrap=True)
    for row in rows:
        table.add_row(Text(at_hyphens(row[0], room)), *map(Text, row[1:]))
    console.print(table)


def _show_other_metrics(console: Console, result: RunResult) -> None:
    """Each metric that is no default one, with a row a system: mean, interval, and what has no score."""
    from rich.text import Text

    others = [name for name in result.metadata.definitions if name not in DEFAULT_METRICS]
    if not others:
        return
    cells = [_metric_cells(each.summary(name), each) for name in others for each in result.experiments]
    titles = METRIC_TITLES if any(row[-1] for row in cells) else METRIC_TITLES[:-1]
    metric = min(NARROWEST_NAME + 4, max(len(row[0]) for row in cells))
    figures = sum(2 + max(len(row[place]) for row in (titles, *cells)) for place in range(2, 5))
    notes = 2 + min(20, max(len(row[-1]) for row in cells)) if len(titles) == len(METRIC_TITLES) else 0
    room = console.width - metric - 2 - figures - notes
    console.print()
    if room < NARROWEST_NAME:
        for name, system, mean, ends, count, unscored in cells:
            found = f"{name} of {system}: {mean} ({ends}), n {count}"
            print_text(console, f"{found}; not scored: {unscored}" if unscored else found, hanging=2)
        return
    table = plain_table(console)
    for place, title in enumerate(titles):
        figure = 2 <= place <= 4
        table.add_column(title, justify="right" if figure else "left", no_wrap=figure, overflow="fold")
    for place, (name, system, *rest) in enumerate(cells):
        is_first = place % len(result.experiments) == 0
        named = at_hyphens(name, metric) if is_first else ""
        table.add_row(*map(Text, (named, at_hyphens(system, room), *rest)[: len(titles)]))
    console.print(table)


def _width(text: str) -> int:
    """Of the longest line."""
    return max(map(len, text.split("\n")))


def _metric_cells(summary: MetricSummary, experiment: ExperimentResult) -> tuple[str, ...]:
    interval = summary.interval
    ends = "-" if interval is None or interval.low is None else f"{interval.low:.3g} to {interval.high:.3g}"
    failures = [f"{count} {name}" for name, count in summary.failures.items()]
    if summary.errors and not failures:
        failures = [f"{summary.errors} errors: {summary.error}"]
    absent = len(experiment.answers) - summary.scored - summary.errors
    return (
        summary.name,
        experiment.system,
        "-" if summary.mean is None else f"{summary.mean:.4g}",
        ends,
        str(summary.scored),
        ", ".join([*failures, *([f"{absent} not applicable"] if absent and not experiment.unscored else [])]),
    )


def _title(result: RunResult) -> str:
    questions = f"{result.dataset}, {result.questions_per_system}"
    if result.metadata.spec.name:
        questions = f"{result.metadata.spec.name}: {questions}"
    if not result.incomplete:
        return questions
    asked = ", ".join(f"{len(experiment.answers)} of {experiment.system}" for experiment in result.experiments)
    unscored = f", {result.unscored} of these not judged" if result.unscored else ""
    return f"STOPPED EARLY, NOT A RESULT: {questions}, only {asked} asked{unscored}"


def _remarks(experiment: ExperimentResult) -> Iterator[str]:
    """What the table does not say of a system."""
    from qa_eval.experiment.tables import first_token_remarks

    built_in = [name for name in ("exact_match", "f1") if name in experiment.metrics]
    if experiment.answered < len(experiment.answers):
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(experiment.outcomes.items()))
        answered = ", ".join(
            f"{SHORT_NAMES[name]} {100 * mean:.2f}"
            for name in built_in
            if (mean := experiment.mean(name, answered_only=True)) is not None
        )
        yield f"{outcomes}; a question without an answer scores 0"
        yield f"over the answered ones alone: {answered or 'no score'}"
    if experiment.blocked:
        yield f"the guardrail blocked {100 * experiment.blocked / len(experiment.answers):.1f} % of the questions"
    if len(experiment.deployments) > 1:
        total = experiment.deployments.total()
        yield ", ".join(f"{100 * n / total:.0f} % {name}" for name, n in experiment.deployments.most_common())
    yield from first_token_remarks(experiment)
    yield from _scored_in_part(experiment)
    yield from _intervals(experiment, built_in)


def _judge_lines(result: RunResult) -> Iterator[str]:
    """What each judge took, and how far it can be trusted."""
    for judge in result.judges:
        cost = "" if judge.cost_usd is None else f", {judge.cost_usd:.4f} USD"
        yield f"judge {judge.metric}: {counted(judge.calls, 'call')} of {judge.model}{cost}"
        if judge.accuracy is not None:
            yield f"  {judge.accuracy.sentence}"
            yield from (f"  {line}" for line in _corrected(result, judge.metric))
        if judge.agreement is not None:
            yield from (f"  {line}" for line in _by_people(result, judge))
    for warning in dict.fromkeys(judge.warning for judge in result.judges if judge.warning):
        yield f"Warning: {warning}."


def show_people(console: Console, result: RunResult, metric: str) -> None:
    """What people's labels say of one judge."""
    for judge in result.judges:
        if judge.metric == metric and judge.agreement is not None:
            print_text(
                console, f"judge {judge.metric} ({judge.model}), {counted(len(judge.labels), 'labelled answer')}"
            )
            console.print(judge.agreement.table(), markup=False)
            for line in _by_people(result, judge):
                print_text(console, line)


def _by_people(result: RunResult, judge: JudgeReport) -> Iterator[str]:
    """How far a judge agrees with people, and what their labels make of its means."""
    assert judge.agreement is not None, "asked before"
    yield judge.agreement.sentence
    for experiment in result.experiments:
        found, raw = experiment.by_people(judge.metric), experiment.mean(judge.metric, answered_only=True)
        if found is not None and raw is not None:
            interval = "" if found.low is None else f" ({found.low:.3f} to {found.high:.3f})"
            yield f"{experiment.system}: {raw:.3f} judged, {found.estimate:.3f}{interval} by people's labels"
        elif raw is not None:
            yield f"{experiment.system}: {raw:.3f} judged; too few of its answers are labelled for a mean by people"


def _corrected(result: RunResult, metric: str) -> Iterator[str]:
    """The means that are corrected for the judge's errors, beside the raw ones."""
    for experiment in result.experiments:
        found = experiment.corrected(metric)
        if found is None:
            continue
        interval = "" if found.low is None else f" ({found.low:.3f} to {found.high:.3f})"
        raw = experiment.mean(metric, answered_only=True)
        yield f"{experiment.system}: {raw:.3f} judged, {found.estimate:.3f}{interval} corrected for the judge's errors"


def _scored_in_part(experiment: ExperimentResult) -> Iterator[str]:
    """How many questions the scores are over, where some have no references."""
    if "f1" in experiment.metrics and experiment.answers:
        scored = experiment.summary("f1").scored
        if 0 < scored < len(experiment.answers):
            yield f"{scored} of {len(experiment.answers)} questions have a reference; EM and F1 are over these"


def _intervals(experiment: ExperimentResult, metrics: Sequence[str]) -> Iterator[str]:
    """How far the scores can be trusted, in a line."""
    parts = []
    for name in metrics:
        estimate = experiment.interval(name)
        if estimate is None:
            yield "nothing is scored"
            return
        if estimate.low is None or estimate.high is None:
            yield str(estimate.reason)
            return
        parts.append(f"{SHORT_NAMES[name]} {100 * estimate.low:.1f} to {100 * estimate.high:.1f}")
    if parts:
        yield f"{', '.join(parts)}, with 95 % confidence"
