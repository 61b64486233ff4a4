"""Own metrics and own tasks: functions of the user's that join a run, and what becomes of their mistakes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
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
from qa_eval.metrics.custom import TAKEN, OwnScore, Score, measure
from qa_eval.stack import RunningStack

NUMBERS = dataset(12)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)


def length(example: Example, prediction: str) -> float:
    return float(len(prediction))


async def judged(example: Example, prediction: str) -> Score:
    await asyncio.sleep(0)
    right = prediction in example.references
    return Score(2.0 * right - 1.0, "good" if right else "bad", f"compared with {example.references[0]}")


def fragile(example: Example, prediction: str) -> float:
    if example.id.endswith(("-1", "-2")):
        raise ValueError(f"cannot read {example.id}")
    return 0.5


def test_own_metrics_stand_beside_the_scores(serve: Serve) -> None:
    gateway = serve(lambda g, p: right(g, p) if number(p) else "something else")
    result = qa_eval.run_experiment(
        NUMBERS, gateway=gateway.url, record=False, metrics={"chars": length, "judge": judged}
    )
    (experiment,) = result.experiments
    chars, judge = experiment.own_metrics()
    frame = result.to_pandas()
    assert chars.mean == frame["chars"].mean() == frame["answer"].str.len().mean()
    assert judge.mean == pytest.approx((11 - 1) / 12)
    assert (judge.measured, judge.errors, judge.error) == (12, 0, None)
    assert set(frame["judge.label"]) == {"good", "bad"}
    assert frame["judge.explanation"][0].startswith("compared with item-")
    document = json.loads(json.dumps(result.to_json()))
    assert document["settings"]["metrics"] == ["chars", "judge"]
    assert document["experiments"][0]["own_metrics"]["judge"]["mean"] == judge.mean
    assert "judge" in repr(result).splitlines()[1]
    assert "judge" in result._repr_html_()
    assert qa_eval.open_run(result.run_id).experiments == result.experiments


def test_a_metric_that_raises_is_an_error_with_its_name_and_never_a_zero(serve: Serve) -> None:
    result = qa_eval.run_experiment(NUMBERS, gateway=serve(right).url, record=False, metrics=[fragile, length])
    failing, working = result.experiments[0].own_metrics()
    assert (failing.name, failing.mean, failing.measured, failing.errors) == ("fragile", 0.5, 10, 2)
    assert failing.error is not None
    assert failing.error.startswith("ValueError: cannot read numbers-")
    assert (working.measured, working.errors) == (12, 0)
    assert result.experiments[0].mean("exact_match") == 1.0
    assert result.to_pandas()["fragile"].isna().sum() == 2
    assert "2 errors: ValueError: cannot read numbers-" in str(failing)


def test_a_question_without_an_answer_has_no_own_score(serve: Serve) -> None:
    gateway = serve(lambda g, p: "" if number(p) == 3 else right(g, p))
    result = qa_eval.run_experiment(NUMBERS, gateway=gateway.url, record=False, metrics=[length])
    (own,) = result.experiments[0].own_metrics()
    assert (own.measured, own.errors) == (11, 0)
    (empty,) = (entry for entry in result.experiments[0].entries if not entry.reply.outcome.is_answer)
    assert empty.own_scores == ()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "0.5", [1.0], Score(float("nan")), Score("1")])  # type: ignore[arg-type]
def test_what_is_no_finite_number_is_an_error(value: Any) -> None:
    ((own,),) = asyncio.run(measure({"odd": lambda example, prediction: value}, [(NUMBERS.examples[0], "x")]))
    assert own.value is None
    assert own.explanation is not None
    assert "no finite number" in own.explanation


@settings(max_examples=100, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**50), 2**50) | st.booleans(), st.booleans())
def test_any_finite_number_is_kept_as_it_is(value: float, wrapped: bool) -> None:
    """Feature: litellm-ecs-demo, Property 70: an own metric's finite number comes out as it went in."""
    returned = Score(value, "a", "b") if wrapped else value
    ((own,),) = asyncio.run(measure({"m": lambda example, prediction: returned}, [(NUMBERS.examples[0], "x")]))
    assert own == OwnScore("m", float(value), *(("a", "b") if wrapped else ()))


