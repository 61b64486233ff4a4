"""Judges in a run: asked through the gateway, paid once, strict in reading, measured by planted answers."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import random
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from commands import COMMAND, as_file, environment
from fake_gateway import KEY, FakeGateway, Serve, blocked, completion, error
from fake_judge import answers_and_judges, by_containment, in_form, is_judgement, judged, message, part, tool_call
from numbers_dataset import dataset, number, right, run

import qa_eval
from qa_eval.data import Dataset, Example
from qa_eval.errors import InputError
from qa_eval.metrics.judgement import SYSTEM

CORRECTNESS: dict[str, Any] = {"metrics": ["judge:correctness"], "judge_model": "other"}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)


def in_groups(count: int, groups: int) -> Dataset:
    data = dataset(count)
    examples = tuple(replace(each, group=f"Article {place % groups}") for place, each in enumerate(data))
    return replace(data, examples=examples)


def judgements(gateway: FakeGateway) -> list[dict[str, Any]]:
    return [body for body in gateway.requests if is_judgement(body["messages"][-1]["content"])]


@pytest.mark.parametrize(
    ("refused", "form"),
    [((), "response_format"), (("response_format",), "tools"), (("response_format", "tools"), "Label: ")],
)
def test_a_judge_replies_in_the_first_form_that_its_model_takes(
    serve: Serve, refused: tuple[str, ...], form: str
) -> None:
    gateway = serve(answers_and_judges(refused=refused))
    result = run(dataset(8), gateway, planted=0, **CORRECTNESS)
    summary = result.experiments[0].summary("correctness")
    assert (summary.mean, summary.scored, summary.errors) == (1.0, 8, 0)
    (score,) = {answer.find_score("correctness") for answer in result.experiments[0].answers}
    assert score is not None
    assert (score.label, score.explanation) == ("right", "It says so.")
    asked = judgements(gateway)
    at_once = 4
    assert 8 + len(refused) <= len(asked) <= 8 + at_once * len(refused), "the first calls find out which form it takes"
    assert form in json.dumps(asked[-1])
    assert {body["model"] for body in asked} == {"other"}
    assert all(body["temperature"] == 0.0 for body in asked)


def test_the_judge_never_sees_who_answered(serve: Serve) -> None:
    gateway = serve(answers_and_judges())
    gateway.models = ("secret-name", "another-secret", "other")
    judges: dict[str, Any] = {"metrics": ["judge:correctness", "judge:preference"], "judge_model": "other"}
    run(dataset(3), gateway, models=["secret-name", "another-secret"], **judges)
    asked = judgements(gateway)
    assert asked
    assert not any("secret" in json.dumps(body) for body in asked)
    assert all(body["messages"][0] == {"role": "system", "content": SYSTEM} for body in asked)


def nonsense(kind: str, body: dict[str, Any]) -> web.Response | None:
    """A reply that is no judgement."""
    as_json = '{"explanation": "It says so.", "label": "%s"}'
    match kind:
        case "no_label":
            return completion("The answer looks fine to me, all things considered.")
        case "unknown_label":
            return completion(as_json % "maybe")
        case "unknown_label: 'Right' is not 'right' as written":
            return completion(as_json % "Right")
        case "invalid_json":
            return completion('{"explanation": "It says')
        case "empty":
            return completion("")
        case "refusal":
            return completion("I'm sorry, but I can't help with that.")
        case "wrong_tool":
            return message({"role": "assistant", "content": None, "tool_calls": [tool_call("search", "{}")]})
        case "rate_limited":
            return error(429, "Too many requests", **{"retry-after": "0"})
        case "blocked_input":
            return blocked("pre_call")
    return None


@pytest.mark.parametrize(
    "kind",
    [
        "no_label",
        "unknown_label",
        "unknown_label: 'Right' is not 'right' as written",
        "invalid_json",
        "empty",
        "refusal",
        "wrong_tool",
        "rate_limited",
        "timeout",
        "blocked_input",
    ],
)
def test_nonsense_is_an_outcome_with_a_name_and_never_a_score(serve: Serve, kind: str) -> None:
    async def answer(gateway: FakeGateway, prompt: str) -> Any:
        if not is_judgement(prompt):
            return right(gateway, prompt)
        body = gateway.requests[-1]
        if part(prompt, "question") != "What is number 3?":
            return in_form(body, by_containment(prompt))
        if kind == "timeout":
            await asyncio.sleep(2)
        return nonsense(kind, body) or in_form(body, "right")

    result = run(dataset(8), serve(answer), planted=0, timeout=1, max_errors=0.5, **CORRECTNESS)
    experiment = result.experiments[0]
    summary = experiment.summary("correctness")
    assert (summary.mean, summary.scored, summary.errors) == (1.0, 7, 1)
    (failed,) = (a for a in experiment.answers if a.score("correctness") is None)
    score = failed.find_score("correctness")
    assert score is not None
    assert score.error is not None
    assert score.error.startswith(kind)
    name = kind.partition(":")[0]
    assert summary.failures == {name: 1}
    assert result.judges[0].failures == {name: 1}
    assert f"not judged: 1 {name}" in str(summary)
    assert experiment.mean("exact_match") == 1.0


def test_a_judge_that_never_works_stops_the_run(serve: Serve) -> None:
    gateway = serve(answers_and_judges(decide=lambda prompt: "perhaps"))
    result = run(dataset(60), gateway, planted=0, **CORRECTNESS)
    assert result.stopped is not None
    assert "judgements failed, more than the error limit of 10% allows; the last: unknown_label" in result.stopped
    assert len(judgements(gateway)) < 60


def test_an_answer_that_failed_is_not_judged_and_counts_as_wrong(serve: Serve) -> None:
    def answer(gateway: FakeGateway, prompt: str) -> Any:
        if is_judgement(prompt):
            return judged(gateway, by_containment(prompt))
        return "" if number(prompt) == 3 else right(gateway, prompt)

    gateway = serve(answer)
    result = run(dataset(8), gateway, planted=0, metrics=["judge:correctness", "judge:completeness"], judge_model="qa")
    correctness, completeness = (result.experiments[0].summary(name) for name in ("correctness", "completeness"))
    assert (correctness.mean, correctness.scored) == (7 / 8, 8)
    assert (completeness.mean, completeness.scored) == (1.0, 7)
    assert len(judgements(gateway)) == 14


def test_the_same_answer_to_the_same_question_is_judged_once(serve: Serve) -> None:
    gateway = serve(answers_and_judges())
    result = run(dataset(8), gateway, models=["qa", "other"], planted=0, **CORRECTNESS)
    assert [experiment.mean("correctness") for experiment in result.experiments] == [1.0, 1.0]
    assert len(judgements(gateway)) == 8
    assert result.judges[0].calls == 8
    assert result.judges[0].cost_usd == pytest.approx(8 * 0.0005)


def test_preference_asks_both_orders_and_a_flip_is_a_tie(serve: Serve) -> None:
    def decide(prompt: str) -> str:
        return "first" if number(part(prompt, "question")) == 2 else by_containment(prompt)

    def answer(gateway: FakeGateway, prompt: str) -> Any:
        if is_judgement(prompt):
            return judged(gateway, decide(prompt))
        wrong = gateway.requests[-1]["model"] == "qa" and number(prompt) in (1, 2)
        return "nothing" if wrong else right(gateway, prompt)

    gateway = serve(answer)
    result = run(
        dataset(6), gateway, models=["qa", "other"], metrics=["judge:preference"], judge_model="qa", baseline="qa"
    )
    baseline, candidate = result.experiments
    assert {answer.score("preference") for answer in baseline.answers} == {0.5}
    scores = {number(a.example.question + "\nAnswer:"): a.find_score("preference") for a in candidate.answers}
    assert [scores[n].value for n in range(6)] == [0.5, 1.0, 0.5, 0.5, 0.5, 0.5]  # type: ignore[union-attr]
    assert "the decision flips with the order" in str(scores[2].explanation)  # type: ignore[union-attr]
    assert len(judgements(gateway)) == 8, "both orders, and one where the two answers are the same text"
    comparison = qa_eval.compare(result, primary="preference")
    (found,) = (each for each in comparison.differences if each.measure.name == "preference")
    assert found.estimate.estimate == pytest.approx(0.5 / 6)


def test_the_cost_limit_counts_answers_and_judgements(serve: Serve) -> None:
    gateway = serve(answers_and_judges())
    result = run(dataset(60), gateway, planted=0, max_cost=0.03, concurrency=4, **CORRECTNESS)
    assert result.stopped is not None
    assert "the cost limit of 0.03 USD is reached" in result.stopped
    assert "judgements" in result.stopped
    (experiment,) = result.experiments
    assert 0.02 <= 0.0005 * len(gateway.requests) <= 0.03
    assert experiment.summary("correctness").scored == len(experiment.answers), "room is left for their judgements"
    cost = result.to_json()["experiments"][0]["cost_usd"], result.to_json()["judges"][0]["cost_usd"]
    assert cost == pytest.approx((0.0005 * len(experiment.answers), 0.0005 * len(experiment.answers)))


def test_planted_answers_measure_the_judge(serve: Serve) -> None:
    def decide(prompt: str) -> str:
        """Misses one right answer in four, and one wrong answer in ten."""
        verdict, place = by_containment(prompt), number(part(prompt, "question"))
        if verdict == "right":
            return "wrong" if place % 4 == 0 else "right"
        return "right" if place % 10 == 0 else "wrong"

    def answer(gateway: FakeGateway, prompt: str) -> Any:
        if is_judgement(prompt):
            return judged(gateway, decide(prompt))
        return right(gateway, prompt) if number(prompt) % 2 else "item-no"

    result = run(in_groups(100, 25), serve(answer), planted=40, **CORRECTNESS)
    (report,) = result.judges
    assert report.accuracy is not None
    assert (report.accuracy.right, report.accuracy.wrong) == (40, 40)
    asked = {each.example.id for each in _planted(result) if each.is_right}
    missed = sum(int(identifier.rpartition("-")[2]) % 4 == 0 for identifier in asked)
    assert report.accuracy.said_right == 40 - missed
    summary = result.experiments[0].summary("correctness")
    assert summary.corrected is not None
    raw = summary.mean_answered
    assert raw is not None
    expected = (raw + report.accuracy.specificity - 1) / report.accuracy.over_chance  # type: ignore[operator]
    assert summary.corrected.estimate == pytest.approx(expected)
    assert summary.corrected.low is not None
    assert summary.corrected.low < expected < summary.corrected.high  # type: ignore[operator]
    document = result.to_json()["judges"][0]
    assert document["accuracy"]["sensitivity"] == report.accuracy.sensitivity


def _planted(result: qa_eval.RunResult) -> list[Any]:
    from qa_eval.experiment.calibration import plant
    from qa_eval.experiment.functions import find_judges
    from qa_eval.experiment.journal_file import JournalFile

    journal = JournalFile.open(result.journal)
    plan = journal.plan()
    journal.close()
    return plant(find_judges(plan.spec, plan.dataset.fields), plan)["correctness"]


def test_a_judge_that_cannot_tell_has_no_corrected_mean(serve: Serve) -> None:
    gateway = serve(answers_and_judges(decide=lambda prompt: "right"))
    result = run(dataset(30), gateway, **CORRECTNESS)
    (report,) = result.judges
    assert report.accuracy is not None
    assert not report.accuracy.can_tell
    assert result.experiments[0].summary("correctness").corrected is None
    assert "cannot tell" in report.accuracy.sentence


def test_a_judge_of_the_same_model_or_family_is_warned_of(serve: Serve) -> None:
    lines: list[str] = []
    gateway = serve(answers_and_judges())
    gateway.models = ("claude-haiku", "claude-sonnet", "nova-lite")
    keywords: dict[str, Any] = {"metrics": ["judge:correctness"], "planted": 0, "on_progress": lines.append}
    own = run(dataset(2), gateway, models=["nova-lite", "claude-haiku"], judge_model="nova-lite", **keywords)
    assert own.judges[0].warning == "nova-lite judges its own answers (nova-lite): a judge prefers its own"
    kin = run(dataset(2), gateway, models=["claude-haiku"], judge_model="claude-sonnet", **keywords)
    assert "of its own family (claude-haiku)" in str(kin.judges[0].warning)
    assert any(line.startswith("Warning: claude-sonnet judges answers of its own family") for line in lines)
    other = run(dataset(2), gateway, models=["claude-haiku"], judge_model="nova-lite", **keywords)
    assert other.judges[0].warning is None


def test_evaluate_adds_metrics_and_pays_only_for_what_is_missing(serve: Serve) -> None:
    gateway = serve(answers_and_judges())
    first = run(dataset(8), gateway, planted=0)
    assert len(gateway.requests) == 8
    added = qa_eval.evaluate(first.run_id, metrics=["judge:correctness", "length"], judge_model="other", planted=0)
    assert len(judgements(gateway)) == len(gateway.requests) - 8 == 8
    experiment = added.experiments[0]
    assert (experiment.mean("correctness"), experiment.mean("length")) == (1.0, 1.0)
    assert experiment.mean("exact_match") == 1.0
    again = qa_eval.evaluate(first.run_id, metrics=["judge:correctness"], judge_model="other", planted=0)
    assert len(gateway.requests) == 16
    assert again.to_json()["experiments"][0]["metrics"].keys() == added.to_json()["experiments"][0]["metrics"].keys()
    assert qa_eval.open_run(first.run_id).experiments[0].mean("correctness") == 1.0


def test_another_judge_model_is_not_taken_for_that_of_the_judges_that_are_there(serve: Serve) -> None:
    gateway = serve(answers_and_judges())
    first = run(dataset(8), gateway, planted=3, **CORRECTNESS)
    calls = len(judgements(gateway))
    added = qa_eval.evaluate(first.run_id, metrics=["judge:completeness"], judge_model="qa")
    assert {judge.metric: judge.model for judge in added.judges} == {"correctness": "other", "completeness": "qa"}
    assert added.judges[0].accuracy == first.judges[0].accuracy is not None
    assert len(judgements(gateway)) == calls + 8, "nothing is judged or measured again"
    with pytest.raises(InputError, match="has the judge correctness by other already: give the one by qa another name"):
        qa_eval.evaluate(first.run_id, metrics=["judge:correctness"], judge_model="qa")


def test_evaluate_needs_neither_the_tasks_nor_the_own_metrics_of_the_run(serve: Serve) -> None:
    gateway = serve(answers_and_judges())

    def known(example: Example) -> str:
        return example.references[0]

    def letters(example: Example, answer: str) -> float:
        return float(len(answer))

    first = run(dataset(4), gateway, task=known, metrics=[letters])
    added = qa_eval.evaluate(first.run_id, metrics=["judge:correctness"], judge_model="other", gateway=gateway.url)
    (experiment,) = added.experiments
    assert (experiment.mean("letters"), experiment.mean("correctness")) == (6.0, 1.0)
    with pytest.raises(InputError, match="No installed package offers a metric 'nobodys'"):
        qa_eval.evaluate(first.run_id, metrics=["nobodys"])


def test_retry_failed_judges_again_what_was_not_judged(serve: Serve) -> None:
    broken = True

    def decide(prompt: str) -> str:
        return "perhaps" if broken and number(part(prompt, "question")) == 3 else by_containment(prompt)

    gateway = serve(answers_and_judges(decide=decide))
    first = run(dataset(8), gateway, planted=0, max_errors=0.5, **CORRECTNESS)
    assert first.experiments[0].summary("correctness").errors == 1
    broken = False
    again = qa_eval.resume(first.run_id, retry_failed=True)
    assert again.experiments[0].summary("correctness").scored == 8
    assert len(judgements(gateway)) == 9


def test_judging_goes_beside_the_answering(serve: Serve) -> None:
    order: list[str] = []

    async def answer(gateway: FakeGateway, prompt: str) -> Any:
        await asyncio.sleep(0.05)
        order.append("judge" if is_judgement(prompt) else "answer")
        return judged(gateway, by_containment(prompt)) if is_judgement(prompt) else right(gateway, prompt)

    run(dataset(60), serve(answer), planted=0, concurrency=4, **CORRECTNESS)
    assert "judge" in order[:40]


def test_killed_while_judging_nothing_is_paid_twice(serve: Serve, tmp_path: Path) -> None:
    async def slow(gateway: FakeGateway, prompt: str) -> Any:
        body = gateway.requests[-1]
        await asyncio.sleep(0.1 if is_judgement(prompt) else 0.02)
        return in_form(body, by_containment(prompt)) if is_judgement(prompt) else completion(right(gateway, prompt))

    gateway, count, concurrency, kills = serve(slow), 80, 4, 5
    path, dice = as_file(dataset(count, "judged"), tmp_path), random.Random(11)
    arguments = ["run-experiment", "--dataset", str(path), "--examples", "all", "--gateway", gateway.url]
    arguments += ["--no-phoenix", "--metric", "judge:correctness", "--judge-model", "other", "--planted", "10"]
    arguments += ["--concurrency", str(concurrency), "--prompt", "{context}\n\nQuestion: {question}\n\nAnswer:"]
    for kill in range(kills):
        asked = len(judgements(gateway))
        with subprocess.Popen([*COMMAND, *arguments], env=environment(), stderr=subprocess.DEVNULL) as process:
            while len(judgements(gateway)) == asked and process.poll() is None:
                time.sleep(0.01)
            time.sleep(dice.uniform(0.0, 0.4))
            process.kill()
        if kill == 0:
            arguments = ["resume", "latest", "--concurrency", str(concurrency)]
    done = subprocess.run(
        [*COMMAND, *arguments, "--json"], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["experiments"][0]["metrics"]["correctness"]["scored"] == count
    asked_for = Counter(body["messages"][-1]["content"] for body in judgements(gateway))
    wrong = sum("item-" in prompt and by_containment(prompt) == "wrong" for prompt in asked_for)
    assert wrong == 10, "the planted wrong answers; the right ones are the answers themselves"
    assert len(asked_for) == count + wrong
    assert asked_for.total() - len(asked_for) <= kills * concurrency, "only what was in flight is paid again"


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"metrics": ["judge:correctness"]}, "The judge correctness has no model: say which model group judges"),
        ({"metrics": ["judge:kindness"], "judge_model": "qa"}, "There is no rubric 'kindness': use correctness, "),
        ({"metrics": ["matches"]}, "The metric matches needs the option `pattern`"),
        ({"metrics": ["numeric=much"]}, "The option `tolerance` of the metric numeric is wrong"),
        ({"metrics": [{"metric": "contains", "options": {"word": "x"}}]}, "has no option `word`: it takes texts"),
        ({"metrics": ["length=3"]}, "takes no options"),
        ({"metrics": ["judge:correctness"], "judge_model": "unknown-group"}, "has no model 'unknown-group'"),
        ({"primary": "tone"}, "has the primary metric tone, which is none of its metrics"),
        ({"metrics": ["judge:preference"], "judge_model": "qa"}, "compares two systems, and there is one"),
        ({"metrics": ["judge:nowhere.yaml"], "judge_model": "qa"}, "nowhere.yaml cannot be read"),
        ({"require": "tone >= 0.5"}, "There is no measure 'tone': give one of em, f1, similarity"),
    ],
)
def test_mistakes_are_one_sentence_before_anything_is_asked(
    serve: Serve, keywords: dict[str, Any], sentence: str
) -> None:
    gateway = serve(answers_and_judges())
    with pytest.raises(qa_eval.QaEvalError, match=sentence):
        run(dataset(3), gateway, **keywords)
    assert not gateway.requests


def test_an_own_rubric_from_a_file(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "tone.yaml"
    path.write_text(
        "prompt: |\n  Decide how polite it is.\n  <answer>\n  {answer}\n  </answer>\n  Source: {source}\n"
        "choices: {rude: 0, plain: 0.5, polite: 1}\n"
    )
    gateway = serve(answers_and_judges(decide=lambda prompt: "polite"))
    result = run(dataset(4), gateway, metrics=[f"judge:{path}"], judge_model="other", require="tone >= 0.9")
    assert result.experiments[0].mean("tone") == 1.0
    assert "Source: test" in judgements(gateway)[0]["messages"][-1]["content"]
    assert result.judges[0].accuracy is None, "nothing is known of what is polite"
    spec = result.metadata.spec.metrics[-1]
    assert spec.rubric is not None
    assert spec.rubric.choices == {"rude": 0, "plain": 0.5, "polite": 1}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("prompt: x\nchoices: {a: 1, b: 0}\n", "has a prompt without {answer}"),
        ("prompt: '{answer}'\nchoices: {a: 1}\n", "`choices`"),
        ("prompt: '{answer}'\nchoices: {a: 1, A: 0}\n", "labels that differ in more than upper and lower case"),
        ("prompt: '{answer}'\nchoices: {a: 1, b: 1}\n", "at least two different values"),
        ("prompt: '{answer}'\nchoice: {a: 1, b: 1}\n", "there is no key `choice`: did you mean `choices`?"),
        ("- a\n", "must hold `prompt` and `choices`"),
        ("prompt: [", "cannot be parsed"),
    ],
)
def test_a_wrong_rubric_is_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "tone.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=r"tone\.yaml") as caught:
        qa_eval.run_experiment("sample", gateway="http://localhost:1", record=False, metrics=[f"judge:{path}"])
    assert sentence in str(caught.value)


def test_a_rubric_with_a_field_that_no_example_has_is_refused(tmp_path: Path, serve: Serve) -> None:
    path = tmp_path / "tone.yaml"
    path.write_text("prompt: 'Decide. {answer} {mood}'\nchoices: {a: 1, b: 0}\n")
    with pytest.raises(InputError, match=r"The rubric of tone uses \{mood\}, which no example has"):
        run(dataset(2), serve(right), metrics=[f"judge:{path}"], judge_model="qa")


# --- people's labels ------------------------------------------------------------------------------------------------


def half_right(gateway: FakeGateway, prompt: str) -> Any:
    if is_judgement(prompt):
        return judged(gateway, by_containment(prompt))
    return right(gateway, prompt) if number(prompt) % 2 else "item-no"


def filled_in(sheet: str, folder: Path, decide: Callable[[dict[str, str]], str], **columns: str) -> Path:
    """The sheet with a label in each row."""
    rows = list(csv.DictReader(io.StringIO(sheet)))
    path = folder / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "label": decide(row), **columns} for row in rows)
    return path


def test_people_say_how_far_the_judge_can_be_trusted(serve: Serve, tmp_path: Path) -> None:
    result = run(in_groups(120, 24), serve(half_right), planted=0, **CORRECTNESS)
    sheet = qa_eval.export_labels(result.run_id, metric="correctness", count=60)
    rows = list(csv.DictReader(io.StringIO(sheet)))
    assert len(rows) == 60
    assert sum(row["answer"] == "item-no" for row in rows) == 30, "drawn within each verdict"
    assert rows[0].keys() == {"answer_id", "question", "context", "references", "answer", "label", "annotator"}
    assert sheet == qa_eval.export_labels(result.run_id, metric="correctness", count=60), "the draw has a seed"

    def decide(row: dict[str, str]) -> str:
        """People find one in five of the wrong ones right."""
        return "right" if row["answer"] != "item-no" or int(row["answer_id"]) % 5 == 0 else "wrong"

    labelled = qa_eval.import_labels(
        result.run_id, metric="correctness", path=filled_in(sheet, tmp_path, decide, annotator="Ann")
    )
    (report,) = labelled.judges
    assert report.agreement is not None
    found_right = sum(decide(row) == "right" for row in rows if row["answer"] == "item-no")
    assert report.agreement.n == 60
    assert report.agreement.agreement == pytest.approx((60 - found_right) / 60)
    assert report.agreement.confusion["wrong", "right"] == found_right
    summary = labelled.experiments[0].summary("correctness")
    assert summary.by_people is not None
    assert summary.mean == 0.5
    assert summary.by_people.estimate == pytest.approx(0.5 + 0.5 * found_right / 30)
    assert summary.by_people.low is not None
    document = qa_eval.open_run(result.run_id).to_json()
    assert document["judges"][0]["labels"] == 60
    assert document["experiments"][0]["metrics"]["correctness"]["by_people"]["mean"] == summary.by_people.estimate


def test_labels_that_are_wrong_are_named_with_their_row(serve: Serve, tmp_path: Path) -> None:
    result = run(dataset(20), serve(half_right), planted=0, **CORRECTNESS)
    sheet = qa_eval.export_labels(result.run_id, metric="correctness", count=10)
    wrong = filled_in(sheet, tmp_path, lambda row: "Right")
    with pytest.raises(InputError, match=r"labels.csv: row 2: the label 'Right' is none of right, wrong"):
        qa_eval.import_labels(result.run_id, metric="correctness", path=wrong)
    other = filled_in(sheet, tmp_path, lambda row: "right", answer="something else")
    with pytest.raises(InputError, match="row 2 is no answer of this run"):
        qa_eval.import_labels(result.run_id, metric="correctness", path=other)
    empty = filled_in(sheet, tmp_path, lambda row: "")
    with pytest.raises(InputError, match="There are no labels: fill in the column `label`"):
        qa_eval.import_labels(result.run_id, metric="correctness", path=empty)
    with pytest.raises(InputError, match=r"has no judge 'tone' of single answers \(it has correctness\)"):
        qa_eval.export_labels(result.run_id, metric="tone")


def test_an_evaluator_of_phoenix_evals_is_a_metric_whose_calls_are_paid_once(serve: Serve) -> None:
    from phoenix.evals.metrics import FaithfulnessEvaluator

    def answer(gateway: FakeGateway, prompt: str) -> Any:
        body = gateway.requests[-1]
        if "response_format" not in body:
            return right(gateway, prompt)
        labels = body["response_format"]["json_schema"]["schema"]["properties"]["label"]["enum"]
        return completion(json.dumps({"explanation": "It is in the context.", "label": labels[0]}))

    gateway = serve(answer)
    evaluator = FaithfulnessEvaluator(llm=qa_eval.judge_llm("other"))
    result = run(dataset(8), gateway, metrics=[evaluator], max_cost=1)
    summary = result.experiments[0].summary("faithfulness")
    assert (summary.mean, summary.scored, summary.errors) == (1.0, 8, 0)
    assert len(gateway.requests) == 16
    definition = result.metadata.definitions["faithfulness"]
    assert (definition.source, definition.range) == ("judge", (0.0, 1.0))
    assert result.judges == (), "no rubric of ours: nothing is known of how far it can be trusted"
    assert result.to_json()["spec"]["metrics"][-1]["source"] == "judge"


def test_a_journal_from_before_judges_opens_and_gets_one(serve: Serve) -> None:
    gateway = serve(answers_and_judges())
    result = run(dataset(4), gateway)
    database = sqlite3.connect(result.journal)
    database.executescript("DROP TABLE judge_calls; DROP TABLE labels;")
    database.close()
    assert qa_eval.open_run(result.run_id).judges == ()
    added = qa_eval.evaluate(result.run_id, metrics=["judge:correctness"], judge_model="other", planted=0)
    assert added.experiments[0].mean("correctness") == 1.0
