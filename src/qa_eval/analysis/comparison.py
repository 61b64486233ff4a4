"""Systems on the same questions, in pairs: what differs, how surely, and what that means in plain words.

The first system is the baseline; every other is a candidate. All are compared on the questions that all of them
have. Each difference is candidate minus baseline with a 95 % interval. The primary metrics, chosen before (F1 unless
something else is), are tested; their p-values are corrected by Holm's method over the primary metrics and all
candidates, and one counts as better or worse only where the corrected one is at most 0.05. Other metrics, latency,
cost and shares stand beside them with their intervals, untested, so that watching them does not weaken the test.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa_eval.analysis.differences import (
    Changed,
    Difference,
    all_definitions,
    corrected,
    find_differences,
    most_changed,
)
from qa_eval.analysis.observations import INCOMPLETE, Observations
from qa_eval.analysis.pairs import Pair, make_pairs
from qa_eval.analysis.sources import Source, observe
from qa_eval.analysis.tables import (
    CHANGED_HEADER,
    HEADER,
    changed_row,
    difference_row,
    escaped,
    html_table,
    markdown_table,
    text_table,
)
from qa_eval.analysis.verdict import answer, verdict
from qa_eval.data.examples import Dataset
from qa_eval.errors import InputError
from qa_eval.metrics.registry import default_primary
from qa_eval.spec.metrics import METRIC_ALIASES
from qa_eval.statistics import ALPHA

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "qa-eval/compare@2"


@dataclass(frozen=True)
class Comparison:
    """What came out; in Jupyter a table, `to_pandas()` one row a difference."""

    baseline: Observations
    """On the questions that all systems have, like the candidates."""
    candidates: tuple[Observations, ...]
    pairs: tuple[Pair, ...]
    """The baseline with each candidate, on the questions that are compared: the common ones, or those that the last
    look has seen."""
    differences: tuple[Difference, ...]
    left_out: dict[str, int]
    """How many questions of each system the others do not have."""
    notes: tuple[str, ...]
    """What was not compared, and why."""
    changed: tuple[Changed, ...]
    """The most changed questions, of all candidates."""
    primary: tuple[str, ...]
    """The metrics whose differences are tested."""

    @property
    def systems(self) -> tuple[Observations, ...]:
        """The baseline, then the candidates."""
        return (self.baseline, *self.candidates)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """A sentence a candidate, with its name where there are several."""
        return tuple(self._named(verdict, pair) for pair in self.pairs)

    @property
    def answers(self) -> tuple[str, ...]:
        """What a run of several systems ends with: a sentence a candidate, price and latency beside the scores."""
        return tuple(self._named(answer, pair) for pair in self.pairs)

    def _named(self, write: Callable[[str, int, str, Sequence[Difference]], str], pair: Pair) -> str:
        candidate = pair.candidate.name
        sentence = write(self.baseline.name, len(pair.baseline), candidate, self.of(candidate))
        is_named = sentence.startswith(candidate) or (len(self.candidates) == 1 and write is verdict)
        return sentence if is_named else f"{candidate}: {sentence}"

    def of(self, candidate: str) -> tuple[Difference, ...]:
        """One candidate's differences."""
        return tuple(each for each in self.differences if each.candidate == candidate)

    def describe_questions(self) -> str:
        """How many questions are compared and how many are not."""
        if any(pair.ended for pair in self.pairs):
            return "; ".join(map(_describe_pair, self.pairs))
        groups = len({item.question.group for item in self.baseline.items.values()})
        common = f"{len(self.baseline):,} common questions in {groups:,} groups"
        alone = [f"{count:,} of {name}" for name, count in self.left_out.items() if count]
        return f"{common}; not common and left out: {', '.join(alone)}" if alone else f"{common}; none left out"

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints; `schema` names its version."""
        return {
            "schema": SCHEMA,
            "baseline": self.baseline.name,
            "candidates": [candidate.name for candidate in self.candidates],
            "common": len(self.baseline),
            "left_out": self.left_out,
            "alpha": ALPHA,
            "primary": list(self.primary),
            "correction": "Holm over the primary metrics and all candidates",
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
        return [difference_row(each) for each in self.differences]

    def to_markdown(self) -> str:
        """For a pull request: verdicts, the table, the most changed questions."""
        lines = [f"**{escaped(sentence)}**\n" for sentence in self.verdicts]
        lines += [f"{escaped(self.describe_questions())}. Baseline: {escaped(self.baseline.name)}.\n"]
        lines += markdown_table(HEADER, self.rows())
        if self.changed:
            lines += ["", "<details><summary>The questions that changed most</summary>\n"]
            lines += markdown_table(CHANGED_HEADER, [changed_row(each) for each in self.changed])
            lines += ["\n</details>"]
        lines += [f"\n{escaped(note)}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def __repr__(self) -> str:
        return "\n".join((*self.verdicts, self.describe_questions(), *text_table(HEADER, self.rows())))

    def _repr_html_(self) -> str:
        sentences = "".join(f"<p>{html.escape(line)}</p>" for line in (*self.verdicts, self.describe_questions()))
        return sentences + html_table(HEADER, self.rows())


def compare(
    *sources: Source,
    dataset: Dataset | str | Path | None = None,
    phoenix: str | None = None,
    primary: str | Sequence[str] = (),
) -> Comparison:
    """Compare systems on their common questions; the first is the baseline.

    Args:
        sources: Results of `run_experiment`, or the names of runs, exports, predictions files or Phoenix experiments.
        dataset: The questions that predictions files answer.
        phoenix: The base URL of the Phoenix that holds experiments named by their id.
        primary: The metrics whose differences are tested; by default those of the baseline's run.

    Raises:
        InputError: There are not two systems, they have no question in common, a source cannot be read, or a primary
            metric is none of theirs.
        PhoenixError: Phoenix is not there, or has no such experiment.
    """
    chosen = [primary] if isinstance(primary, str) else primary
    return compare_systems(observe(sources, dataset=dataset, phoenix=phoenix), chosen)


def compare_systems(systems: Sequence[Observations], primary: Sequence[str] = ()) -> Comparison:
    """Compare systems that are read already.

    Args:
        systems: The baseline, then the candidates.
        primary: The metrics whose differences are tested; by default those of the baseline's run.

    Raises:
        InputError: There are not two systems, they have no question in common, or a primary metric is none of theirs.
    """
    if len(systems) < 2:
        named = f" and this is one, {systems[0].name}" if systems else ""
        raise InputError(f"A comparison takes two systems{named}: name another run, file or experiment.")
    tested = _primary(systems, primary)
    pairs = make_pairs(systems, tested)
    for pair in pairs:
        _check_same_questions(pair)
    common = [key for key in systems[0].items if all(key in system.items for system in systems)]
    baseline, *candidates = (system.only(common) for system in systems)
    differences, notes = find_differences(pairs, tested)
    return Comparison(
        baseline=baseline,
        candidates=tuple(candidates),
        pairs=pairs,
        differences=corrected(differences),
        left_out={system.name: len(system) - len(common) for system in systems},
        notes=(*incomplete(systems), *_looked_at(pairs, systems), *notes),
        changed=tuple(most_changed(pairs, tested)),
        primary=tested,
    )


def _primary(systems: Sequence[Observations], chosen: Sequence[str]) -> tuple[str, ...]:
    """The metrics whose differences are tested."""
    names = [definition.name for definition in all_definitions(systems)]
    if not chosen:
        return systems[0].primary or default_primary(names)
    primary = tuple(METRIC_ALIASES.get(name, name) for name in chosen)
    unknown = next((name for name in primary if name not in names), None)
    if unknown is not None:
        raise InputError(f"`primary` must be one of the metrics ({', '.join(names) or 'none'}), not `{unknown}`.")
    return primary


def incomplete(systems: Iterable[Observations]) -> list[str]:
    """A sentence for each system whose run ended early: its figures are no result."""
    return [
        f"{system.name} is NOT A WHOLE RESULT: {system.config[INCOMPLETE]}."
        for system in systems
        if INCOMPLETE in system.config
    ]


def _describe_pair(pair: Pair) -> str:
    """How many questions one candidate is compared on."""
    groups = len({item.question.group for item in pair.baseline.items.values()})
    return f"{pair.candidate.name} on {len(pair.baseline):,} questions in {groups:,} groups"


def _looked_at(pairs: Sequence[Pair], systems: Sequence[Observations]) -> list[str]:
    """What an early stop means for the figures, and what it leaves out."""
    decided = [pair.ended for pair in pairs if pair.ended is not None]
    if not decided:
        return []
    design = decided[0].design
    late = sum(len(system) - len(pair.candidate) for pair, system in zip(pairs, systems[1:], strict=True) if pair.ended)
    left_out = f" {late:,} answers that came after a decision are left out." if late else ""
    return [
        f"The run looked at {design.metric} up to {len(design.looks)} times: its intervals and p-values allow for that "
        f"(group-sequential design), those of the other measures do not.{left_out}"
    ]


def _check_same_questions(pair: Pair) -> None:
    for key, item in pair.baseline.items.items():
        one, other = item.question.text.strip(), pair.candidate.items[key].question.text.strip()
        if one and other and one != other:
            raise InputError(
                f"Example {key} is {one!r} in {pair.baseline.name} and {other!r} in {pair.candidate.name}: "
                "compare runs of one dataset."
            )
