"""The local Bedrock as boto3 sees it, which parses strictly; the model behind it is the stack's real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import ROOT, squad_file

from aws import connect
from qa_eval.blueprint.guardrail import load_guardrail_policy
from qa_eval.stack import RunningStack
from qa_eval.stack.bedrock import LOCAL_GUARDRAIL_ID, LOCAL_GUARDRAIL_VERSION
from qa_eval.stack.bedrock.guardrail import TRIGGER_PHRASES, apply
from qa_eval.stack.bedrock.prompts import ContextQuestion, as_series, read_question
from qa_eval.stack.bedrock.replay import Replay, ReplayEntry, read_replay, write_replay

HAIKU = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
PROMPT = "Answer shortly.\n\nContext: Ada Lovelace was born in London in 1815.\n\nQuestion: {}\n\nAnswer:"


@pytest.fixture(scope="module")
def bedrock(stack: RunningStack) -> Any:
    return connect(stack.bedrock_url)


def say(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}]}


def test_converse_answers_from_the_real_model(bedrock: Any) -> None:
    answer = bedrock.converse(
        modelId=HAIKU,
        messages=[say(PROMPT.format("Where was Ada Lovelace born?"))],
        inferenceConfig={"maxTokens": 16, "temperature": 0},
    )
    assert "London" in answer["output"]["message"]["content"][0]["text"]
    assert answer["stopReason"] == "end_turn"
    usage = answer["usage"]
    assert usage["inputTokens"] > 100
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]


def test_an_answer_ends_at_the_asked_number_of_tokens(bedrock: Any) -> None:
    answer = bedrock.converse(modelId=HAIKU, messages=[say("Tell me of the sea.")], inferenceConfig={"maxTokens": 5})
    assert answer["stopReason"] == "max_tokens"
    assert answer["usage"]["outputTokens"] == 5


def test_a_conversation_with_a_system_prompt(bedrock: Any) -> None:
    turns = [say("Hello."), say("Hello! How can I help?", "assistant"), say("Name a colour.")]
    answer = bedrock.converse(
        modelId=HAIKU, system=[{"text": "Be brief."}], messages=turns, inferenceConfig={"maxTokens": 20}
    )
    assert answer["output"]["message"]["content"][0]["text"]


def test_converse_stream_has_awss_framing(bedrock: Any) -> None:
    messages = [say(PROMPT.format("Where was Ada Lovelace born?"))]
    events = list(bedrock.converse_stream(modelId=HAIKU, messages=messages)["stream"])
    kinds = [next(iter(event)) for event in events]
    assert kinds[0] == "messageStart"
    assert kinds[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    text = "".join(e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e)
    assert "London" in text


@pytest.mark.parametrize("dimensions", [256, 512, 1024])
def test_embeddings_have_the_asked_size_and_unit_length(bedrock: Any, dimensions: int) -> None:
    vectors = [_embed(bedrock, text, dimensions) for text in ("a cat", "a kitten", "the stock exchange")]
    assert {len(vector) for vector in vectors} == {dimensions}
    for vector in vectors:
        assert _dot(vector, vector) == pytest.approx(1, abs=1e-5)
    assert _dot(vectors[0], vectors[1]) > _dot(vectors[0], vectors[2]) + 0.2


def _embed(bedrock: Any, text: str, dimensions: int) -> list[float]:
    body = json.dumps({"inputText": text, "dimensions": dimensions})
    answer = json.loads(bedrock.invoke_model(modelId=TITAN, body=body)["body"].read())
    vector: list[float] = answer["embedding"]
    return vector


def _dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        (lambda b: b.converse(modelId="anthropic.claude-3-sonnet", messages=[say("x")]), 400, "ValidationException"),
        (lambda b: b.converse(modelId=TITAN, messages=[say("x")]), 400, "ValidationException"),
        (lambda b: b.invoke_model(modelId=TITAN, body="{"), 400, "ValidationException"),
        (lambda b: b.invoke_model(modelId=TITAN, body='{"inputText": ""}'), 400, "ValidationException"),
        (lambda b: b.invoke_model(modelId=HAIKU, body="{}"), 400, "ValidationException"),
        (lambda b: _guard(b, "x", guardrail="unknown"), 404, "ResourceNotFoundException"),
    ],
)
def test_errors_have_awss_shape(bedrock: Any, call: Any, status: int, code: str) -> None:
    with pytest.raises(ClientError) as caught:
        call(bedrock)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["Error"]["Code"] == code


def _guard(bedrock: Any, text: str, source: str = "INPUT", guardrail: str = LOCAL_GUARDRAIL_ID) -> Any:
    return bedrock.apply_guardrail(
        guardrailIdentifier=guardrail,
        guardrailVersion=LOCAL_GUARDRAIL_VERSION,
        source=source,
        content=[{"text": {"text": text}}],
    )


def test_the_guardrail_lets_harmless_text_pass(bedrock: Any) -> None:
    answer = _guard(bedrock, "Who wrote Hamlet in 1600-1601?")
    assert (answer["action"], answer["outputs"]) == ("NONE", [])


@pytest.mark.parametrize("source", ["INPUT", "OUTPUT"])
@pytest.mark.parametrize(("category", "phrase"), TRIGGER_PHRASES.items())
def test_a_trigger_phrase_is_blocked_with_the_policys_message(
    bedrock: Any, source: str, category: str, phrase: str
) -> None:
    answer = _guard(bedrock, f"Now {phrase.upper()}!", source)
    policy = load_guardrail_policy()
    message = policy.blocked_input_messaging if source == "INPUT" else policy.blocked_outputs_messaging
    assert answer["action"] == "GUARDRAIL_INTERVENED"
    assert answer["outputs"] == [{"text": message}]
    (found,) = answer["assessments"][0]["contentPolicy"]["filters"]
    assert (found["type"], found["action"]) == (category, "BLOCKED")


def test_personal_data_is_masked(bedrock: Any) -> None:
    answer = _guard(bedrock, "Write to ada@example.org or call +44 20 7946 0958.")
    assert answer["outputs"] == [{"text": "Write to {EMAIL} or call {PHONE}."}]
    entities = answer["assessments"][0]["sensitiveInformationPolicy"]["piiEntities"]
    assert [(e["type"], e["match"], e["action"]) for e in entities] == [
        ("EMAIL", "ada@example.org", "ANONYMIZED"),
        ("PHONE", "+44 20 7946 0958", "ANONYMIZED"),
    ]


@pytest.mark.parametrize(
    "number",
    [
        "+1 (555) 010-9999",
        "555-010-9999",
        "(555) 010-9999",
        "555.010.9999",
        "1-800-555-0199",
        "+49 30 901820",
        "+4930901820",
        "+33 1 23 45 67 89",
        "+44 20 7946 0958",
    ],
)
def test_phone_numbers_are_found(number: str) -> None:
    assert _masked(f"Call {number}.") == "Call {PHONE}."


@pytest.mark.parametrize(
    "text", ["1999-2004", "978-3-16-148410-0", "12,345,678", "52.5200, 13.4050", "2,850", "299,792,458", "24-10", "+5"]
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert _masked(text) == text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key != "id":
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


@pytest.mark.parametrize("name", ["dev-v1.1.json", "dev-v2.0-sample.json", "predictions/bert-ensemble-v1.1.json"])
def test_no_text_of_squad_is_changed(name: str) -> None:
    changed = [text for text in _texts(json.loads(squad_file(name).read_text())) if _masked(text) != text]
    assert changed == []


def test_no_text_of_the_sample_is_changed() -> None:
    sample = json.loads((ROOT / "datasets" / "qa-eval-sample.json").read_text())
    assert [text for text in _texts(sample) if _masked(text) != text] == []


def _masked(text: str) -> str:
    answer = apply(load_guardrail_policy(), "INPUT", [text])
    return text if answer["action"] == "NONE" else str(answer["outputs"][0]["text"])


@given(st.text())
@settings(max_examples=300)
def test_masking_once_is_enough(text: str) -> None:
    assert _masked(_masked(text)) == _masked(text)


@given(st.text(st.characters(exclude_categories=["Nd"], exclude_characters="@")))
@settings(max_examples=300)
def test_text_without_digits_and_at_signs_is_not_masked(text: str) -> None:
    assert _masked(text) == text


@given(context=st.text(min_size=1).filter(str.strip), question=st.text(min_size=1).filter(str.strip))
@settings(max_examples=200)
def test_a_replay_answers_the_question_it_holds(context: str, question: str) -> None:
    replay = Replay([ReplayEntry(context, question, "the answer")])
    if "\n" not in question.strip():
        assert replay.answer(f"Say.\n\nContext: {context}\n\nQuestion: {question}\n\nAnswer:") == "the answer"
    if question.strip() not in context:
        assert replay.answer(f"{context} -- {question}") == "the answer"


def test_a_replay_knows_only_its_own_questions(tmp_path: Path) -> None:
    entries = [
        ReplayEntry("C one.", " Who is it?", "Ada"),
        ReplayEntry("C one.", "Who?", "Bob"),
        ReplayEntry("C two.", "Who?", "Eve"),
        ReplayEntry("C two.", "Who?", "the last"),
    ]
    table = tmp_path / "table.jsonl"
    write_replay(table, entries)
    replay = read_replay(table)
    form = "X\n\nContext: {}\n\nQuestion: {}\n\nAnswer:"
    assert replay.answer(form.format("C one.", "Who is it?")) == "Ada"
    assert replay.answer(form.format("C one.", "Who?")) == "Bob"
    assert replay.answer(form.format("C two.", "Who?")) == "the last"
    assert replay.answer(form.format("C three.", "Who?")) == ""
    assert replay.answer("About C one. I ask: Who is it? Tell me.") == "Ada"


def test_replays_need_no_model_and_answer_empty_where_they_know_nothing(start_bedrock: Any, tmp_path: Path) -> None:
    table = tmp_path / "table.jsonl"
    write_replay(table, [ReplayEntry("Ada Lovelace was born in London in 1815.", "Where?", "here")])
    with start_bedrock("http://127.0.0.1:9", "--replay", str(table)) as running:
        answers = [
            connect(running.url).converse(modelId=HAIKU, messages=[say(PROMPT.format(question))])["output"]["message"][
                "content"
            ]
            for question in ("Where?", "When?")
        ]
    assert answers == [[{"text": "here"}], [{"text": ""}]]


def test_a_model_that_is_gone_is_a_503(start_bedrock: Any) -> None:
    with start_bedrock("http://127.0.0.1:9") as running, pytest.raises(ClientError) as caught:
        connect(running.url).converse(modelId=HAIKU, messages=[say("x")])
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert caught.value.response["Error"]["Code"] == "ServiceUnavailableException"


def test_a_question_is_put_as_the_last_of_a_series() -> None:
    asked = read_question(PROMPT.format("Where?"))
    assert asked == ContextQuestion("Ada Lovelace was born in London in 1815.", "Where?")
    series = as_series(asked, "Answer shortly.")
    assert series.count("Question:") == 4
    assert series.endswith("Question: Where?\n\nAnswer:")
    assert read_question("Tell me of the sea.") is None
