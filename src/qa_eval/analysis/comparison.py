"""Systems on the same questions, in pairs: what differs, how surely, and what that means in plain words.

The first system is the baseline; every other is a candidate. All are compared on the questions that all of them
have. Each difference is candidate minus baseline with a 95 % interval. The p-values of the scores (exact match, F1,
similarity) are corrected by Holm's method over all scores and candidates, and a score counts as better or worse only
where the corrected one is at most 0.05. Latency, cost and shares stand beside them with their intervals, untested.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa_eval.analysis.measures import MEASURES, Measure, Unit, comparable, difference, own_value, paired_values
from qa_eval.analysis.observations import INCOMPLETE, Observation, Observations, Question
from qa_eval.analysis.sources import Source, observe
from qa_eval.data.examples import Dataset
from qa_eval.errors import InputError
from qa_eval.statistics import (
    Estimate,
    Limit,
    PairedDifference,
    SampleSize,
    examples_needed,
    holm,
    minimum_detectable_difference,
)

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "qa-eval/compare@1"
ALPHA = 0.05
WORTH_SHOWING = 0.02
"""The difference of a score, 0 to 1, for which the verdict says how many questions would show it."""
PLANNED_POWER = 0.87
"""What detectable differences and sample sizes are planned for, so that the gate's power is at least 0.8: its
interval is a little wider than the normal theory's behind the plan. `benchmarks/gate.py` measures it."""
CHANGED = 10
"""How many of the most changed questions are listed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One candidate against the baseline in one measure."""

    candidate: str
    measure: Measure
    before: Estimate
    """The baseline's own value."""
    after: Estimate
    """The candidate's own value."""
    estimate: Estimate
    """Candidate minus baseline."""
    p_value: float | None = None
    """Corrected by Holm's method over all scores and candidates; None for what is not tested."""
    detectable: float | None = None
    """The true difference of a score that a sample like this shows in 4 of 5 cases; None where it cannot be said."""
    needed: SampleSize | None = None
    """What it takes to show `WORTH_SHOWING`; scores only."""

    @property
    def is_score(self) -> bool:
        """Whether it is tested."""
        return bool(self.measure.score)

    @property
    def same(self) -> bool:
        """Whether the two do not differ on a single question."""
        return isinstance(self.estimate, PairedDifference) and self.estimate.differing == 0

    @property
    def shown(self) -> bool:
        """Whether the sample shows a difference: its interval leaves out 0 and, for a score, the test agrees."""
        low, high = self.estimate.low, self.estimate.high
        outside = low is not None and high is not None and not low <= 0.0 <= high
        if self.p_value is None:
            return outside
        return self.p_value <= ALPHA and (outside or low is None)

    @property
    def better(self) -> bool:
        """Whether the candidate's value is the better one."""
        return (self.estimate.estimate > 0) == self.measure.higher_is_better

    def to_json(self) -> dict[str, Any]:
        """As the JSON document has it."""
        estimate, needed = self.estimate, self.needed
        return {
            "candidate": self.candidate,
            "measure": self.measure.name,
            "baseline_value": self.before.estimate,
            "candidate_value": self.after.estimate,
            "difference": estimate.estimate,
            "low": estimate.low,
            "high": estimate.high,
            "confidence": estimate.confidence,
            "reason": estimate.reason,
            "method": estimate.method,
            "p_value": estimate.p_value if isinstance(estimate, PairedDifference) and self.is_score else None,
            "p_value_corrected": self.p_value,
            "differing": estimate.differing if isinstance(estimate, PairedDifference) else None,
            "shown": self.shown,
            "detectable": self.detectable,
            "needed": None if needed is None else {"difference": WORTH_SHOWING, **asdict(needed)},
        }


@dataclass(frozen=True, slots=True)
class Changed:
    """A question on which a candidate does not score as the baseline does."""

    candidate: str
    question: Question
    before: Observation
    after: Observation

    @property
    def change(self) -> float:
        """Candidate minus baseline in the first score that differs, F1 first."""
        changes = (self.after.scores[name] - self.before.scores[name] for name in _changing(self.before, self.after))
        return next((change for change in changes if change), 0.0)

    def to_json(self) -> dict[str, Any]:
        """As the JSON document has it."""
        return {
            "candidate": self.candidate,
            "example_id": self.question.id,
            "title": self.question.title,
            "question": self.question.text,
            "references": list(self.question.references),
            "change": self.change,
            "baseline": _side(self.before),
            "candidate_answer": _side(self.after),
        }


