"""Evaluators of the package arize-phoenix-evals as metrics, with judges that the gateway answers.

    from phoenix.evals.metrics import FaithfulnessEvaluator
    from qa_eval.metrics.phoenix_evals import judge_llm

    qa_eval.run_experiment(metrics=[FaithfulnessEvaluator(llm=judge_llm("claude-sonnet"))], ...)

An evaluator reads an example by names:

    input, question                      the question
    output, answer, response             the answer
    reference, expected                  the first reference; all of them where the field is a list
    references                           all references; a line each where the field is text
    context, document_text, documents    the context; a list of one where the field is a list
    any other name                       the example's column of that name

Where these do not fit, `phoenix.evals.bind_evaluator` says which name, or which function of them, a field is.

The package is under the Elastic License 2.0 and is not installed with this one: pip install 'qa-eval[phoenix-evals]'.
It is imported when something of it is first used. Its spans go to OpenTelemetry's global tracer provider, nowhere
where none is set.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Union, cast, get_args, get_origin

from pydantic import ValidationError

from qa_eval.data.examples import Example
from qa_eval.errors import InputError
from qa_eval.metrics.base import Metric, Score
from qa_eval.metrics.definition import MetricDefinition, Need
from qa_eval.metrics.json_text import check_schema
from qa_eval.metrics.judgement import PARAMETERS
from qa_eval.metrics.llm_calls import CALLER, LlmCall, read_object

if TYPE_CHECKING:
    from phoenix.evals import LLM

PROVIDER: Final = "qa-eval"
_QUESTION = ("input", "question")
_ANSWER = ("output", "answer", "response")
_REFERENCES = ("reference", "expected", "references")
_CONTEXT = ("context", "document_text", "documents")
_LISTS = {list, tuple, set, frozenset, Sequence, Collection, Iterable}


def is_evaluator(value: object) -> bool:
    """Whether something is an evaluator of phoenix.evals, or looks like one."""
    return not isinstance(value, type) and all(hasattr(value, name) for name in ("name", "direction", "async_evaluate"))


def is_evaluator_class(value: type) -> bool:
    """Whether a class makes evaluators: the class itself is given by mistake."""
    return hasattr(value, "async_evaluate")


def as_metric(evaluator: Any) -> Metric:
    """A coroutine function that scores an answer with an evaluator.

    It raises what the evaluator and the caller of its LLM raise, and ValueError where the example lacks a field that
    the evaluator needs, or the evaluator gives no number.
    """

    async def metric(example: Example, answer: str) -> Score:
        given = _input(evaluator, example, answer)
        try:
            scores = await evaluator.async_evaluate(given)
        except ValueError as error:
            if problem := _wrong_input(error):
                raise ValueError(f"the evaluator {evaluator.name!r} {problem}") from error
            raise
        return _score(evaluator, scores)

    metric.__name__ = metric.__qualname__ = str(evaluator.name)
    return metric


def definition_of_evaluator(evaluator: Any) -> MetricDefinition:
    """What is known of an evaluator's metric. One of direction "neutral" is read as "higher is better".

    Raises:
        InputError: It is a classifier whose choices have no numbers.
    """
    numbers: Mapping[str, Any] | None = getattr(evaluator, "label_score_map", None)
    if numbers is None and getattr(evaluator, "labels", None):
        raise InputError(
            f"The evaluator {evaluator.name} has labels without numbers: give it `choices` that map each to one."
        )
    values = [float(value) for value in (numbers or {}).values() if value is not None]
    # A path such as `documents[0]` begins with the name.
    read = {re.split(r"[.\[]", source)[0] for source in _sources(evaluator).values() if isinstance(source, str)}
    needs = {
        need for need, names in ((Need.REFERENCES, _REFERENCES), (Need.CONTEXT, _CONTEXT)) if not read.isdisjoint(names)
    }
    return MetricDefinition(
        str(evaluator.name),
        higher_is_better=evaluator.direction != "minimize",
        range=(min(values), max(values)) if len(set(values)) > 1 else None,
        needs=frozenset(needs),
        source="judge" if getattr(evaluator, "kind", None) == "llm" else "code",
    )


def judge_model(evaluator: Any) -> str | None:
    """The model group that judges; None where the evaluator has no LLM, or one that the gateway does not answer."""
    llm = getattr(evaluator, "llm", None)
    return str(llm.model) if llm is not None and getattr(llm, "provider", None) == PROVIDER else None


def _mapping(evaluator: Any) -> Mapping[str, Any]:
    """What `bind_evaluator` said: a name, a path or a function by the evaluator's field."""
    return getattr(evaluator, "_input_mapping", None) or {}


