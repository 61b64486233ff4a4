"""Comparisons on known answers: what is paired, what is left out, and what the verdict says."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from made_runs import made_run, right
from shared_data import squad_file

from qa_eval.analysis.comparison import Comparison, compare, compare_systems
from qa_eval.analysis.differences import Difference
from qa_eval.analysis.observations import from_run
from qa_eval.analysis.sources import observe
from qa_eval.data import Dataset, load_dataset
from qa_eval.errors import InputError
from qa_eval.targets.outcome import Outcome


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample", examples=100)


def against(sample: Dataset, wrong_before: int, wrong_after: int, **settings: Any) -> Comparison:
    """A and B, which give a wrong answer to so many questions."""
    answers = {"A": right(sample, wrong_before), "B": right(sample, wrong_after, seed=1)}
    return compare(made_run(sample, answers, **settings))  # type: ignore[arg-type]


def difference(comparison: Comparison, measure: str) -> Difference:
    return next(each for each in comparison.differences if each.measure.name == measure)


def test_a_clear_difference_is_said_with_its_interval(sample: Dataset) -> None:
    comparison = against(sample, 60, 5)
    (verdict,) = comparison.verdicts
    em = difference(comparison, "em")
    f1 = difference(comparison, "f1")
    assert em.estimate.estimate == pytest.approx(0.55)
    assert em.p_value is None, "F1 is the primary metric"
    assert f1.p_value is not None
    assert f1.p_value < 0.01
    low, high = (100 * end for end in (f1.estimate.low, f1.estimate.high) if end is not None)
    assert verdict.startswith(
        f"B is better in F1 by {100 * f1.estimate.estimate:.1f} points ({low:.1f} to {high:.1f});"
    )
    assert "; its EM is 55.0 points higher (" in verdict


def test_the_worse_one_is_said_to_be_worse(sample: Dataset) -> None:
    assert against(sample, 5, 60).verdicts[0].startswith("B is worse in F1 by ")


def test_what_cannot_be_shown_says_what_would_show_it(sample: Dataset) -> None:
    comparison = against(sample, 12, 10)
    found = difference(comparison, "f1")
    assert found.needed is not None
    assert found.needed.examples is not None
    assert found.needed.examples > 100
    told = f"no difference in F1 can be shown with 100 questions; {found.needed.examples:,} would show 2 points"
    assert told in comparison.verdicts[0]


def test_a_run_against_itself_differs_nowhere(sample: Dataset) -> None:
    run = made_run(sample, {"A": right(sample, 20)})
    comparison = compare(run, run)
    for each in comparison.differences:
        assert each.estimate.estimate == 0
        assert not each.shown
        assert each.p_value == (1.0 if each.measure.name == "f1" else None)
    assert (
        comparison.verdicts[0]
        == "A (20260102-030405-abcdef) #2 and A (20260102-030405-abcdef) #1 have identical scores on all 100 questions."
    )
    assert not comparison.changed


def test_p_values_are_corrected_over_the_primary_metrics_and_all_candidates(sample: Dataset) -> None:
    answers = {"A": right(sample, 30), "B": right(sample, 20, 1), "C": right(sample, 5, 2)}
    comparison = compare(made_run(sample, answers), primary=["em", "f1", "similarity"])
    raw = [each for each in comparison.to_json()["differences"] if each["p_value_corrected"] is not None]
    assert len(raw) == 6
    smallest = min(raw, key=lambda each: each["p_value"])
    assert smallest["p_value_corrected"] == pytest.approx(min(1.0, 6 * smallest["p_value"]))
    assert all(each["p_value_corrected"] >= each["p_value"] for each in raw)


def test_questions_that_are_not_common_are_left_out_and_counted(sample: Dataset) -> None:
    whole = made_run(sample, {"A": right(sample)})
    part = dataclasses.replace(sample, examples=sample.examples[:70])
    comparison = compare(whole, made_run(part, {"B": right(part, 7)}))
    assert len(comparison.baseline) == len(comparison.candidates[0]) == 70
    assert comparison.left_out == {"A": 30, "B": 0}
    assert "70 common questions" in comparison.describe_questions()
    assert "not common and left out: 30 of A" in comparison.describe_questions()


def test_repetitions_are_averaged_before_questions_are_counted(sample: Dataset) -> None:
    once, twice = (made_run(sample, {"A": right(sample, wrong)}) for wrong in (0, 100))
    both = (*once.experiments[0].answers, *twice.experiments[0].answers)
    repeated = dataclasses.replace(once, experiments=(dataclasses.replace(once.experiments[0], answers=both),))
    (system,) = from_run(repeated)
    assert len(system) == 100
    assert {item.scores["exact_match"] for item in system.items.values()} == {0.5}
    assert all(len(item.latencies) == 2 for item in system.items.values())
    assert difference(compare(once, repeated), "em").estimate.n == 100


def test_failures_count_0_and_have_their_share(sample: Dataset) -> None:
    run = made_run(sample, {"A": right(sample)}, failing=0.3)
    (system,) = from_run(run)
    failed = [item for item in system.items.values() if not item.answered]
    assert 10 < len(failed) < 50
    assert all(item.scores["f1"] == 0 for item in failed)
    answered = difference(compare(made_run(sample, {"B": right(sample)}), run), "answered")
    assert answered.estimate.estimate == pytest.approx(-len(failed) / 100)


def test_latency_and_cost_stand_beside_the_scores(sample: Dataset) -> None:
    comparison = against(sample, 5, 5, latency_s={"A": 0.4, "B": 1.2}, cost_usd={"A": 0.002, "B": 0.0005})
    assert "its p95 latency is" in comparison.verdicts[0]
    assert " s longer (" in comparison.verdicts[0]
    assert "1,000 questions cost $1.5" in comparison.verdicts[0]
    p50 = difference(comparison, "p50_latency")
    assert p50.p_value is None
    assert p50.before.estimate == pytest.approx(0.4, rel=0.2)


def test_the_most_changed_questions_come_first(sample: Dataset) -> None:
    comparison = against(sample, 0, 3)
    assert len(comparison.changed) == 3
    assert [each.after.answers[0].text for each in comparison.changed] == ["nonsense"] * 3
    assert all(each.change == -1.0 for each in comparison.changed)


def test_scores_of_different_embedders_are_not_compared(sample: Dataset) -> None:
    one, other = (from_run(made_run(sample, {name: right(sample)}))[0] for name in "AB")
    comparison = compare_systems([one, dataclasses.replace(other, similarity="another")])
    assert "similarity" not in {each.measure.name for each in comparison.differences}
    assert comparison.notes == ("Not compared: similarity (the embedders differ, or are not known).",)


def test_a_run_that_ended_early_is_said_to_be_none(sample: Dataset) -> None:
    run = made_run(sample, {"A": right(sample), "B": right(sample)})
    short = dataclasses.replace(run.experiments[1], answers=run.experiments[1].answers[:40])
    comparison = compare(dataclasses.replace(run, experiments=(run.experiments[0], short)))
    assert comparison.notes[0] == "B is NOT A WHOLE RESULT: 40 of 100 questions asked."


def test_mistakes_are_one_sentence(sample: Dataset) -> None:
    run = made_run(sample, {"A": right(sample)})
    with pytest.raises(InputError, match="takes two systems and this is one, A:"):
        compare(run)
    other = dataclasses.replace(sample, examples=tuple(dataclasses.replace(e, id=f"x{e.id}") for e in sample))
    with pytest.raises(InputError, match="have no question in common"):
        compare(run, made_run(other, {"B": right(other)}))
    reworded = dataclasses.replace(sample, examples=tuple(dataclasses.replace(e, question="Why?") for e in sample))
    with pytest.raises(InputError, match="compare runs of one dataset"):
        compare(run, made_run(reworded, {"B": right(reworded)}))


def test_the_forms_say_the_same(sample: Dataset) -> None:
    comparison = against(sample, 60, 5)
    document = json.loads(json.dumps(comparison.to_json()))
    assert document["schema"] == "qa-eval/compare@2"
    assert document["verdicts"] == list(comparison.verdicts)
    assert len(comparison.to_pandas()) == len(document["differences"]) == len(comparison.differences)
    assert comparison.verdicts[0] in repr(comparison)
    assert "<table>" in comparison._repr_html_()


def test_markdown_shows_foreign_text_as_it_is(sample: Dataset) -> None:
    evil = "<img src=x onerror=alert(1)> | **b** `c` @everyone"
    answers = {"A": right(sample), "B": {example.id: evil for example in sample}}
    markdown = compare(made_run(sample, answers)).to_markdown()
    assert "<img" not in markdown
    assert "&lt;img src=x onerror=alert(1)&gt; \\| \\*\\*b\\*\\* \\`c\\` @\u200beveryone" in markdown
    table = [line for line in markdown.splitlines() if line.startswith("| B |") and "nerror" in line]
    assert {len(line.replace("\\|", "").split("|")) for line in table} == {8}


def test_the_published_systems() -> None:
    files = [squad_file(f"predictions/{name}-v1.1.json") for name in ("logistic-regression", "bert-ensemble")]
    comparison = compare(*files, dataset=squad_file("dev-v1.1.json"))
    em, f1 = difference(comparison, "em"), difference(comparison, "f1")
    assert em.estimate.estimate == pytest.approx((86.20624408703878 - 40.14191106906339) / 100)
    assert f1.estimate.estimate == pytest.approx((92.19557978351145 - 50.98153647324461) / 100)
    assert comparison.verdicts[0].startswith("bert-ensemble-v1.1 is better in F1 by 41.2 points (39.3 to 43.3)")
    assert difference(comparison, "failed").before.estimate == pytest.approx(13 / 10570)
    assert comparison.baseline.outcomes[Outcome.EMPTY] == 13


def test_systems_of_one_name_are_told_apart(sample: Dataset) -> None:
    runs = [made_run(sample, {"A": right(sample)}, run_id=run_id) for run_id in ("one", "two")]
    assert [system.name for system in observe(runs)] == ["A (one)", "A (two)"]
