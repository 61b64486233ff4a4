"""Whether an answer is JSON, and JSON of a given form. In: an answer and a JSON Schema. Out: a `Score`.

The package jsonschema is imported when a schema is first used. A schema is never fetched: what it refers to must be
in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from qa_eval.errors import InputError
from qa_eval.metrics.base import Score

if TYPE_CHECKING:
    from referencing import Resource

_FENCES = ("```", "~~~")
_SHOWN = 300


def valid_json(answer: str, schema: Mapping[str, Any] | None = None) -> Score:
    """Whether the whole answer is JSON, and with a schema valid under it: 1.0, or 0.0 with the first problem.

    JSON is what RFC 8259 defines: NaN and Infinity are none, white space around it is allowed, any value may be the
    outermost. A Markdown code fence or a sentence around it is not JSON. Of a name that comes twice in an object
    the last value counts. JSON that is nested deeper than Python reads (about 1,000 levels) is 0.0, as the RFC allows.

    The schema's draft is the one of its `$schema`, 2020-12 without one. `format` is an annotation and is not checked.
    The first problem is the first that validation meets, in the schema's order.

    Args:
        answer: Any text.
        schema: A JSON Schema.

    Raises:
        InputError: The schema is wrong itself, as in `check_schema`.
        ValueError: The schema refers to itself without end, or is too deeply nested together with the answer.
    """
    validator = None if schema is None else _validator(_written(schema))
    try:
        value = json.loads(answer, parse_constant=_refuse_constant, parse_int=_integer)
    except RecursionError:
        return _invalid("The JSON is nested too deeply to be read.")
    except ValueError as error:
        return _invalid(_not_json(answer, error))
    if validator is None:
        return Score(1.0)
    try:
        problem = next(validator.iter_errors(value), None)
    except RecursionError:
        raise ValueError("the schema refers to itself without end, or the answer is nested too deeply") from None
    return Score(1.0) if problem is None else _invalid(f"At {problem.json_path}: {_shortened(problem.message)}.")


def check_schema(schema: Mapping[str, Any]) -> None:
    """Refuse a schema that is wrong itself.

    Raises:
        InputError: It is not JSON, its `$schema` is unknown, it breaks the rules of its draft, or it refers to
            something that is not in it.
    """
    _validator(_written(schema))


def _invalid(explanation: str) -> Score:
    return Score(0.0, explanation=explanation)


def _not_json(answer: str, error: ValueError) -> str:
    if not answer.strip():
        return "The answer is empty, which is not JSON."
    if answer.lstrip().startswith(_FENCES):
        return "A Markdown code fence is around it: the whole answer must be JSON."
    if isinstance(error, json.JSONDecodeError):
        problem = f"{error.msg[:1].lower()}{error.msg[1:]}".removesuffix(" at")
        return f"It is not JSON at line {error.lineno}, column {error.colno}: {problem}."
    return f"It is not JSON: {error}."


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in RFC 8259")


def _integer(digits: str) -> float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python makes an integer of
        return float(digits)


def _shortened(message: str) -> str:
    """A message without the middle of a long value that it quotes at its start."""
    half = _SHOWN // 2
    return message if len(message) <= _SHOWN else f"{message[:half]} … {message[-half:]}"


def _written(schema: Mapping[str, Any]) -> str:
    """The schema as a text, by which its validator is kept."""
    try:
        return json.dumps(schema, allow_nan=False, default=_as_dict)
    except (TypeError, ValueError, RecursionError) as error:
        raise _wrong(f"it is not JSON: {error}") from None


def _as_dict(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} is no JSON value")


@lru_cache(maxsize=32)
def _validator(schema_text: str) -> Any:
    """The validator of a schema that is checked."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import Draft202012Validator, validator_for
    from jsonschema_specifications import REGISTRY
    from referencing import Resource
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    schema: Any = json.loads(schema_text)
    if not isinstance(schema, dict):
        raise _wrong("it is not an object")
    draft = schema.get("$schema", Draft202012Validator.META_SCHEMA["$id"])
    validator_class = validator_for({"$schema": draft}, default=None) if isinstance(draft, str) else None
    if validator_class is None:
        raise _wrong(f"its `$schema` is {draft!r}, which is no known draft")
    try:
        validator_class.check_schema(schema)
        resource = Resource.from_contents(schema, default_specification=DRAFT202012)
        for reference, resolver in _references(resource, REGISTRY.resolver_with_root(resource)):
            resolver.lookup(reference)
    except SchemaError as error:
        raise _wrong(f"at {error.json_path}, {_shortened(error.message)}") from None
    except Unresolvable:
        raise _wrong(f"it refers to {reference!r}, which is not in it") from None
    except RecursionError:
        raise _wrong("it is nested too deeply") from None
    return validator_class(schema, registry=REGISTRY)


def _references(resource: Resource[Any], resolver: Any) -> Iterator[tuple[str, Any]]:
    """All references in a schema and in the schemas within it, each with what resolves it."""
    contents = resource.contents
    if isinstance(contents, dict):
        for keyword in ("$ref", "$dynamicRef"):
            if isinstance(reference := contents.get(keyword), str):
                yield reference, resolver
    for part in resource.subresources():
        yield from _references(part, resolver.in_subresource(part))


def _wrong(problem: str) -> InputError:
    return InputError(f"The JSON Schema is wrong ({problem}): correct it.")