@dataclass(frozen=True)
class Comparison:
    """What came out; in Jupyter a table, `to_pandas()` one row a difference."""

    baseline: Observations
    """On the common questions, like the candidates."""
    candidates: tuple[Observations, ...]
    differences: tuple[Difference, ...]
    left_out: dict[str, int]
    """How many questions of each system the others do not have."""
    notes: tuple[str, ...]
    """What was not compared, and why."""
    changed: tuple[Changed, ...]
    """The most changed questions, of all candidates."""

    @property
    def systems(self) -> tuple[Observations, ...]:
        """The baseline, then the candidates."""
        return (self.baseline, *self.candidates)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """A sentence a candidate."""
        return tuple(verdict(self, candidate.name) for candidate in self.candidates)

    def of(self, candidate: str) -> tuple[Difference, ...]:
        """One candidate's differences."""
        return tuple(each for each in self.differences if each.candidate == candidate)

    def describe_questions(self) -> str:
        """How many questions are compared and how many are not."""
        articles = len({item.question.title for item in self.baseline.items.values()})
        told = f"{len(self.baseline):,} common questions from {articles} articles"
        alone = [f"{count:,} of {name}" for name, count in self.left_out.items() if count]
        return f"{told}; not common and left out: {', '.join(alone)}" if alone else f"{told}; none left out"

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints; `schema` names its version."""
        return {
            "schema": SCHEMA,
            "baseline": self.baseline.name,
            "candidates": [candidate.name for candidate in self.candidates],
            "common": len(self.baseline),
            "left_out": self.left_out,
            "alpha": ALPHA,
            "correction": "Holm over all scores and candidates",
            "verdicts": list(self.verdicts),
            "differences": [each.to_json() for each in self.differences],
            "changed": [each.to_json() for each in self.changed],
            "notes": list(self.notes),
        }

    def to_pandas(self) -> pd.DataFrame:
        """One row a candidate and measure."""
        import pandas as pd

        return pd.json_normalize([each.to_json() for each in self.differences])

    def rows(self) -> list[tuple[str, ...]]:
        """The table's lines below `HEADER`, as texts."""
        return [_row(each) for each in self.differences]

    def to_markdown(self) -> str:
        """For a pull request: verdicts, the table, the most changed questions."""
        lines = [f"**{_escaped(sentence)}**\n" for sentence in self.verdicts]
        lines += [f"{_escaped(self.describe_questions())}. Baseline: {_escaped(self.baseline.name)}.\n"]
        lines += _markdown_table(HEADER, self.rows())
        if self.changed:
            lines += ["", "<details><summary>The questions that changed most</summary>\n"]
            lines += _markdown_table(CHANGED_HEADER, [changed_row(each) for each in self.changed])
            lines += ["\n</details>"]
        lines += [f"\n{_escaped(note)}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        lines = [*self.verdicts, self.describe_questions()]
        widths = [max(len(row[i]) for row in (HEADER, *self.rows())) for i in range(len(HEADER))]
        for row in (HEADER, *self.rows()):
            lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        def line(cells: Iterable[str], tag: str) -> str:
            return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

        told = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in (*self.verdicts, self.describe_questions()))
        return f"{told}<table>{line(HEADER, 'th')}{''.join(line(row, 'td') for row in self.rows())}</table>"


HEADER = ("candidate", "measure", "baseline", "candidate's", "difference", "95 % interval", "p (Holm)")
CHANGED_HEADER = ("candidate", "change", "question", "references", "baseline's answer", "candidate's answer")


def compare(*sources: Source, dataset: Dataset | str | Path | None = None, phoenix: str | None = None) -> Comparison:
    """Compare systems on their common questions; the first is the baseline.

    Args:
        sources: Results of `run_experiment`, or the names of runs, exports, predictions files or Phoenix experiments.
        dataset: The questions that predictions files answer.
        phoenix: The base URL of the Phoenix that holds experiments named by their id.

    Raises:
        InputError: There are not two systems, they have no question in common, or a source cannot be read.
        PhoenixError: Phoenix is not there, or has no such experiment.
    """
    return compare_systems(observe(sources, dataset=dataset, phoenix=phoenix))


