"""Converse as boto3 sees it, which parses strictly; the model behind it is the real one."""

import httpx
import pytest
from botocore.exceptions import ClientError

from qa_eval.blueprint.gateway import PREFIX, read_config

NOVA = "us.amazon.nova-lite-v1:0"
QUESTION = (
    "Give only the answer.\n\nContext: The river Main joins the Rhine at Mainz.\n\n"
    "Question: Which river does the Main join?\n\nAnswer:"
)


def user(*texts):
    return [{"role": "user", "content": [{"text": text} for text in texts]}]


def ask(client, text=QUESTION, **inference):
    return client.converse(modelId=NOVA, messages=user(text), inferenceConfig=inference)


def text_of(answer):
    (block,) = answer["output"]["message"]["content"]
    return block["text"]


def missing(shape, value):
    """The required members of a botocore shape that a value lacks, anywhere in it."""
    if shape.type_name == "list":
        return [name for item in value for name in missing(shape.member, item)]
    if shape.type_name != "structure":
        return []
    lacking = [f"{shape.name}.{name}" for name in shape.required_members if name not in value]
    inner = [missing(member, value[name]) for name, member in shape.members.items() if name in value]
    return lacking + [name for names in inner for name in names]


@pytest.mark.parametrize("source", ["INPUT", "OUTPUT"])
@pytest.mark.parametrize("text", ["harmless", "trigger the hate filter", "mail ada@example.org"])
def test_apply_guardrail_gives_all_that_the_api_requires(client, source, text):
    request = {"guardrailIdentifier": "local-stand-in", "guardrailVersion": "1", "source": source}
    answer = client.apply_guardrail(content=[{"text": {"text": text}}], **request)

    assert missing(client.meta.service_model.operation_model("ApplyGuardrail").output_shape, answer) == []


def test_converse_gives_all_that_the_api_requires(client):
    answer = ask(client)

    assert missing(client.meta.service_model.operation_model("Converse").output_shape, answer) == []
    assert answer["stopReason"] == "end_turn"
    assert 0 < answer["metrics"]["latencyMs"] < 60_000