def _fields(evaluator: Any) -> Mapping[str, Any]:
    """The fields of the evaluator's input, with what pydantic knows of each; nothing where it does not say."""
    return getattr(getattr(evaluator, "input_schema", None), "model_fields", {})


def _sources(evaluator: Any) -> dict[str, Any]:
    """What each required field is read from: a name, a path or a function."""
    fields, mapping = _fields(evaluator), _mapping(evaluator)
    return {name: mapping.get(name) or name for name in fields or mapping if not fields or fields[name].is_required()}


def _input(evaluator: Any, example: Example, answer: str) -> dict[str, Any]:
    """What the evaluator is given of an example: its fields, or all where it has none or `bind_evaluator` was used.

    Raises:
        ValueError: The example lacks a field that is required.
    """
    known = {**example.metadata, **dict.fromkeys(_QUESTION, example.question), **dict.fromkeys(_ANSWER, answer)}
    if example.references:
        first, *_ = example.references
        known |= {"reference": first, "expected": first, "references": [*example.references]}
    if example.context.strip():
        known |= {"context": example.context, "document_text": example.context, "documents": [example.context]}
    for source in _sources(evaluator).values():
        if isinstance(source, str) and source.isidentifier() and source not in known:
            raise ValueError(
                f"the evaluator {evaluator.name!r} needs `{source}`, which the example lacks: use a dataset that has "
                "it, or say with `bind_evaluator` what else to take"
            )
    fields = _fields(evaluator)
    if _mapping(evaluator) or not fields:
        return known
    return {name: _fit(name, known[name], field, example) for name, field in fields.items() if name in known}


def _fit(name: str, value: Any, field: Any, example: Example) -> Any:
    """References and context as a field takes them: texts as a list, or as one text."""
    kinds = _kinds(field.annotation)
    takes_list, takes_text = not kinds.isdisjoint(_LISTS), str in kinds
    if takes_list == takes_text or name not in (*_REFERENCES, *_CONTEXT) or isinstance(value, list) == takes_list:
        return value
    if takes_text:
        return "\n".join(map(str, value))
    return [*example.references] if name in _REFERENCES and example.references else [value]


def _kinds(annotation: Any) -> set[Any]:
    """The types that a field takes."""
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*map(_kinds, get_args(annotation)))
    return {get_origin(annotation) or annotation}


def _wrong_input(error: ValueError) -> str | None:
    """What pydantic says of an input that does not fit, without its many lines; None for any other error."""
    if type(error) is not ValueError or not isinstance(error.__context__, ValidationError):
        return None
    first = error.__context__.errors(include_url=False)[0]
    return f"does not take its `{'.'.join(map(str, first['loc']))}`: {first['msg']}"


def _score(evaluator: Any, scores: Sequence[Any]) -> Score:
    """The evaluator's own score among those that it gives, else the first.

    Raises:
        ValueError: It is no finite number.
    """
    found = next((score for score in scores if score.name == evaluator.name), scores[0] if scores else None)
    value = getattr(found, "score", None)
    if found is None or value is None:
        label = getattr(found, "label", None)
        gave = "no number" if label is None else f"the label {label!r} without a number"
        raise ValueError(f"the evaluator {evaluator.name!r} gave {gave}")
    if not hasattr(value, "__float__") or not math.isfinite(value):
        raise ValueError(f"the evaluator {evaluator.name!r} gave {value!r}, which is not a finite number")
    return Score(float(value), None if found.label is None else str(found.label), found.explanation)