def compare_systems(systems: Sequence[Observations]) -> Comparison:
    """Compare systems that are read already.

    Raises:
        InputError: There are not two systems, or they have no question in common.
    """
    if len(systems) < 2:
        named = f" and this is one, {systems[0].name}" if systems else ""
        raise InputError(f"A comparison takes two systems{named}: name another run, file or experiment.")
    common = [key for key in systems[0].items if all(key in system.items for system in systems)]
    if not common:
        names = " and ".join(system.name for system in systems)
        raise InputError(f"{names} have no question in common: compare runs of one dataset.")
    baseline, *candidates = (system.only(common) for system in systems)
    _check_same_questions(baseline, candidates)
    differences, notes = _differences(baseline, candidates)
    return Comparison(
        baseline=baseline,
        candidates=tuple(candidates),
        differences=_corrected(differences),
        left_out={system.name: len(system) - len(common) for system in systems},
        notes=(*incomplete(systems), *notes),
        changed=tuple(most_changed(baseline, candidates)),
    )


def incomplete(systems: Iterable[Observations]) -> list[str]:
    """A sentence for each system whose run ended early: its figures are no result."""
    return [
        f"{system.name} is NOT A WHOLE RESULT: {system.config[INCOMPLETE]}."
        for system in systems
        if INCOMPLETE in system.config
    ]


def _check_same_questions(baseline: Observations, candidates: Sequence[Observations]) -> None:
    for candidate in candidates:
        for key, item in baseline.items.items():
            one, other = item.question.text.strip(), candidate.items[key].question.text.strip()
            if one and other and one != other:
                raise InputError(
                    f"Example {key} is {one!r} in {baseline.name} and {other!r} in {candidate.name}: "
                    "compare runs of one dataset."
                )


def _differences(baseline: Observations, candidates: Sequence[Observations]) -> tuple[list[Difference], list[str]]:
    found: list[Difference] = []
    missing: dict[str, dict[str, None]] = {}
    for candidate in candidates:
        for measure in MEASURES.values():
            problem = comparable(measure, baseline, candidate)
            if problem is None:
                found.append(_difference(measure, baseline, candidate))
            else:
                missing.setdefault(problem, {})[measure.title] = None
    return found, [f"Not compared: {', '.join(titles)} ({problem})." for problem, titles in missing.items()]


def _difference(measure: Measure, baseline: Observations, candidate: Observations) -> Difference:
    plain = Difference(
        candidate.name,
        measure,
        own_value(measure, baseline),
        own_value(measure, candidate),
        difference(measure, baseline, candidate),
    )
    if not plain.is_score:
        return plain
    values = paired_values(measure, baseline, candidate)
    return replace(
        plain,
        detectable=minimum_detectable_difference(*values, power=PLANNED_POWER),
        needed=examples_needed(*values, WORTH_SHOWING, power=PLANNED_POWER),
    )


