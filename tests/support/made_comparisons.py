"""Comparisons whose every figure is given, so that what is printed of them never depends on a computation."""

from __future__ import annotations

from typing import Any

from qa_eval.analysis.comparison import Comparison
from qa_eval.analysis.differences import Changed, Difference
from qa_eval.analysis.measures import COMMON, Measure, Unit
from qa_eval.analysis.observations import Observation, Observations, ObservedAnswer, Question
from qa_eval.analysis.pairs import Pair
from qa_eval.statistics import Estimate, Limit, PairedDifference, SampleSize

EM = Measure("em", "EM", Unit.POINTS, score="exact_match")
F1 = Measure("f1", "F1", Unit.POINTS, score="f1")
SIMILARITY = Measure("similarity", "similarity", Unit.POINTS, score="semantic_similarity")
CONTAINED = Measure("answer_contained", "answer_contained", Unit.POINTS, score="answer_contained")
LENGTH = Measure("length", "length", Unit.PLAIN, score="length")
LONG = Measure("m", "a_metric_of_our_own_with_a_long_name", Unit.POINTS, score="m")
QUESTIONS = 100


def difference(
    candidate: str,
    measure: Measure,
    before: float,
    after: float,
    interval: tuple[float, float] | Limit | None,
    p_values: tuple[float, float] | None = None,
    *,
    claims: int = 1,
    needed: int | None = None,
) -> Difference:
    """A difference with its interval, or why there is none; None: no question differs.

    `p_values` are before and after the correction.
    """
    low, high = interval if isinstance(interval, tuple) else (None, None)
    common: dict[str, Any] = {
        "n": QUESTIONS,
        "standard_error": None,
        "groups": 25,
        "effective_groups": 25.0,
        "confidence": 0.95,
        "method": "given",
    }
    limit = interval if isinstance(interval, Limit) else Limit.NO_VARIATION if interval is None else None
    return Difference(
        candidate,
        measure,
        Estimate(before, None, None, limit=Limit.TOO_LITTLE_VARIATION, **common),
        Estimate(after, None, None, limit=Limit.TOO_LITTLE_VARIATION, **common),
        PairedDifference(
            after - before,
            low,
            high,
            limit=limit,
            p_value=p_values[0] if p_values else 1.0,
            p_method="given",
            differing=0 if interval is None else 40,
            **common,
        ),
        tested=p_values is not None,
        p_value=p_values[1] if p_values else None,
        claims=claims,
        needed=None if needed is None else SampleSize(needed, 0, None),
    )


def system(name: str) -> Observations:
    """A system of this name on 100 questions in 25 groups."""
    items = {str(n): Observation(Question(str(n), str(n % 25)), (ObservedAnswer("an answer"),), {}) for n in range(100)}
    return Observations(name, items)


def changed(candidate: str, change: float, question: str, reference: str, before: str, after: str) -> Changed:
    """A question that changed."""
    asked = Question("q", "g", question, references=(reference,))
    return Changed(
        candidate,
        asked,
        F1,
        Observation(asked, (ObservedAnswer(before),), {}),
        Observation(asked, (ObservedAnswer(after),), {}),
        change,
    )


def one_candidate() -> Comparison:
    """A prompt without the context: worse, faster and cheaper."""
    name = "closed-book"
    return Comparison(
        baseline=system("with-context"),
        candidates=(system(name),),
        pairs=(Pair(system("with-context"), system(name)),),
        differences=(
            difference(name, EM, 0.4, 0.01, (-0.486, -0.304)),
            difference(name, F1, 0.444, 0.093, (-0.44, -0.263), (0.0003, 0.0003)),
            difference(name, SIMILARITY, 0.677, 0.288, (-0.449, -0.324)),
            difference(name, CONTAINED, 0.41, 0.42, (-0.051, 0.084)),
            difference(name, LENGTH, 4.21, 9.07, (3.2, 6.41)),
            difference(name, COMMON["answered"], 1.0, 1.0, None),
            difference(name, COMMON["failed"], 0.0, 0.0, None),
            difference(name, COMMON["p50_latency"], 4.13, 1.25, (-3.28, -2.66)),
            difference(name, COMMON["p95_latency"], 6.83, 1.95, (-6.81, -3.75)),
            difference(name, COMMON["cost"], 0.00106, 0.000659, (-0.000455, -0.000378)),
        ),
        left_out={"with-context": 0, name: 0},
        notes=(),
        changed=(
            changed(
                name,
                -1.0,
                "What is the greatest depth of Lake Baikal?",
                "1,642 metres",
                "1,642 metres",
                "The greatest depth of Lake Baikal is 11,800 meters.",
            ),
            changed(
                name,
                0.5,
                "Which material, which a later ruler had taken away and melted down, covered the roof of the hall?",
                "bronze tiles",
                "tiles",
                "The roof was covered\nwith tiles of bronze. " + "They were taken away later. " * 12,
            ),
        ),
        primary=("f1",),
    )


def two_candidates() -> Comparison:
    """Long names, and intervals and p-values that do not agree."""
    first, second = "gpt-4o-mini-2024-07-18-with-the-short-prompt-v3", "bedrock/us.anthropic.claude-haiku-v1:0"
    return Comparison(
        baseline=system("bedrock/us.amazon.nova-lite-v1:0"),
        candidates=(system(first), system(second)),
        pairs=tuple(Pair(system("bedrock/us.amazon.nova-lite-v1:0"), system(name)) for name in (first, second)),
        differences=(
            difference(first, EM, 0.4, 0.46, (0.004, 0.117), (0.021, 0.063), claims=4),
            difference(first, F1, 0.444, 0.52, (-0.004, 0.154), (0.01, 0.04), claims=4),
            difference(first, LONG, 0.5, 0.5, None),
            difference(first, COMMON["answered"], 1.0, 0.98, Limit.TOO_LITTLE_VARIATION),
            difference(first, COMMON["failed"], 0.0, 0.02, Limit.TOO_LITTLE_VARIATION),
            difference(first, COMMON["p95_latency"], 1.84, 123.4, (119.2, 127.7)),
            difference(second, EM, 0.4, 0.45, (0.01, 0.09), (0.063, 0.13), claims=4),
            difference(second, F1, 0.444, 0.449, (-0.03, 0.041), (0.7, 0.7), claims=4, needed=5200),
            difference(second, LONG, 0.5, 0.512, (-0.01, 0.034)),
            difference(second, COMMON["answered"], 1.0, 1.0, None),
            difference(second, COMMON["failed"], 0.0, 0.0, None),
            difference(second, COMMON["p95_latency"], 1.84, 1.71, (-0.31, 0.02)),
        ),
        left_out={"bedrock/us.amazon.nova-lite-v1:0": 20, first: 0, second: 0},
        notes=("Not compared: cost of 1,000 questions (not known for every question of the baseline).",),
        changed=(
            changed(first, 1.0, "Who won?", "Denver Broncos", "the team", "Denver Broncos"),
            changed(second, -1.0, "Where was it played?", "Santa Clara", "Santa Clara", "in California, of course"),
        ),
        primary=("exact_match", "f1"),
    )
