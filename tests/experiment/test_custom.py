"""Custom metrics and tasks: functions of the user's that join a run, and what becomes of their mistakes."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fake_gateway import KEY, Serve
from hypothesis import given, settings
from hypothesis import strategies as st
from numbers_dataset import dataset, number, right

import qa_eval
from qa_eval.data import Example
from qa_eval.errors import InputError
from qa_eval.metrics.base import Score
from qa_eval.metrics.custom import TAKEN, measure
from qa_eval.metrics.registry import BUILT_IN
from qa_eval.stack import RunningStack

NUMBERS = dataset(12)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)


def letters(example: Example, prediction: str) -> float:
    return float(len(prediction))


async def judged(example: Example, prediction: str) -> Score:
    await asyncio.sleep(0)
    right = prediction in example.references
    return Score(2.0 * right - 1.0, "good" if right else "bad", f"compared with {example.references[0]}")


def fragile(example: Example, prediction: str) -> float:
    if example.id.endswith(("-1", "-2")):
        raise ValueError(f"cannot read {example.id}")
    return 0.5


def test_custom_metrics_are_beside_the_scores(serve: Serve) -> None:
    gateway = serve(lambda g, p: right(g, p) if number(p) else "something else")
    result = qa_eval.run_experiment(
        NUMBERS, gateway=gateway.url, record=False, metrics={"chars": letters, "judge": judged}
    )
    (experiment,) = result.experiments
    chars, judge = experiment.summary("chars"), experiment.summary("judge")
    frame = result.to_pandas()
    assert chars.mean == frame["chars"].mean() == frame["answer"].str.len().mean()
    assert judge.mean == pytest.approx((11 - 1) / 12)
    assert (judge.scored, judge.errors, judge.error) == (12, 0, None)
    assert set(frame["judge.label"]) == {"good", "bad"}
    assert frame["judge.explanation"][0].startswith("compared with item-")
    document = json.loads(json.dumps(result.to_json()))
    assert [metric["name"] for metric in document["spec"]["metrics"]][3:] == ["chars", "judge"]
    assert document["experiments"][0]["metrics"]["judge"]["mean"] == judge.mean
    assert "judge" in repr(result).splitlines()[1]
    assert "judge" in result._repr_html_()
    assert qa_eval.open_run(result.run_id).experiments == result.experiments


def test_a_metric_that_raises_is_an_error_with_its_name_and_never_a_zero(serve: Serve) -> None:
    result = qa_eval.run_experiment(NUMBERS, gateway=serve(right).url, record=False, metrics=[fragile, letters])
    failing, working = (result.experiments[0].summary(name) for name in ("fragile", "letters"))
    assert (failing.name, failing.mean, failing.scored, failing.errors) == ("fragile", 0.5, 10, 2)
    assert failing.error is not None
    assert failing.error.startswith("ValueError: cannot read numbers-")
    assert (working.scored, working.errors) == (12, 0)
    assert result.experiments[0].mean("exact_match") == 1.0
    assert result.to_pandas()["fragile"].isna().sum() == 2
    assert "2 errors: ValueError: cannot read numbers-" in str(failing)


def test_a_question_without_an_answer_has_no_custom_score(serve: Serve) -> None:
    gateway = serve(lambda g, p: "" if number(p) == 3 else right(g, p))
    result = qa_eval.run_experiment(NUMBERS, gateway=gateway.url, record=False, metrics=[letters])
    summary = result.experiments[0].summary("letters")
    assert (summary.scored, summary.errors) == (11, 0)
    (empty,) = (answer for answer in result.experiments[0].answers if not answer.reply.outcome.is_answer)
    assert empty.score("letters") is None
    assert [(score.value, score.label) for score in empty.scores] == [(0.0, "empty")] * 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "0.5", [1.0], Score(float("nan")), Score("1")])  # type: ignore[arg-type]
def test_what_is_no_finite_number_is_an_error(value: Any) -> None:
    (score,) = asyncio.run(measure("odd", lambda example, prediction: value, [(NUMBERS.examples[0], "x", nullcontext)]))
    assert score is not None
    assert score.value is None
    assert score.error is not None
    assert "not a finite number" in score.error


@settings(max_examples=100, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**50), 2**50) | st.booleans(), st.booleans())
def test_any_finite_number_is_kept_as_it_is(value: float, wrapped: bool) -> None:
    """Feature: litellm-ecs-demo, Property 70: a custom metric's finite number comes out as it went in."""
    returned = Score(value, "a", "b") if wrapped else value
    (score,) = asyncio.run(
        measure("m", lambda example, prediction: returned, [(NUMBERS.examples[0], "x", nullcontext)])
    )
    assert score == Score(float(value), *(("a", "b") if wrapped else ()), name="m")


