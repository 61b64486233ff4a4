"""A comparison in plain words: one sentence a candidate."""

from __future__ import annotations

from collections.abc import Sequence

from qa_eval.analysis.differences import WORTH_SHOWING, Difference
from qa_eval.analysis.measures import Unit
from qa_eval.analysis.tables import interval_text
from qa_eval.experiment.looks import Settled
from qa_eval.statistics import ALPHA, Limit, PairedDifference


def verdict(baseline: str, questions: int, candidate: str, differences: Sequence[Difference]) -> str:
    """What the sample says about one candidate, in one sentence.

    Args:
        baseline: The baseline's name.
        questions: How many questions are compared.
        candidate: The candidate's name.
        differences: The candidate's, in all measures.
    """
    others = {other.measure.name: other for other in differences if not other.tested and other.shown}
    if "answered" in others:
        others.pop("failed", None)
    parts = [*_scores_words(baseline, questions, candidate, differences), *map(_other_words, others.values())]
    return _sentence(baseline, candidate, parts)


def answer(baseline: str, questions: int, candidate: str, differences: Sequence[Difference]) -> str:
    """The same for the end of a run: what the scores say, with price and latency beside it, shown to differ or not."""
    found = {each.measure.name: each for each in differences}
    beside = [_beside(found[name]) for name in ("cost", "p50_latency") if name in found]
    return _sentence(baseline, candidate, [*_scores_words(baseline, questions, candidate, differences), *beside])


def _sentence(baseline: str, candidate: str, parts: Sequence[str]) -> str:
    return "; ".join(parts or [f"nothing can be compared between {candidate} and {baseline}"]) + "."


def _scores_words(baseline: str, questions: int, candidate: str, differences: Sequence[Difference]) -> list[str]:
    """What the tested metrics say."""
    metrics = [difference for difference in differences if difference.is_score]
    scores = [difference for difference in metrics if difference.tested]
    if metrics and all(difference.same for difference in metrics):
        return [f"{candidate} and {baseline} have identical scores on all {questions:,} questions"]
    return [
        *_shown_words(candidate, "better", [score for score in scores if score.shown and score.better]),
        *_shown_words(candidate, "worse", [score for score in scores if score.shown and not score.better]),
        *(_unclear_words(score) for score in scores if not score.shown),
    ]


def _beside(found: Difference) -> str:
    """Price, or latency, of both."""
    before, after = (found.measure.number(each.estimate) for each in (found.before, found.after))
    if found.measure.unit is Unit.DOLLARS:
        return f"1,000 questions cost {after} instead of {before}"
    return f"half of its answers came within {after} instead of {before}"


def _shown_words(candidate: str, kind: str, shown: Sequence[Difference]) -> list[str]:
    """Which scores are better, or worse, and by how much; nothing where there are none."""
    sizes = [f"in {found.measure.title} by {_size(found)} ({_range(found)}){_decided(found)}" for found in shown]
    return [f"{candidate} is {kind} {', '.join(sizes)}"] if sizes else []


def _decided(found: Difference) -> str:
    """At which look that was decided, where the run looked."""
    if found.ended is None or found.ended.look.decision is None:
        return ""
    look, looks = found.ended.look, len(found.ended.design.looks)
    return f", decided at look {look.number} of {looks} after {look.examples:,} questions"


def _size(found: Difference) -> str:
    """How large a difference is, without its sign."""
    number = found.measure.number(abs(found.estimate.estimate))
    return f"{number} points" if found.measure.unit is Unit.POINTS else number


def _unclear_words(found: Difference) -> str:
    title = found.measure.title
    if found.ended is not None and found.ended.look.decision is Settled.NO_DIFFERENCE:
        margin = found.measure.number(found.ended.design.margin) + (
            " points" if found.measure.unit is Unit.POINTS else ""
        )
        return f"{title} does not differ by {margin} or more ({interval_text(found, ' to ')}){_decided(found)}"
    if found.same:
        return f"no question differs in {title}"
    if disagreement := _disagreement(found):
        measure = found.measure
        change = measure.number(found.estimate.estimate, sign=True) + (" points" if measure.unit is Unit.POINTS else "")
        return f"the difference in {title}, {change} ({interval_text(found, ' to ')}), is not shown: {disagreement}"
    return f"no difference in {title} can be shown with {found.estimate.n:,} questions; {_needed(found)}"


def _disagreement(found: Difference) -> str:
    """Why the interval and the corrected p-value do not agree; empty where they do."""
    low, high, p_value, estimate = found.estimate.low, found.estimate.high, found.p_value, found.estimate
    if low is None or high is None or p_value is None or not isinstance(estimate, PairedDifference):
        return ""
    outside, significant = not low <= 0 <= high, p_value <= ALPHA
    if outside == significant:
        return ""
    if significant:
        return f"p is {p_value:.2g}, but its interval includes 0 (the two are different methods, and must agree)"
    if estimate.p_value <= ALPHA:
        after = f"after the correction for {found.claims} comparisons ({estimate.p_value:.2g} before it)"
        return f"its interval leaves out 0, but p is {p_value:.2g} {after}"
    return f"its interval leaves out 0, but p is {p_value:.2g} (the two are different methods, and must agree)"


def _range(found: Difference) -> str:
    """The interval of the difference's size."""
    low, high = found.estimate.low, found.estimate.high
    if low is None or high is None:
        return f"no interval: {found.estimate.limit}" + ("" if found.p_value is None else f", p = {found.p_value:.2g}")
    ends = sorted((abs(low), abs(high)))
    if found.measure.unit is Unit.POINTS:
        return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"
    return f"{found.measure.number(ends[0])} to {found.measure.number(ends[1])}"


def _needed(found: Difference) -> str:
    if found.measure.unit is not Unit.POINTS:
        size = "" if found.detectable is None else found.measure.number(found.detectable)
        return f"one of {size} would most likely have been shown" if size else "how large it could be cannot be said"
    needed, points = found.needed, f"{100 * WORTH_SHOWING:.0f} points"
    if needed is None or needed.examples is None:
        reason = Limit.TOO_FEW_GROUPS if needed is None or needed.limit is None else needed.limit
        return f"how many would show {points} cannot be said ({reason})"
    if needed.examples <= found.estimate.n:
        return f"one of {points} would most likely have been shown"
    return f"{needed.examples:,} would show {points}"


def _other_words(found: Difference) -> str:
    measure, estimate = found.measure, found.estimate
    size = measure.number(abs(estimate.estimate))
    up = estimate.estimate > 0
    match measure.unit:
        case Unit.DOLLARS:
            return f"1,000 questions cost {size} {'more' if up else 'less'} ({_range(found)})"
        case Unit.SECONDS:
            return f"its {measure.title} is {size} {'longer' if up else 'shorter'} ({_range(found)})"
        case Unit.PLAIN:
            return f"its {measure.title} is {size} {'higher' if up else 'lower'} ({_range(found)})"
        case Unit.POINTS if found.is_score:
            return f"its {measure.title} is {size} points {'higher' if up else 'lower'} ({_range(found)})"
        case Unit.POINTS:
            return f"its share {measure.title} is {size} points {'higher' if up else 'lower'} ({_range(found)})"