def _corrected(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Give the scores their corrected p-values."""
    tested = [
        each.estimate.p_value for each in differences if isinstance(each.estimate, PairedDifference) and each.is_score
    ]
    corrected = iter(holm(tested))
    return tuple(replace(each, p_value=next(corrected)) if each.is_score else each for each in differences)


def most_changed(baseline: Observations, candidates: Sequence[Observations], limit: int = CHANGED) -> list[Changed]:
    """The questions whose scores differ most, the largest change first; of equal ones, the first in the dataset."""
    changed = [
        Changed(candidate.name, item.question, item, candidate.items[key])
        for key, item in baseline.items.items()
        for candidate in candidates
    ]
    differing = [each for each in changed if each.change]
    return sorted(differing, key=lambda each: -abs(each.change))[:limit]


def _changing(before: Observation, after: Observation) -> list[str]:
    common = [name for name in before.scores if name in after.scores and name != "semantic_similarity"]
    return sorted(common, key=lambda name: name != "f1")


def _side(observation: Observation) -> dict[str, Any]:
    first = observation.answers[0]
    return {"answer": first.text, "outcome": str(first.outcome), "scores": dict(observation.scores)}


# --- in words -----------------------------------------------------------------------------------------------------


def verdict(comparison: Comparison, candidate: str) -> str:
    """What the sample says about one candidate, in one sentence."""
    differences = comparison.of(candidate)
    scores = [each for each in differences if each.is_score]
    if scores and all(each.same for each in scores):
        told = [f"{candidate} scores as {comparison.baseline.name} does on all {len(comparison.baseline):,} questions"]
    else:
        told = [
            *_shown_words(candidate, "better", [each for each in scores if each.shown and each.better]),
            *_shown_words(candidate, "worse", [each for each in scores if each.shown and not each.better]),
            *(_unclear_words(each) for each in scores if not each.shown),
        ]
    others = {each.measure.name: each for each in differences if not each.is_score and each.shown}
    if "answered" in others:
        others.pop("failed", None)
    told += [_other_words(candidate, each) for each in others.values()]
    return "; ".join(told) + "."


def _shown_words(candidate: str, kind: str, shown: Sequence[Difference]) -> list[str]:
    """Which scores are better, or worse, and by how much; nothing where there are none."""
    sizes = [
        f"in {found.measure.title} by {abs(100 * found.estimate.estimate):.1f} points ({_range(found)})"
        for found in shown
    ]
    return [f"{candidate} is {kind} {', '.join(sizes)}"] if sizes else []


def _unclear_words(found: Difference) -> str:
    title = found.measure.title
    if found.same:
        return f"no question differs in {title}"
    return f"no difference in {title} can be shown with {found.estimate.n:,} questions; {_needed(found)}"


def _range(found: Difference) -> str:
    """The interval of the difference's size."""
    low, high = found.estimate.low, found.estimate.high
    if low is None or high is None:
        return f"p = {found.p_value:.2g}, no interval: {found.estimate.limit}"
    ends = sorted((abs(low), abs(high)))
    if found.measure.unit is Unit.POINTS:
        return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"
    return f"{found.measure.number(ends[0])} to {found.measure.number(ends[1])}"


def _needed(found: Difference) -> str:
    needed, points = found.needed, f"{100 * WORTH_SHOWING:.0f} points"
    if needed is None or needed.examples is None:
        reason = Limit.TOO_FEW_ARTICLES if needed is None or needed.limit is None else needed.limit
        return f"how many would show {points} cannot be said ({reason})"
    if needed.examples <= found.estimate.n:
        return f"one of {points} would most likely have been shown"
    return f"{needed.examples:,} would show {points}"


def _other_words(candidate: str, found: Difference) -> str:
    measure, estimate = found.measure, found.estimate
    size = measure.number(abs(estimate.estimate))
    up = estimate.estimate > 0
    match measure.unit:
        case Unit.DOLLARS:
            return f"1,000 questions cost {size} {'more' if up else 'less'} ({_range(found)})"
        case Unit.SECONDS:
            return f"its {measure.title} is {size} {'longer' if up else 'shorter'} ({_range(found)})"
        case Unit.POINTS:
            return f"its share {measure.title} is {size} points {'higher' if up else 'lower'} ({_range(found)})"


def _row(found: Difference) -> tuple[str, ...]:
    measure, estimate = found.measure, found.estimate
    if estimate.low is None or estimate.high is None:
        interval = "0 (no question differs)" if found.same else f"none: {estimate.limit}"
    else:
        interval = f"{measure.number(estimate.low, sign=True)} to {measure.number(estimate.high, sign=True)}"
    return (
        found.candidate,
        measure.title,
        measure.number(found.before.estimate),
        measure.number(found.after.estimate),
        measure.number(estimate.estimate, sign=True),
        interval,
        "" if found.p_value is None else f"{found.p_value:.2g}",
    )


def changed_row(changed: Changed) -> tuple[str, ...]:
    """A changed question as a line below `CHANGED_HEADER`."""
    return (
        changed.candidate,
        f"{100 * changed.change:+.0f}",
        changed.question.text.strip() or changed.question.id,
        " | ".join(dict.fromkeys(changed.question.references)) or "(unanswerable)",
        shown_answer(changed.before),
        shown_answer(changed.after),
    )


def shown_answer(observation: Observation) -> str:
    """The first answer's text, or what became of it in brackets."""
    first = observation.answers[0]
    return first.text if first.outcome.is_answer and first.text else f"[{first.outcome}]"


def _markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    return lines + [f"| {' | '.join(map(_escaped, row))} |" for row in rows]


def _escaped(text: str) -> str:
    """A text that Markdown, and the HTML within it, shows as it is: answers are not ours."""
    for mark in "\\`*_[]|~#":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(html.escape(text, quote=False).split()).replace("@", "@\u200b")