def judge_llm(model: str, **parameters: Any) -> LLM:
    """An LLM for evaluators of phoenix.evals that a run's gateway answers, within the run's budget and journal.

    Args:
        model: The model group that judges.
        **parameters: Parameters of the model, such as `temperature`; None leaves a judge's usual one out.

    Raises:
        InputError: The package is not installed.
    """
    register()
    from phoenix.evals import LLM

    return LLM(provider=PROVIDER, model=model, **parameters)


def register() -> None:
    """Make `phoenix.evals.LLM(provider="qa-eval", model=...)` known, once.

    Raises:
        InputError: The package is not installed.
    """
    try:
        from phoenix.evals.llm.registries import PROVIDER_REGISTRY
        from phoenix.evals.llm.types import BaseLLMAdapter
    except ImportError as error:
        raise InputError(
            "Evaluators need the package arize-phoenix-evals: pip install 'qa-eval[phoenix-evals]'."
        ) from error
    if PROVIDER_REGISTRY.get_provider_registrations(PROVIDER):
        return
    BaseLLMAdapter.register(_Adapter)
    # Without errors to wait for, an LLM has no rate limiter and repeats no call.
    PROVIDER_REGISTRY.register_provider(PROVIDER, cast("type[BaseLLMAdapter]", _Adapter), _Client)


class _Client:
    """What phoenix.evals makes of an LLM's arguments; it takes one for synchronous calls too."""

    def __init__(self, model: str, is_async: bool, **parameters: Any) -> None:
        self.model = model
        self.parameters = parameters


class _Adapter:
    """All that `phoenix.evals.llm.types.BaseLLMAdapter` asks for, without importing it."""

    def __init__(self, client: _Client, model: str) -> None:
        self.client = client
        self.model = self.model_name = model

    @classmethod
    def client_name(cls) -> str:
        """The client's name."""
        return PROVIDER

    async def async_generate_text(self, prompt: Any, **parameters: Any) -> str:
        """The text that the model replies."""
        return await self._call(prompt, None, parameters)

    async def async_generate_object(
        self, prompt: Any, schema: dict[str, Any], method: object = None, **parameters: Any
    ) -> dict[str, Any]:
        """The object that the model replies; the caller chooses the method.

        Raises:
            InputError: The schema is wrong.
            Misjudgement: The reply is no such object.
        """
        check_schema(schema)
        return read_object(await self._call(prompt, schema, parameters), schema)

    def generate_text(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: the call would be in a thread that does not know the run."""
        raise RuntimeError(_SYNCHRONOUS)

    generate_object = generate_text

    async def _call(self, prompt: Any, schema: Mapping[str, Any] | None, parameters: Mapping[str, Any]) -> str:
        caller = CALLER.get()
        if caller is None:
            raise RuntimeError(_OUTSIDE)
        merged = {**PARAMETERS, **self.client.parameters, **parameters}
        used = {name: value for name, value in merged.items() if value is not None}
        return await caller(LlmCall(self.model, _messages(prompt), schema, used))


_OUTSIDE = (
    f"LLM(provider={PROVIDER!r}) works inside run_experiment and evaluate only: give the evaluator with `metrics`."
)
_SYNCHRONOUS = (
    f"LLM(provider={PROVIDER!r}) has asynchronous calls only: give the evaluator with `metrics`, and in a function of "
    "your own, an `async def`, await llm.async_generate_object or llm.async_generate_text."
)
_ROLES = {"human": "user", "ai": "assistant", "model": "assistant"}


def _messages(prompt: Any) -> tuple[Mapping[str, str], ...]:
    """A prompt of phoenix.evals, a text or messages, as messages of the gateway.

    Raises:
        ValueError: A message is not text.
    """
    if isinstance(prompt, str):
        return ({"role": "user", "content": prompt},)
    return tuple({"role": _role(message["role"]), "content": _content(message["content"])} for message in prompt)


def _role(role: Any) -> str:
    name = str(getattr(role, "value", role)).strip().lower()
    return _ROLES.get(name, name)


def _content(content: Any) -> str:
    parts = content if isinstance(content, list) else [{"text": content}]
    if not all(isinstance(part.get("text"), str) for part in parts):
        raise ValueError("a message of the evaluator's prompt holds something else than text")
    return "\n".join(part["text"] for part in parts)