def test_numpy_numbers_are_numbers() -> None:
    values = iter([np.float32(0.5), np.int64(2), np.bool_(True)])
    found = asyncio.run(measure("m", lambda e, p: next(values), [(NUMBERS.examples[0], "x", nullcontext)] * 3))  # type: ignore[arg-type,return-value]
    assert [score.value for score in found if score is not None] == [0.5, 2.0, 1.0]


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ({"f1": letters}, "'f1', which is taken"),
        ({"length": letters}, "'length', which is taken"),
        ({"no name": letters}, "'no name' cannot be a metric's name"),
        ([lambda example, prediction: 0.0], "'<lambda>' cannot be a metric's name"),
        ([letters, letters], "Two functions are called 'letters'"),
        (["nobodys"], "No installed package offers a metric 'nobodys'"),
    ],
)
def test_a_name_that_cannot_be_is_refused(metrics: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        qa_eval.run_experiment(NUMBERS, local=True, metrics=metrics)


def test_the_taken_names_are_all_columns_there_are(serve: Serve) -> None:
    result = qa_eval.run_experiment(dataset(1), gateway=serve(right).url, record=False)
    assert {name for name in result.to_pandas().columns if not name.startswith("metadata.")} <= TAKEN | BUILT_IN.keys()


def test_a_run_that_is_resumed_needs_its_metrics_again(serve: Serve) -> None:
    gateway = serve(right)
    begun = qa_eval.run_experiment(
        NUMBERS, gateway=gateway.url, record=False, metrics=[letters], concurrency=1, max_time=1e-6
    )
    assert begun.incomplete
    with pytest.raises(InputError, match="No installed package offers a metric 'letters'"):
        qa_eval.resume(begun.run_id)
    with pytest.raises(InputError, match="started without the metric 'fragile'"):
        qa_eval.resume(begun.run_id, metrics=[letters, fragile])
    assert qa_eval.resume(begun.run_id, metrics=[letters]).experiments[0].summary("letters").scored == 12


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder as an installed package leaves it, which offers two metrics, one of them broken."""
    folder = tmp_path / "site"
    (folder / "brief-1.0.dist-info").mkdir(parents=True)
    (folder / "brief-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: brief\nVersion: 1.0\n")
    (folder / "brief-1.0.dist-info" / "entry_points.txt").write_text(
        "[qa_eval.metrics]\nbrevity = brief:brevity\nbroken = nowhere:nothing\n"
    )
    (folder / "brief.py").write_text("def brevity(example, prediction):\n    return 1 / len(prediction.split())\n")
    return folder


def test_an_installed_metric_joins_by_its_name(serve: Serve, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(package))
    command = [
        sys.executable,
        "-m",
        "qa_eval.cli.main",
        "run-experiment",
        "--no-phoenix",
        "--gateway",
        serve(right).url,
    ]
    sample = ["--examples", "3", "--prompt", str(package / "prompt")]
    (package / "prompt").write_text("number {question}")
    done = subprocess.run([*command, *sample, "--metric", "brevity"], capture_output=True, text=True, check=True)
    assert "brevity " in done.stdout
    assert re.search(r"^brevity +qa .* 3 *$", done.stdout, re.MULTILINE)
    again = [sys.executable, "-m", "qa_eval.cli.main", "resume", "latest"]
    resumed = subprocess.run(again, capture_output=True, text=True, check=True)
    assert re.search(r"^brevity +qa .* 3 *$", resumed.stdout, re.MULTILINE)
    broken = subprocess.run([*command, *sample, "--metric", "broken"], capture_output=True, text=True, check=False)
    assert broken.returncode == 2
    assert "The metric 'broken' cannot be loaded (ModuleNotFoundError: No module named 'nowhere')" in broken.stderr


def answer(example: Example) -> str:
    number = int(example.id.rsplit("-", 1)[1])
    if number == 1:
        raise RuntimeError("no thought")
    return {2: "", 3: "  item-3 \n", 4: None}.get(number, f"item-{number}")  # type: ignore[return-value]


async def late_answer(example: Example) -> str:
    await asyncio.sleep(0.01)
    return answer(example)


@pytest.mark.parametrize("task", [answer, late_answer])
def test_a_task_answers_in_place_of_the_gateway(task: Any) -> None:
    result = qa_eval.run_experiment(NUMBERS, task=task, record=False, max_errors=1.0)
    (experiment,) = result.experiments
    assert (experiment.system, experiment.model) == (task.__name__, None)
    assert experiment.outcomes == {"answered": 9, "task_error": 1, "empty": 1, "invalid_response": 1}
    assert experiment.mean("exact_match") == 9 / 12
    messages = {answer.example.id: answer.reply.message for answer in experiment.answers}
    assert messages["numbers-1"] == "RuntimeError: no thought"
    assert messages["numbers-4"] == "the task returned NoneType, not text"
    assert result.metadata.systems[0].task == task.__name__


def test_a_task_that_takes_too_long_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from qa_eval.targets.function import FunctionTarget

    async def forever(example: Example) -> str:
        await asyncio.sleep(60)
        return ""

    reply = asyncio.run(FunctionTarget(forever, timeout_s=0.05).generate(NUMBERS.examples[0])).reply
    assert (str(reply.outcome), reply.message) == ("timeout", "no answer within 0.05 s")


def test_a_task_and_models_are_systems_of_one_run(serve: Serve) -> None:
    gateway = serve(right)
    result = qa_eval.run_experiment(
        NUMBERS, task={"mine": late_answer}, models=["qa"], gateway=gateway.url, record=False, max_errors=1.0
    )
    assert [(each.system, each.model) for each in result.experiments] == [("qa", "qa"), ("mine", None)]
    assert gateway.asked.total() == 12


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"max_cost": 1.0}, "`max_cost` cannot be kept: answer does not say"),
        ({"similarity": "gateway"}, "`similarity` gateway needs a gateway"),
        ({"task": [answer, answer]}, "Two functions are called 'answer'"),
    ],
)
def test_what_a_task_cannot_have_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        qa_eval.run_experiment(NUMBERS, **{"task": answer, "record": False, **arguments})


def test_a_task_is_needed_again_to_resume() -> None:
    begun = qa_eval.run_experiment(NUMBERS, task=late_answer, record=False, concurrency=1, max_time=0.02)
    assert begun.incomplete
    with pytest.raises(InputError, match="The task 'late_answer' is a function that was given from Python"):
        qa_eval.resume(begun.run_id)
    result = qa_eval.resume(begun.run_id, task=late_answer, max_errors=1.0)
    assert len(result.experiments[0].answers) == 12


def test_phoenix_has_the_custom_scores_and_errors(in_stack_folder: RunningStack) -> None:
    result = qa_eval.run_experiment(
        dataset(12, "custom-metrics"),
        task={"mine": lambda example: example.references[0]},
        local=True,
        metrics={"judge": judged, "fragile": fragile},
    )
    assert (result.unrecorded, result.stopped) == (0, None)
    phoenix, experiment = in_stack_folder.phoenix_url, result.experiments[0].phoenix_id
    runs = httpx.get(f"{phoenix}/v1/experiments/{experiment}/json", timeout=60).json()
    named = {run["output"]["answer"]: {each["name"]: each for each in run["annotations"]} for run in runs}
    judge, failed, worked = named["item-5"]["judge"], named["item-1"]["fragile"], named["item-5"]["fragile"]
    assert (judge["score"], judge["label"], judge["explanation"]) == (1.0, "good", "compared with item-5")
    assert (failed["score"], failed["error"]) == (None, "ValueError: cannot read custom-metrics-1")
    assert (worked["score"], worked["error"]) == (0.5, None)
