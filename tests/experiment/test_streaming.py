"""Runs with streamed answers: where the time to the first token is shown, and where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_gateway import KEY, FakeGateway, Serve, completion
from fake_judge import answers_and_judges, is_judgement
from fake_stream import DONE, USAGE, chunk, event, streamed
from numbers_dataset import dataset, right, run

import qa_eval
from qa_eval.analysis.gate import parse_rules
from qa_eval.cli.result_tables import _remarks
from qa_eval.cli.run_experiment import given
from qa_eval.errors import InputError
from qa_eval.experiment.results import RunResult
from qa_eval.spec.load import load_spec


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_EVAL_GATEWAY_KEY", KEY)


def in_pieces(gateway: FakeGateway, prompt: str, pause_s: float = 0.05) -> Any:
    """The right answer, streamed where it is asked for so."""
    text = right(gateway, prompt)
    if not gateway.requests[-1].get("stream"):
        return completion(text)
    pieces = (chunk(text[:3]), pause_s, chunk(text[3:]), chunk(finish="stop"))
    return streamed(*pieces, event({"choices": [], "usage": USAGE}), DONE)(gateway, prompt)


def remarks(result: RunResult, place: int = 0) -> str:
    return "\n".join(_remarks(result.experiments[place]))


def test_the_first_token_is_wherever_the_latency_is(serve: Serve, tmp_path: Path) -> None:
    gateway = serve(in_pieces)
    plain = run(dataset(12), gateway, name="plain")
    result = run(dataset(12), gateway, name="streamed", stream=True)
    (experiment,) = result.experiments
    document = json.loads(json.dumps(result.to_json()))["experiments"][0]
    assert 0 < document["first_token_s"]["p50"] < document["latency_s"]["p50"] - 0.04
    assert document["cost_usd"] == plain.experiments[0].total("cost_usd")
    assert document["tokens"] == plain.experiments[0].to_json()["tokens"]
    assert f"first token after {experiment.first_token(0.5):.3g} s (p50), " in remarks(result)
    assert "came whole" not in remarks(result)
    frame = result.to_pandas()
    assert (frame["first_token_s"] < frame["latency_s"]).all()
    assert "; first token p50 0." in qa_eval.report("streamed", output=tmp_path / "r.html").read_text()
    assert qa_eval.open_run("streamed").to_json()["experiments"] == result.to_json()["experiments"]
    export = tmp_path / "export.jsonl"
    frame.to_json(export, orient="records", lines=True, date_format="iso")
    for source in ("streamed", export):
        comparison = qa_eval.compare(source, result)
        assert {"p50_first_token", "p95_first_token"} <= {each.measure.name for each in comparison.differences}
    assert parse_rules(["p95_first_token > 0.5"], [], [])


def test_without_streams_there_is_no_word_of_it(serve: Serve) -> None:
    gateway = serve(in_pieces)
    result = run(dataset(6), gateway, name="plain")
    assert result.experiments[0].to_json()["first_token_s"] == {"p50": None, "p95": None}
    assert "first token" not in remarks(result) + str(qa_eval.compare(result, result).notes)
    streamed_run = run(dataset(6), gateway, name="streamed", stream=True)
    notes = qa_eval.compare(result, streamed_run).notes
    assert "cost of 1,000 questions: LiteLLM's gateway leaves its guardrail's price out of streamed answers." in notes
    assert not any("guardrail" in note for note in qa_eval.compare(streamed_run, streamed_run).notes)
    assert any("p50 first token, p95 first token (not known for every question of" in note for note in notes), notes


def test_answers_that_come_whole_are_said_to(serve: Serve) -> None:
    def held_back(gateway: FakeGateway, prompt: str) -> Any:
        return streamed(0.1, chunk(right(gateway, prompt), "stop", usage=USAGE), DONE)(gateway, prompt)

    assert "the answers came whole" in remarks(run(dataset(6), serve(held_back), stream=True))


def test_judges_never_stream(serve: Serve) -> None:
    judging = answers_and_judges()

    def answer(gateway: FakeGateway, prompt: str) -> Any:
        return judging(gateway, prompt) if is_judgement(prompt) else in_pieces(gateway, prompt, 0.0)

    gateway = serve(answer)
    result = run(dataset(3), gateway, stream=True, metrics=["judge:correctness"], judge_model="other", planted=0)
    assert result.experiments[0].mean("correctness") == 1.0
    judgements = [body for body in gateway.requests if is_judgement(body["messages"][-1]["content"])]
    assert len(judgements) == 3
    assert all("stream" not in body for body in judgements)


def test_a_cost_limit_is_kept_in_streams(serve: Serve) -> None:
    result = run(dataset(60), serve(lambda g, p: in_pieces(g, p, 0.0)), stream=True, max_cost=0.0105, concurrency=4)
    assert "the cost limit of 0.0105 USD is reached" in str(result.stopped)
    assert 0.0075 < float(result.experiments[0].total("cost_usd") or 0) <= 0.0105 + 1e-12


def test_a_task_beside_a_model_has_no_first_token(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def answer(example):\n    return example.references[0]\n")
    specification = tmp_path / "mixed.yaml"
    specification.write_text(
        "stream: true\nsystems:\n  - { name: model, model: qa }\n  - { name: mine, task: 'mine:answer' }\n"
        f"dataset: {{ path: sample, examples: 3 }}\nservers: {{ gateway: '{serve(lambda *_: _x()).url}' }}\n"
        "recording: { phoenix: false }\n"
    )
    lines: list[str] = []
    result = qa_eval.run_experiment(specification, on_progress=lines.append)
    assert [each.first_token(0.5) is None for each in result.experiments] == [False, True]
    assert any("without its guardrail's" in line for line in lines)


async def _x() -> Any:
    return streamed(chunk("x", "stop"), DONE)(None, "")  # type: ignore[arg-type]


def test_where_nothing_can_stream_it_is_refused() -> None:
    with pytest.raises(InputError, match="`stream` has no effect: tasks and chatbots answer whole"):
        qa_eval.run_experiment(dataset(2), task={"mine": lambda example: "x"}, stream=True, record=False)


def test_a_flag_turns_it_off_where_a_file_turns_it_on(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("stream: true\nservers: { local: true }\n")
    assert load_spec(file, given({"stream": None})).spec.stream
    assert not load_spec(file, given({"stream": False, "local": False})).spec.stream
    assert given({"local": False, "stream": None, "record": True}) == {"record": False}
