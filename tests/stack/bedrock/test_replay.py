"""Answers from a table, in the model's place."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import squad_file

from qa_eval.errors import InputError
from qa_eval.stack.bedrock.replay import Replay, ReplayEntry, read_replay, write_replay

NOVA = "us.amazon.nova-lite-v1:0"
DEFAULT = "Answer.\n\nContext: {}\n\nQuestion: {}\n\nAnswer:"
OTHER = "Q: {1}\nRead this first: {0}\nA:"
words = st.text(st.sampled_from("ab ?\n"), min_size=1, max_size=6).filter(str.strip)


@settings(max_examples=200)
@given(entries=st.lists(st.builds(ReplayEntry, words, words, st.text(max_size=3)), max_size=6), at=st.integers(0, 5))
def test_a_known_question_in_the_default_form_has_its_last_answer(entries, at):
    """Feature: litellm-ecs-demo, Property: in the default form an entry is found whatever other entries there are."""
    asked = next(iter(entries[at:]), ReplayEntry("c", "q", ""))
    answers = [
        each.answer
        for each in entries
        if (each.context.strip(), each.question.strip()) == (asked.context.strip(), asked.question.strip())
    ]
    expected = answers[-1] if answers else ""
    assert Replay(entries).answer(DEFAULT.format(asked.context, asked.question)) == expected


def test_in_another_form_the_longest_question_counts():
    replay = Replay(
        [
            ReplayEntry("Ada wrote notes.", "Who", "short"),
            ReplayEntry("Ada wrote notes.", "Who wrote notes?", "Ada"),
            ReplayEntry("Ada wrote notes. Bob read them.", "Who wrote notes?", "Ada, and Bob read"),
            ReplayEntry("Elsewhere.", "Who wrote notes? A longer one", "wrong"),
        ]
    )
    assert replay.answer(OTHER.format("Ada wrote notes.", "Who wrote notes?")) == "Ada"
    assert replay.answer(OTHER.format("Ada wrote notes. Bob read them.", "Who wrote notes?")) == "Ada, and Bob read"
    assert replay.answer(OTHER.format("Ada wrote notes.", "What?")) == ""


def test_a_table_is_read_as_it_was_written(tmp_path):
    table = tmp_path / "table.jsonl"
    entries = [ReplayEntry("“C”\u2028\n", "Q\r\n?", " ½ \ud7ff"), ReplayEntry("C", "", "")]
    write_replay(table, entries)

    assert [ReplayEntry(**json.loads(line)) for line in table.read_text().split("\n")[:-1]] == entries
    assert list(tmp_path.iterdir()) == [table]
    assert read_replay(table).answer(OTHER.format(entries[0].context, entries[0].question)) == " ½ \ud7ff"


@pytest.mark.parametrize(
    "line",
    ["{", "[]", "7", "null", '{"context": "c", "question": "q"}', '{"context": "c", "question": "q", "answer": 1}'],
)
def test_a_broken_line_is_named(tmp_path, line):
    table = tmp_path / "table.jsonl"
    write_replay(table, [ReplayEntry("c", "q", "a")])
    table.write_text(table.read_text() + line + "\n")

    with pytest.raises(InputError, match=r"Line 2 of the replay table .*table\.jsonl is not"):
        read_replay(table)


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"\xff\xfe", "not UTF-8")])
def test_a_table_that_cannot_be_read(tmp_path, content, reason):
    table = tmp_path / "table.jsonl"
    if content is not None:
        table.write_bytes(content)

    with pytest.raises(InputError, match=reason):
        read_replay(table)


@pytest.fixture(scope="module")
def squad():
    """All questions of SQuAD's development set with a published system's predictions, as entries."""
    articles = json.loads(squad_file("dev-v1.1.json").read_text())["data"]
    predictions = json.loads(squad_file("predictions/bert-ensemble-v1.1.json").read_text())
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    return [ReplayEntry(p["context"], q["question"], predictions[q["id"]]) for p in paragraphs for q in p["qas"]]


def test_all_of_squad_is_answered_as_predicted(squad):
    replay = Replay(squad)
    last = {(entry.context.strip(), entry.question.strip()): entry.answer for entry in squad}

    assert len(squad) == 10_570
    for entry in squad:
        expected = last[entry.context.strip(), entry.question.strip()]
        assert replay.answer(DEFAULT.format(entry.context, entry.question)) == expected


def test_squad_in_another_form_is_answered_as_predicted_in_milliseconds(squad):
    replay = Replay(squad)
    chosen = squad[::100]
    began = time.process_time()
    answers = [replay.answer(OTHER.format(entry.context, entry.question)) for entry in chosen]
    seconds = time.process_time() - began

    assert answers == [entry.answer for entry in chosen]
    assert seconds / len(chosen) < 0.05


def test_converse_and_its_stream_answer_from_the_table_without_a_model(start_bedrock, connected, tmp_path):
    table = tmp_path / "table.jsonl"
    write_replay(table, [ReplayEntry("Ada wrote notes.", "Who wrote notes?", "Ada Lovelace")])

    with start_bedrock("http://127.0.0.1:9", "--replay", str(table)) as running, connected(running.url) as client:
        for question, text in (("Who wrote notes?", "Ada Lovelace"), ("Who else?", "")):
            message = DEFAULT.format("Ada wrote notes.", question)
            asked = {"modelId": NOVA, "messages": [{"role": "user", "content": [{"text": message}]}]}
            whole = client.converse(**asked)
            events = list(client.converse_stream(**asked)["stream"])

            assert whole["output"]["message"]["content"] == [{"text": text}]
            assert whole["stopReason"] == "end_turn"
            assert whole["usage"]["outputTokens"] == -(-len(text) // 4)
            deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
            assert deltas == [text] * bool(text)
            assert events[-1]["metadata"]["usage"] == whole["usage"]
