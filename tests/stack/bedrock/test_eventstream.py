"""The binary framing, read back by botocore."""

import json

from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.stack.bedrock.errors import AwsError
from qa_eval.stack.bedrock.eventstream import encode_error, encode_event

payloads = st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text()))


@settings(max_examples=200)
@given(payload=payloads, cut=st.integers(0, 60))
def test_botocore_reads_what_was_written(payload, cut):
    """Feature: litellm-ecs-demo, Property: an event comes back whole, in whatever pieces it arrives."""
    sent = encode_event("metadata", payload) + encode_event("messageStop", {})
    buffer = EventStreamBuffer()
    buffer.add_data(sent[:cut])
    buffer.add_data(sent[cut:])
    first, last = buffer

    assert first.headers == {":event-type": "metadata", ":message-type": "event", ":content-type": "application/json"}
    assert json.loads(first.payload) == payload
    assert last.headers[":event-type"] == "messageStop"


def test_an_error_is_an_exception_of_its_kind():
    buffer = EventStreamBuffer()
    buffer.add_data(encode_error(AwsError("ServiceUnavailableException", "gone")))
    (message,) = buffer

    assert message.to_response_dict()["status_code"] == 400
    assert message.headers[":exception-type"] == "serviceUnavailableException"
    assert message.payload == b'{"message": "gone"}'