def test_the_stream_says_what_converse_says(client):
    whole = ask(client)
    events = list(client.converse_stream(modelId=NOVA, messages=user(QUESTION))["stream"])
    names = [name for event in events for name in event]
    deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]

    assert names[0] == "messageStart"
    assert names[1:-3] == ["contentBlockDelta"] * len(deltas)
    assert names[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    assert "".join(deltas) == text_of(whole)
    assert len(deltas) > 1, "it comes in pieces"
    assert events[-2]["messageStop"]["stopReason"] == whole["stopReason"]
    assert events[-1]["metadata"]["usage"] == whole["usage"]
    for event in events:
        ((name, value),) = event.items()
        stream = client.meta.service_model.operation_model("ConverseStream").get_event_stream_output()
        assert missing(stream.members[name], value) == []


def test_every_model_of_the_blueprint_is_served(client):
    chat = [entry for entry in read_config().model_list if entry.model_info.mode == "chat"]
    names = {entry.litellm_params.model.removeprefix(PREFIX) for entry in chat}

    assert len(names) >= 4
    assert {text_of(client.converse(modelId=name, messages=user(QUESTION))) for name in names} == {text_of(ask(client))}


def test_max_tokens(client):
    answer = ask(client, "Write a very long story.", maxTokens=7)
    assert (answer["stopReason"], answer["usage"]["outputTokens"]) == ("max_tokens", 7)


def test_a_stop_sequence_ends_the_answer_and_is_not_in_it(client):
    whole = text_of(ask(client))
    stop = whole.split()[-1]
    answer = ask(client, stopSequences=[stop])

    assert answer["stopReason"] == "stop_sequence"
    assert text_of(answer) == whole[: whole.index(stop)].rstrip()


def test_the_end_of_the_line_is_no_stop_sequence_of_the_caller(client):
    assert ask(client, stopSequences=["\n\n"])["stopReason"] == "end_turn"


def test_temperature_0_is_the_default_and_always_says_the_same(client):
    request = {"text": "Tell me about the sea.", "maxTokens": 12}
    assert (
        len({text_of(ask(client, **request, **more)) for more in ({}, {"temperature": 0}, {"temperature": 0.0})}) == 1
    )


def test_temperature_1_says_this_and_that_unless_top_p_lets_only_one_word_be(client):
    request = {"text": "Tell me a word.", "maxTokens": 8, "temperature": 1}
    greedy = text_of(ask(client, text="Tell me a word.", maxTokens=8))

    assert len({text_of(ask(client, **request)) for _ in range(8)}) > 2
    assert {text_of(ask(client, **request, topP=0.0001)) for _ in range(4)} == {greedy}


def test_usage_counts_what_the_model_has_read(client):
    short, long = (ask(client, text, maxTokens=1)["usage"] for text in ("Hello", "Hello" + " there" * 100))
    assert long["inputTokens"] - short["inputTokens"] == 100


def test_the_system_prompt_is_heeded_in_a_conversation(client):
    turns = [*user("Hello"), {"role": "assistant", "content": [{"text": "Hello."}]}, *user("Who are you?")]
    counts = [
        client.converse(modelId=NOVA, messages=turns, inferenceConfig={"maxTokens": 1}, **more)["usage"]["inputTokens"]
        for more in ({"system": [{"text": "You are a lighthouse keeper" + " of the north" * 20}]}, {})
    ]
    assert counts[0] > counts[1] + 40


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"messages": user("x"), "toolConfig": {"tools": [{"cachePoint": {"type": "default"}}]}}, "tool use"),
        ({"messages": user("x"), "guardrailConfig": {"guardrailIdentifier": "a"}}, "ApplyGuardrail"),
        ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "must start with a user message"),
        ({"messages": user(" ")}, "messages.0.content.0: The text field in the ContentBlock object is blank"),
        ({"messages": user("word " * 6000)}, "Input is too long for requested model."),
        ({"messages": []}, "messages: "),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content: "),
        (
            {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": b"x"}}}]}]},
            "messages.0.content.0.image: ",
        ),
    ],
)
@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_what_it_cannot_do_is_a_validation_error(client, operation, request_, message):
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(modelId=NOVA, **request_)

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert message in caught.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        (f"/model/{NOVA}/converse", b"{", 400, "ValidationException"),
        (f"/model/{NOVA}/converse", b"\xff", 400, "ValidationException"),
        (f"/model/{NOVA}/converse", b"[]", 400, "ValidationException"),
        (f"/model/{NOVA}/converse", b"", 400, "ValidationException"),
        (f"/model/{NOVA}/converse", b'{"inferenceConfig": {"temperature": 2}}', 400, "ValidationException"),
        (f"/model/{NOVA}/converse", b'{"inferenceConfig": {"stopSequences": [""]}}', 400, "ValidationException"),
        ("/model/arn%3Aaws%3Abedrock%2Fx/converse", b"{}", 400, "ValidationException"),
        ("/guardrail/local-stand-in/version/2/apply", b"{}", 404, "ResourceNotFoundException"),
        ("/guardrail/local-stand-in/version/1/apply", b'{"source": "BOTH"}', 400, "ValidationException"),
        ("/model/x/generate", b"{}", 404, "UnknownOperationException"),
        ("/", b"", 404, "UnknownOperationException"),
    ],
)
def test_broken_requests_have_awss_errors(bedrock, path, body, status, kind):
    reply = httpx.post(bedrock.url + path, content=body)

    assert (reply.status_code, reply.headers["x-amzn-ErrorType"]) == (status, kind)
    assert reply.headers["x-amzn-RequestId"]
    assert reply.json()["message"]
    assert b"Traceback" not in reply.content