def test_numpy_numbers_are_numbers() -> None:
    values = iter([np.float32(0.5), np.int64(2), np.bool_(True)])
    found = asyncio.run(measure({"m": lambda e, p: next(values)}, [(NUMBERS.examples[0], "x")] * 3))  # type: ignore[arg-type,return-value]
    assert [own.value for (own,) in found] == [0.5, 2.0, 1.0]


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ({"f1": length}, "'f1', which is taken"),
        ({"no name": length}, "'no name', which is no plain name"),
        ([lambda example, prediction: 0.0], "'<lambda>', which is no plain name"),
        ([length, length], "Two metrics are called 'length'"),
        (["nobodys"], "No installed package offers a metric 'nobodys'"),
    ],
)
def test_a_name_that_cannot_be_is_refused(metrics: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        qa_eval.run_experiment(NUMBERS, local=True, metrics=metrics)


def test_the_taken_names_are_all_columns_there_are(serve: Serve) -> None:
    result = qa_eval.run_experiment(dataset(1), gateway=serve(right).url, record=False)
    assert set(result.to_pandas().columns) <= TAKEN


def test_a_run_that_is_resumed_needs_its_metrics_again(serve: Serve) -> None:
    gateway = serve(right)
    begun = qa_eval.run_experiment(
        NUMBERS, gateway=gateway.url, record=False, metrics=[length], concurrency=1, max_time_s=1e-6
    )
    assert begun.incomplete
    with pytest.raises(InputError, match=r"The run has own metrics \(length\): give them again"):
        qa_eval.resume(begun.run_id)
    with pytest.raises(InputError, match="begun without the metric 'fragile'"):
        qa_eval.resume(begun.run_id, metrics=[length, fragile])
    (own,) = qa_eval.resume(begun.run_id, metrics=[length]).experiments[0].own_metrics()
    assert own.measured == 12


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
    assert "over 3 answers" in done.stdout
    again = [sys.executable, "-m", "qa_eval.cli.main", "resume", "latest"]
    resumed = subprocess.run(again, capture_output=True, text=True, check=True)
    assert "over 3 answers" in resumed.stdout
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
def test_an_own_task_answers_in_the_gateways_place(task: Any) -> None:
    result = qa_eval.run_experiment(NUMBERS, task=task, record=False, max_errors=1.0)
    (experiment,) = result.experiments
    assert experiment.model == task.__name__
    assert experiment.outcomes == {"answered": 9, "task_error": 1, "empty": 1, "invalid_response": 1}
    assert experiment.mean("exact_match") == 9 / 12
    messages = {entry.example.id: entry.reply.message for entry in experiment.entries}
    assert messages["numbers-1"] == "RuntimeError: no thought"
    assert messages["numbers-4"] == "the task returned NoneType, not text"
    assert result.settings.target == f"task:{task.__name__}"


def test_a_task_that_takes_too_long_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from qa_eval.targets.function import OwnTask

    async def forever(example: Example) -> str:
        await asyncio.sleep(60)
        return ""

    asked = OwnTask(forever, NUMBERS, timeout_s=0.05).ask("m", "numbers-0", temperature=0, max_tokens=1)
    reply = asyncio.run(asked).reply
    assert (str(reply.outcome), reply.message) == ("timeout", "no answer within 0.05 s")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"prompt": "{question}"}, "leave out prompt"),
        ({"target": "chatbot"}, "leave out target"),
        ({"models": ["a", "b"]}, "one name as its model"),
        ({"temperature": 0.5}, "does not reach the task"),
        ({"max_cost": 1.0}, "with the task as the target"),
        ({"similarity": "gateway"}, "--similarity gateway asks a gateway"),
    ],
)
def test_what_a_task_cannot_have_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        qa_eval.run_experiment(NUMBERS, task=answer, record=False, **arguments)


def test_a_task_is_needed_again_to_resume() -> None:
    begun = qa_eval.run_experiment(NUMBERS, task=late_answer, record=False, concurrency=1, max_time_s=0.02)
    assert begun.incomplete
    with pytest.raises(InputError, match=r"An own task \(late_answer\) answers this run"):
        qa_eval.resume(begun.run_id)
    result = qa_eval.resume(begun.run_id, task=late_answer, max_errors=1.0)
    assert len(result.experiments[0].entries) == 12


def test_phoenix_has_the_own_scores_and_errors(in_stack_folder: RunningStack) -> None:
    result = qa_eval.run_experiment(
        dataset(12, "own-metrics"),
        task=lambda example: example.references[0],
        models=["mine"],
        local=True,
        metrics={"judge": judged, "fragile": fragile},
    )
    assert (result.unrecorded, result.stopped) == (0, None)
    phoenix, experiment = in_stack_folder.phoenix_url, result.experiments[0].phoenix_id
    runs = httpx.get(f"{phoenix}/v1/experiments/{experiment}/json", timeout=60).json()
    named = {run["output"]["answer"]: {each["name"]: each for each in run["annotations"]} for run in runs}
    judge, failed, worked = named["item-5"]["judge"], named["item-1"]["fragile"], named["item-5"]["fragile"]
    assert (judge["score"], judge["label"], judge["explanation"]) == (1.0, "good", "compared with item-5")
    assert (failed["score"], failed["error"]) == (None, "ValueError: cannot read own-metrics-1")
    assert (worked["score"], worked["error"]) == (0.5, None)
