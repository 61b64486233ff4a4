"""Encoding of AWS's binary event stream (application/vnd.amazon.eventstream).

A message: total length, headers' length, CRC of these two; headers; payload; CRC of all before it. Numbers are
big-endian, CRCs are CRC-32. Source: the Amazon event stream specification, as botocore's `eventstream.py` reads it.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

from qa_eval.stack.bedrock.errors import AwsError

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7
"""The type code of a string header."""


def encode_event(name: str, payload: Mapping[str, Any]) -> bytes:
    """One event, such as `messageStart`."""
    return _encode({":event-type": name, ":message-type": "event"}, payload)


def encode_error(error: AwsError) -> bytes:
    """An error after the start of the stream, when the HTTP status has already been sent."""
    kind = error.kind[0].lower() + error.kind[1:]
    return _encode({":exception-type": kind, ":message-type": "exception"}, {"message": str(error)})


def _encode(kind: Mapping[str, str], payload: Mapping[str, Any]) -> bytes:
    headers = b"".join(_header(*pair) for pair in (*kind.items(), (":content-type", "application/json")))
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack("!I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    return struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _STRING, len(value)) + value.encode()
