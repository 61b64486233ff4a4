"""All built-in metrics, by name: one entry each. A new metric is a function and an entry.

Options are the keyword parameters of an entry's builder; `NAME=VALUE` on a command line gives the first of them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, JsonValue, ValidationError, validate_call

from qa_eval.data.examples import Example, SquadVersion
from qa_eval.errors import InputError
from qa_eval.metrics import text
from qa_eval.metrics.base import Metric, Score
from qa_eval.metrics.definition import MetricDefinition, Need
from qa_eval.metrics.rubrics import rubric_of
from qa_eval.metrics.squad import exact_match, f1
from qa_eval.spec.metrics import MetricSpec

SIMILARITY = "semantic_similarity"
PREFERENCE = "preference"
_REFERENCES = frozenset({Need.REFERENCES})


@dataclass(frozen=True)
class Entry:
    """A built-in metric."""

    definition: MetricDefinition
    build: Callable[..., Metric] | None = None
    """Makes the function from its options; None where the metric is not a function of one answer."""
    by_version: bool = False
    """Whether the builder takes the version of the official script that scores the dataset."""

    @property
    def options(self) -> tuple[str, ...]:
        """The names of its options, the main one first."""
        names = inspect.signature(self.build).parameters if self.build else ()
        return tuple(name for name in names if name != "version")


def _one_or_several(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_one_or_several), Field(min_length=1)]


def _exact_match(version: SquadVersion) -> Metric:
    return lambda example, answer: exact_match(answer, example.references, version)


def _f1(version: SquadVersion) -> Metric:
    return lambda example, answer: f1(answer, example.references, version)


def _contains(texts: Texts | None = None) -> Metric:
    return lambda example, answer: text.contains(answer, texts or example.references)


def _contains_all(texts: Texts | None = None) -> Metric:
    return lambda example, answer: text.contains_all(answer, texts or example.references)


def _matches(pattern: str) -> Metric:
    compiled: re.Pattern[str] = text.compile_pattern(pattern)
    return lambda example, answer: text.matches(answer, compiled)


def _valid_json(schema: dict[str, JsonValue] | None = None) -> Metric:
    if schema is not None:
        text.check_schema(schema)
    return lambda example, answer: text.valid_json(answer, schema)


def _numeric(tolerance: Annotated[float, Field(ge=0)] = 0.0, relative: bool = False) -> Metric:
    return lambda example, answer: text.numeric(answer, example.references, tolerance=tolerance, relative=relative)


def _length() -> Metric:
    return lambda example, answer: text.length(answer)


def _refusal() -> Metric:
    return lambda example, answer: text.refusal(answer)


def _answer_contained() -> Metric:
    return lambda example, answer: text.answer_contained(answer, example.references)


def _rouge_l() -> Metric:
    text.check_rouge()
    return lambda example, answer: text.rouge_l(answer, example.references)


def _share(name: str, title: str = "", needs: frozenset[Need] = _REFERENCES, **more: Any) -> MetricDefinition:
    """A metric from 0 to 1 that a question without an answer fails."""
    more = {"unanswered": 0.0, **more}
    return MetricDefinition(name, title, range=(0.0, 1.0), needs=needs, **more)


_ENTRIES = (
    Entry(_share("exact_match", title="EM", scores_unanswerable=True), _exact_match, by_version=True),
    Entry(_share("f1", title="F1", scores_unanswerable=True), _f1, by_version=True),
    Entry(
        _share(SIMILARITY, title="similarity", needs=_REFERENCES | {Need.EMBEDDINGS}, scores_unanswerable=True),
    ),
    Entry(_share("contains"), _contains),
    Entry(_share("contains_all"), _contains_all),
    Entry(_share("answer_contained"), _answer_contained),
    Entry(_share("numeric"), _numeric),
    Entry(_share("rouge_l", title="ROUGE-L"), _rouge_l),
    Entry(_share("matches", needs=frozenset()), _matches),
    Entry(_share("valid_json", needs=frozenset()), _valid_json),
    Entry(_share("refusal", needs=frozenset(), unanswered=None, higher_is_better=False), _refusal),
    Entry(MetricDefinition("length", higher_is_better=False), _length),
)
BUILT_IN: Mapping[str, Entry] = {entry.definition.name: entry for entry in _ENTRIES}


def definition_of(spec: MetricSpec) -> MetricDefinition:
    """What is known of a metric of a specification."""
    if spec.judge is not None:
        return _judge(spec)
    entry = BUILT_IN.get(spec.kind)
    if entry is None:
        return MetricDefinition(
            spec.name,
            higher_is_better=spec.direction != "lower",
            range=spec.range,
            needs=frozenset(map(Need, spec.needs)),
            source=spec.source,
        )
    definition = entry.definition if spec.metric is None else replace(entry.definition, name=spec.name, title="")
    if {"texts", "value"} & spec.options.keys() and "texts" in entry.options:
        definition = replace(definition, needs=frozenset())  # its own texts are in place of the references
    return definition


def _judge(spec: MetricSpec) -> MetricDefinition:
    if spec.judge == PREFERENCE:
        return MetricDefinition(
            spec.name, range=(0.0, 1.0), needs=frozenset({Need.JUDGE}), source="judge", unanswered=None
        )
    rubric = rubric_of(spec)
    needs = {need for need in (Need.REFERENCES, Need.CONTEXT) if f"{{{need}}}" in rubric.prompt}
    worst = rubric.range[rubric.direction == "lower"]
    return MetricDefinition(
        spec.name,
        higher_is_better=rubric.direction == "higher",
        range=rubric.range,
        needs=frozenset({*needs, Need.JUDGE}),
        source="judge",
        unanswered=worst if Need.REFERENCES in needs else None,
    )


def build(spec: MetricSpec, version: SquadVersion) -> Metric | None:
    """The function of a built-in metric; None where it is none, or not a function of one answer.

    Raises:
        InputError: An option is unknown, missing or wrong.
    """
    entry = BUILT_IN.get(spec.kind)
    if entry is None or entry.build is None:
        if spec.options:
            raise InputError(f"The metric {spec.name} takes no options: leave them out.")
        return None
    options = _named(spec, entry)
    if entry.by_version:
        options["version"] = version
    try:
        metric: Metric = validate_call(entry.build)(**options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] in ("missing_argument", "missing_keyword_only_argument"):
            raise InputError(f"The metric {spec.name} needs the option `{first['loc'][0]}`: give it.") from None
        problem = str(first["msg"]).removeprefix("Value error, ")
        raise InputError(
            f"The option `{first['loc'][0]}` of the metric {spec.name} is wrong: {problem[:1].lower()}{problem[1:]}."
        ) from None
    return metric


def _named(spec: MetricSpec, entry: Entry) -> dict[str, Any]:
    """The options by name; `value` is the main one."""
    options: dict[str, Any] = dict(spec.options)
    if "value" in options:
        if not entry.options:
            raise InputError(f"The metric {spec.name} takes no options: leave out `={options['value']}`.")
        options = {entry.options[0]: options.pop("value"), **options}
    unknown = next((name for name in options if name not in entry.options), None)
    if unknown is not None:
        known = ", ".join(entry.options) or "none"
        raise InputError(f"The metric {spec.name} has no option `{unknown}`: it takes {known}.")
    return options


def applies(definition: MetricDefinition, example: Example, version: SquadVersion) -> bool:
    """Whether an example has what a metric needs."""
    if Need.CONTEXT in definition.needs and not example.context.strip():
        return False
    if Need.REFERENCES not in definition.needs:
        return True
    return bool(example.references) or (definition.scores_unanswerable and version == "2.0")


def unanswered(definition: MetricDefinition, outcome: str, message: str) -> Score | None:
    """The score of a question without an answer."""
    if definition.unanswered is None:
        return None
    return Score(definition.unanswered, label=outcome, explanation=message or None, name=definition.name)


def is_own(spec: MetricSpec) -> bool:
    """Whether a metric is a function of the user's, or of an installed package."""
    return spec.judge is None and spec.kind not in BUILT_IN


def default_primary(names: Sequence[str]) -> tuple[str, ...]:
    """The metric whose difference is tested where none is chosen: F1, or the first."""
    return ("f1",) if "f1" in names else tuple(names[:1])
