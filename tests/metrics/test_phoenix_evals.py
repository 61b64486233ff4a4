"""Evaluators of phoenix.evals score examples, and their LLM calls go through the caller of the run."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("phoenix.evals")

from phoenix.evals import LLM, ClassificationEvaluator, Evaluator, bind_evaluator, create_classifier, create_evaluator
from phoenix.evals import Score as TheirScore
from phoenix.evals.llm.registries import PROVIDER_REGISTRY
from phoenix.evals.llm.types import BaseLLMAdapter
from phoenix.evals.metrics import FaithfulnessEvaluator, MatchesRegex, PrecisionRecallFScore, exact_match
from pydantic import BaseModel, ConfigDict

from qa_eval.data.examples import Example
from qa_eval.errors import InputError
from qa_eval.metrics.base import Score
from qa_eval.metrics.custom import measure, name_of
from qa_eval.metrics.definition import MetricDefinition, Need
from qa_eval.metrics.judgement import PARAMETERS, Misjudgement
from qa_eval.metrics.llm_calls import CALLER, LlmCall, read_object, strict_schema, within_caller
from qa_eval.metrics.phoenix_evals import (
    PROVIDER,
    as_metric,
    definition_of_evaluator,
    is_evaluator,
    judge_llm,
    judge_model,
    register,
)

FRANCE = Example(
    "1",
    "What is the capital of France?",
    "Paris is the capital of France, and Lyon is not.",
    ("Paris", "the city of Paris"),
    metadata={"difficulty": "easy", "year": 1790, "input": "hidden"},
)
BARE = Example("2", "Who?")
RIGHT = {"explanation": "The context says so.", "label": "faithful"}
TONES: Mapping[str, float] = {"rude": -1.0, "plain": 0.0, "kind": 3.0}


class Gateway:
    """Replies to each call with the same, and keeps what it was asked."""

    def __init__(self, reply: object) -> None:
        self.reply = reply
        self.calls: list[LlmCall] = []

    async def __call__(self, call: LlmCall) -> str:
        self.calls.append(call)
        await asyncio.sleep(0)
        if isinstance(self.reply, BaseException):
            raise self.reply
        return self.reply if isinstance(self.reply, str) else json.dumps(self.reply)


def judged(evaluator: object, reply: object, answer: str = "Paris", example: Example = FRANCE) -> tuple[Score, Gateway]:
    gateway = Gateway(reply)
    with within_caller(gateway):
        return scored(evaluator, answer, example), gateway


def scored(evaluator: object, answer: str = "Paris", example: Example = FRANCE) -> Score:
    async def score() -> Score:
        found: Any = as_metric(evaluator)(example, answer)
        return await found  # type: ignore[no-any-return]

    return asyncio.run(score())


def tone(choices: Any = TONES, template: str = "Judge the tone: {answer}") -> ClassificationEvaluator:
    found: ClassificationEvaluator = create_classifier(
        name="tone", prompt_template=template, llm=judge_llm("judge"), choices=choices, direction="minimize"
    )
    return found


def by_function(function: Callable[..., Any], mapping: Any = None) -> Score:
    """The score by an evaluator that is made of a function."""
    evaluator = create_evaluator(name="code")(function)
    return scored(evaluator if mapping is None else bind_evaluator(evaluator=evaluator, input_mapping=mapping))


# --- judges -------------------------------------------------------------------------------------------------------


def test_a_judgement_is_one_call_with_the_examples_texts() -> None:
    score, gateway = judged(FaithfulnessEvaluator(llm=judge_llm("claude-sonnet")), RIGHT)
    assert score == Score(1.0, "faithful", "The context says so.")
    (call,) = gateway.calls
    assert call.model == "claude-sonnet"
    assert call.parameters == PARAMETERS
    (message,) = call.messages
    assert message["role"] == "user"
    for text in (FRANCE.question, FRANCE.context, "Paris"):
        assert text in message["content"]
    assert "hidden" not in message["content"]
    assert call.schema is not None
    assert call.schema["required"] == ["explanation", "label"]
    assert call.schema["properties"]["label"]["enum"] == ["faithful", "unfaithful"]


def test_the_other_label_has_the_other_number() -> None:
    evaluator = FaithfulnessEvaluator(llm=judge_llm("m"))
    assert judged(evaluator, {"explanation": "No.", "label": "unfaithful"})[0] == Score(0.0, "unfaithful", "No.")


def test_parameters_of_the_evaluator_come_before_those_of_the_llm_and_of_all_judges() -> None:
    llm = judge_llm("m", temperature=None, max_tokens=64, seed=1)
    _, gateway = judged(FaithfulnessEvaluator(llm=llm, seed=2), RIGHT)
    assert gateway.calls[0].parameters == {"max_tokens": 64, "seed": 2}


def test_choices_are_numbers_of_a_classifier() -> None:
    score, gateway = judged(tone(), {"explanation": "Warm.", "label": "kind"}, answer="Glad to help.")
    assert score == Score(3.0, "kind", "Warm.")
    assert gateway.calls[0].messages == ({"role": "user", "content": "Judge the tone: Glad to help."},)


def test_many_judgements_at_once_are_a_call_each() -> None:
    gateway = Gateway(RIGHT)
    metric = as_metric(FaithfulnessEvaluator(llm=judge_llm("m")))
    with within_caller(gateway):
        scores = asyncio.run(measure("faithfulness", metric, [(FRANCE, f"answer {i}", nullcontext) for i in range(20)]))
    assert {score.value for score in scores if score is not None} == {1.0}
    assert len(gateway.calls) == 20


def test_two_runs_at_once_keep_to_their_own_caller() -> None:
    gateways = Gateway(RIGHT), Gateway({**RIGHT, "label": "unfaithful"})
    metric: Any = as_metric(FaithfulnessEvaluator(llm=judge_llm("m")))

    async def one(gateway: Gateway) -> list[float]:
        with within_caller(gateway):
            return [(await metric(FRANCE, "Paris")).value for _ in range(3)]

    async def both() -> list[list[float]]:
        return await asyncio.gather(*map(one, gateways))

    assert asyncio.run(both()) == [[1.0] * 3, [0.0] * 3]
    assert [len(gateway.calls) for gateway in gateways] == [3, 3]
    assert CALLER.get() is None


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("", "invalid_json"),
        ("faithful", "invalid_json"),
        ('{"label": "faithful"', "invalid_json"),
        ('```json\n{"label": "faithful", "explanation": ""}\n```', "code fence"),
        ("[]", "invalid_json"),
        ("null", "invalid_json"),
        ('"faithful"', "invalid_json"),
        ({"explanation": "It is."}, "invalid_json: At .*label"),
        ({"label": "faithful"}, "invalid_json: At .*explanation"),
        ({**RIGHT, "label": 1}, "invalid_json"),
        ({**RIGHT, "label": None}, "invalid_json"),
        ({**RIGHT, "label": "Faithful"}, "unknown_label"),
        ({**RIGHT, "label": "maybe"}, "unknown_label"),
        ("I'm sorry, but I can't help with that.", "refusal"),
    ],
)
def test_a_reply_that_is_no_judgement_is_no_score_and_is_not_asked_for_again(reply: object, problem: str) -> None:
    gateway = Gateway(reply)
    with within_caller(gateway), pytest.raises(Misjudgement, match=problem):
        scored(FaithfulnessEvaluator(llm=judge_llm("m")))
    assert len(gateway.calls) == 1


def test_a_field_too_many_does_no_harm() -> None:
    assert judged(FaithfulnessEvaluator(llm=judge_llm("m")), {**RIGHT, "sure": True})[0].value == 1.0


class Stop(Exception):
    """What the run raises to end early."""


@pytest.mark.parametrize("error", [Stop("now"), ValueError("odd"), RuntimeError("429"), asyncio.CancelledError()])
def test_what_the_caller_raises_passes_through_after_one_call(error: BaseException) -> None:
    gateway = Gateway(error)

    async def one() -> BaseException | None:
        metric: Any = as_metric(FaithfulnessEvaluator(llm=judge_llm("m")))
        try:
            await metric(FRANCE, "Paris")
        except BaseException as raised:
            return raised
        return None

    with within_caller(gateway):
        assert asyncio.run(one()) is error
    assert len(gateway.calls) == 1


def test_outside_of_a_run_no_call_is_made() -> None:
    evaluator = FaithfulnessEvaluator(llm=judge_llm("m"))
    with pytest.raises(RuntimeError, match="works inside run_experiment and evaluate only: give the evaluator with"):
        scored(evaluator)
    with pytest.raises(RuntimeError, match="asynchronous calls only"):
        evaluator.evaluate({"input": "q", "output": "a", "context": "c"})
    with pytest.raises(RuntimeError, match="asynchronous calls only"):
        judge_llm("m").generate_text(prompt="Hello")


def test_a_function_can_await_the_llm() -> None:
    llm = judge_llm("judge", temperature=0.5)

    @create_evaluator(name="words", kind="llm")
    async def words(answer: str) -> float:
        prompt: list[dict[str, Any]] = [
            {"role": "system", "content": "Count words."},
            {"role": "human", "content": [{"type": "text", "text": "How many"}, {"type": "text", "text": answer}]},
        ]
        return float(await llm.async_generate_text(prompt))

    score, gateway = judged(words, "12")
    assert score.value == 12.0
    (call,) = gateway.calls
    assert call.schema is None
    assert call.messages == (
        {"role": "system", "content": "Count words."},
        {"role": "user", "content": "How many\nParis"},
    )
    assert call.parameters["temperature"] == 0.5


def test_a_message_that_is_not_text_is_refused_before_it_is_paid() -> None:
    @create_evaluator(name="seen", kind="llm")
    async def seen(answer: str) -> float:
        image = {"type": "image_url", "image_url": {"url": "data:,"}}
        return float(await judge_llm("m").async_generate_text([{"role": "user", "content": [image]}]))

    gateway = Gateway("1")
    with within_caller(gateway), pytest.raises(ValueError, match="something else than text"):
        scored(seen)
    assert not gateway.calls


def test_labels_with_descriptions_are_sent_and_read() -> None:
    choices = {"yes": (1.0, "It is so."), "no": (0.0, "")}
    score, gateway = judged(tone(choices), {"explanation": "So.", "label": "yes"})
    assert score == Score(1.0, "yes", "So.")
    schema = gateway.calls[0].schema
    assert schema is not None
    assert strict_schema(schema) == {
        "type": "object",
        "properties": {
            "explanation": {"type": "string", "description": "A brief explanation of your reasoning."},
            "label": {"type": "string", "enum": ["yes", "no"], "description": "yes: It is so."},
        },
        "required": ["explanation", "label"],
        "additionalProperties": False,
    }
    assert "additionalProperties" not in schema
    with pytest.raises(Misjudgement, match="unknown_label"):
        read_object('{"explanation": "", "label": "perhaps"}', schema)


# --- what an evaluator reads --------------------------------------------------------------------------------------


def test_code_evaluators_score_without_a_call() -> None:
    assert scored(exact_match, "Paris") == Score(1.0)
    assert scored(exact_match, "the city of Paris").value == 0.0  # the first reference alone
    found = scored(MatchesRegex(pattern="P.r"), "Paris")
    assert (found.value, found.explanation) == (1.0, "There are 1 matches for the regex: P.r")


def test_a_plain_function_is_given_what_it_names() -> None:
    seen: dict[str, Any] = {}

    def names(
        input: str,
        response: str,
        reference: str,
        references: str,
        expected: list[str],
        context: str,
        documents: list[str],
        document_text: str | None,
        year: int,
        difficulty: str = "hard",
        unknown: str = "default",
    ) -> bool:
        seen.update(locals())
        return True

    assert by_function(names) == Score(1.0, "True")
    del seen["seen"]
    assert seen == {
        "input": FRANCE.question,
        "response": "Paris",
        "reference": "Paris",
        "references": "Paris\nthe city of Paris",
        "expected": ["Paris", "the city of Paris"],
        "context": FRANCE.context,
        "documents": [FRANCE.context],
        "document_text": FRANCE.context,
        "year": 1790,
        "difficulty": "easy",
        "unknown": "default",
    }


def test_references_are_a_line_each_in_a_prompt() -> None:
    _, gateway = judged(
        tone(template="{{question}}|{{references}}|{{documents}}|{{year}}"), {"explanation": "", "label": "plain"}
    )
    assert gateway.calls[0].messages[0]["content"] == (
        f"{FRANCE.question}|Paris\nthe city of Paris|{FRANCE.context}|1790"
    )


def test_a_section_of_a_prompt_goes_through_the_references() -> None:
    _, gateway = judged(tone(template="{{#references}}<{{.}}>{{/references}}"), {"explanation": "", "label": "plain"})
    assert gateway.calls[0].messages[0]["content"] == "<Paris><the city of Paris>"


def test_only_the_fields_of_the_schema_are_given() -> None:
    class Closed(BaseModel):
        model_config = ConfigDict(extra="forbid")
        output: str

    class OnlyOutput(Evaluator):
        def __init__(self) -> None:
            super().__init__(name="closed", kind="code", input_schema=Closed)

        def _evaluate(self, eval_input: dict[str, Any]) -> list[TheirScore]:
            return [TheirScore(score=len(eval_input))]

    assert scored(OnlyOutput()).value == 1.0


def test_a_bound_evaluator_reads_what_it_was_bound_to() -> None:
    def both(text: str, wanted: list[str]) -> float:
        return float(text in wanted)

    mapping = {"text": "answer", "wanted": lambda row: [each.upper() for each in row["references"]] + ["Paris"]}
    assert by_function(both, mapping).value == 1.0
    bound = bind_evaluator(evaluator=create_evaluator(name="both")(both), input_mapping={"text": "nothing"})
    with pytest.raises(ValueError, match="needs `nothing`"):
        scored(bound)


def test_an_evaluator_without_a_schema_reads_all() -> None:
    class Duck:
        name, direction = "duck", "maximize"

        async def async_evaluate(self, eval_input: dict[str, Any]) -> list[TheirScore]:
            assert {"input", "output", "references", "context", "year"} <= eval_input.keys()
            return [TheirScore(score=0.5)]

    assert is_evaluator(Duck())
    assert scored(Duck()) == Score(0.5)
    assert definition_of_evaluator(Duck()) == MetricDefinition("duck")


@pytest.mark.parametrize(
    ("evaluator", "field"),
    [(exact_match, "expected"), (create_evaluator(name="c")(lambda output, colour: 1), "colour")],
)
def test_a_field_that_the_example_lacks_is_named(evaluator: Evaluator, field: str) -> None:
    with pytest.raises(ValueError, match=f"needs `{field}`, which the example lacks") as caught:
        scored(evaluator, example=BARE)
    assert "\n" not in str(caught.value)


def test_a_judge_without_the_context_makes_no_call() -> None:
    gateway = Gateway(RIGHT)
    with within_caller(gateway), pytest.raises(ValueError, match="'faithfulness' needs `context`"):
        scored(FaithfulnessEvaluator(llm=judge_llm("m")), example=BARE)
    assert not gateway.calls


def test_an_input_of_another_type_is_said_in_one_sentence() -> None:
    with pytest.raises(
        ValueError, match=r"^the evaluator '.*' does not take its `output`: Input should be a valid list$"
    ):
        scored(PrecisionRecallFScore())


# --- what it gives ------------------------------------------------------------------------------------------------


def test_its_own_score_is_taken_among_several() -> None:
    class Several(Evaluator):
        def __init__(self, names: Sequence[str]) -> None:
            super().__init__(name="mine", kind="code", input_schema=None)
            self.bind({"output": "output"})
            self.names = names

        def _evaluate(self, eval_input: dict[str, Any]) -> list[TheirScore]:
            return [TheirScore(name=name, score=number) for number, name in enumerate(self.names)]

    assert scored(Several(["a", "mine", "b"])).value == 1.0
    assert scored(Several(["a", "b"])).value == 0.0
    with pytest.raises(ValueError, match="'mine' gave no number"):
        scored(Several([]))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("good", "gave the label 'good' without a number"),
        ("a text of some more words", "gave no number"),
        (float("nan"), "gave nan, which is not a finite number"),
        ({"score": "0.5"}, "gave '0.5', which is not a finite number"),
    ],
)
def test_what_is_no_number_is_no_score(value: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        by_function(lambda output: value)


def test_an_error_of_the_evaluator_is_an_error_beside_the_mean() -> None:
    def fails(output: str) -> float:
        raise KeyError("no")

    metric = as_metric(create_evaluator(name="fails")(fails))
    (score,) = asyncio.run(measure("fails", metric, [(FRANCE, "Paris", nullcontext)]))
    assert score == Score(None, error="KeyError: 'no'", name="fails")


# --- definitions --------------------------------------------------------------------------------------------------


def test_what_is_known_of_an_evaluator() -> None:
    llm = judge_llm("claude-sonnet")
    both = {Need.REFERENCES, Need.CONTEXT}
    assert definition_of_evaluator(FaithfulnessEvaluator(llm=llm)) == MetricDefinition(
        "faithfulness", range=(0.0, 1.0), needs=frozenset({Need.CONTEXT}), source="judge"
    )
    assert definition_of_evaluator(tone()) == MetricDefinition(
        "tone", higher_is_better=False, range=(-1.0, 3.0), source="judge"
    )
    assert definition_of_evaluator(tone(template="{{references}} {{documents}}")).needs == both
    assert definition_of_evaluator(exact_match) == MetricDefinition("exact_match", needs=frozenset({Need.REFERENCES}))
    optional = create_evaluator(name="optional", direction="minimize")(lambda output, context="": 1)
    assert definition_of_evaluator(optional) == MetricDefinition("optional", higher_is_better=False)
    bound = bind_evaluator(
        evaluator=create_evaluator(name="bound")(lambda a, b, c: 1),
        input_mapping={"a": "documents[0]", "b": lambda row: row["references"], "c": "answer"},
    )
    assert definition_of_evaluator(bound).needs == {Need.CONTEXT}


def test_a_classifier_without_numbers_is_refused_before_it_is_paid() -> None:
    with pytest.raises(InputError, match="tone has labels without numbers"):
        definition_of_evaluator(tone(["rude", "kind"]))
    with pytest.raises(ValueError, match="the label 'kind' without a number"):
        judged(tone(["rude", "kind"]), {"explanation": "", "label": "kind"})


def test_what_looks_like_an_evaluator() -> None:
    for evaluator in (exact_match, tone(), FaithfulnessEvaluator(llm=judge_llm("m"))):
        assert is_evaluator(evaluator)
    for other in (FaithfulnessEvaluator, scored, "f1", None, Score(1.0)):
        assert not is_evaluator(other)
    assert name_of(as_metric(exact_match)) == "exact_match"


def test_the_model_that_judges_is_known() -> None:
    assert judge_model(FaithfulnessEvaluator(llm=judge_llm("claude-sonnet"))) == "claude-sonnet"
    assert judge_model(exact_match) is None
    assert judge_model(SimpleNamespace(llm=SimpleNamespace(provider="openai", model="gpt"))) is None


# --- the provider -------------------------------------------------------------------------------------------------


def test_registering_twice_is_registering_once() -> None:
    register()
    register()
    (registration,) = PROVIDER_REGISTRY.get_provider_registrations(PROVIDER)
    adapter = registration.adapter_class
    assert issubclass(adapter, BaseLLMAdapter)
    missing = [name for name in BaseLLMAdapter.__abstractmethods__ if not callable(getattr(adapter, name, None))]
    assert not missing
    llm = LLM(provider="qa-eval", model="m")
    assert llm.model == llm._async_adapter.model_name == "m"
    assert not llm._rate_limiters


def test_the_module_loads_without_the_package_and_says_what_is_missing() -> None:
    code = (
        "import sys; sys.modules['phoenix.evals'] = None\n"
        "from qa_eval.errors import InputError\n"
        "from qa_eval.metrics import phoenix_evals as p\n"
        "assert not {'phoenix', 'pandas', 'opentelemetry'} & sys.modules.keys()\n"
        "assert not p.is_evaluator(print)\n"
        "try: p.judge_llm('m')\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'qa-eval[phoenix-evals]'" in done.stdout


def test_nothing_is_printed_or_connected(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    assert judged(FaithfulnessEvaluator(llm=judge_llm("m")), RIGHT)[0].value == 1.0
    assert capfd.readouterr() == ("", "")
