"""What the Lex V2 service model that botocore ships allows: every bound of it, where botocore itself checks few."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel, Shape


@cache
def _service() -> ServiceModel:
    return botocore.session.get_session().get_service_model("lexv2-runtime")


def violations(value: Any, operation: str = "RecognizeText") -> list[str]:
    """What is wrong with a response of the bot, by the operation's output shape."""
    return list(_violations(value, _service().operation_model(operation).output_shape, "response"))


def request_violations(value: Any, operation: str = "RecognizeText") -> list[str]:
    """What is wrong with a request to the bot, by the operation's input shape."""
    return list(_violations(value, _service().operation_model(operation).input_shape, "request"))


def _violations(value: Any, shape: Shape, where: str) -> Iterator[str]:
    kinds = {"structure": dict, "map": dict, "list": list, "string": str, "integer": int, "double": float}
    if not isinstance(value, kinds[shape.type_name]):
        yield f"{where} is no {shape.type_name}"
        return
    if shape.type_name in ("string", "list", "map"):
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", len(value))
        if not low <= len(value) <= high:
            yield f"{where} has {len(value)} characters or members, not {low} to {high}"
    if shape.type_name == "string":
        yield from _string_violations(value, shape, where)
    elif shape.type_name == "structure":
        yield from (f"{where} lacks {name}" for name in shape.required_members if name not in value)
        for name, member in value.items():
            if name not in shape.members:
                yield f"{where} has an unknown member {name}"
            else:
                yield from _violations(member, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list":
        for place, member in enumerate(value):
            yield from _violations(member, shape.member, f"{where}[{place}]")
    elif shape.type_name == "map":
        for name, member in value.items():
            yield from _violations(name, shape.key, f"{where} key")
            yield from _violations(member, shape.value, f"{where}[{name!r}]")


def _string_violations(value: str, shape: Shape, where: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        yield f"{where} is none of {shape.enum}"
    pattern = shape.metadata.get("pattern")
    if pattern and not re.fullmatch(pattern, value):
        yield f"{where} does not match {pattern}"
