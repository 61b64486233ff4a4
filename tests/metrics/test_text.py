"""The code metrics for free answers follow their definitions, on tables of cases and on any text."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qa_eval.errors import InputError
from qa_eval.metrics import explain, text
from qa_eval.metrics.base import Score
from qa_eval.metrics.numeric import last_number

LONG = 100_000


# --- contained texts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "wanted", "found"),
    [
        ("The capital is Paris.", "paris", True),
        ("PARIS", "Paris", True),
        ("new\n\t york", "New  York", True),
        ("new\u00a0york", "new york", True),
        ("newyork", "new york", False),
        ("Bart", "art", True),
        ("Bart", " art ", True),
        ("STRASSE", "Straße", True),
        ("ﬁne", "fin", True),
        ("ＰＡＲＩＳ", "paris", True),
        ("cafe\u0301", "CAFÉ", True),
        ("cafe", "café", False),
        ("24-10", "24–10", False),
        ("Σίσυφος", "σίσυφοσ", True),
        ("東京です", "東京", True),
        ("", "Paris", False),
        ("anything", "", False),
        ("any thing", " \n", False),
        ("", "", False),
    ],
)
def test_a_text_occurs_in_an_answer(answer: str, wanted: str, found: bool) -> None:
    assert text.contains(answer, [wanted]) == float(found)
    assert text.contains_all(answer, [wanted]) == float(found)


def test_one_text_is_enough_for_contains_and_none_may_be_missing_for_contains_all() -> None:
    assert text.contains("Paris and Rome", ["Oslo", "rome"]) == 1.0
    assert text.contains_all("Paris and Rome", ["rome", "PARIS"]) == 1.0
    assert text.contains_all("Paris and Rome", ["rome", "Oslo"]) == 0.0
    assert text.contains_all("Paris", ["Paris", ""]) == 0.0


def test_of_no_texts_none_occurs_and_all_do() -> None:
    assert (text.contains("Paris", []), text.contains_all("Paris", [])) == (0.0, 1.0)


texts = st.one_of(
    st.lists(st.sampled_from(["Paris", "ß", "SS", "ﬁ", "  ", "\n", "é", "e\u0301", "24-10"]), max_size=6).map(" ".join),
    st.text(max_size=20),
)


@given(texts, st.lists(texts, min_size=1, max_size=4))
@example("Paris", [""])
def test_where_all_occur_one_does(answer: str, wanted: list[str]) -> None:
    """Feature: litellm-ecs-demo, Property: contains_all of one or more texts implies contains."""
    assert text.contains_all(answer, wanted) <= text.contains(answer, wanted)


@given(texts, texts, texts)
def test_a_text_occurs_between_any_others(before: str, wanted: str, after: str) -> None:
    """Feature: litellm-ecs-demo, Property: a text that is not blank occurs wherever it stands between spaces."""
    if wanted.strip():
        assert text.contains(f"{before} {wanted} {after}", [wanted]) == 1.0
        assert text.contains(f"{before} {wanted.upper()}\n{after}", [wanted.upper()]) == 1.0


# --- patterns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "pattern", "found"),
    [
        ("It was in 1995.", r"\b\d{4}\b", True),
        ("It was long ago.", r"\d", False),
        ("PARIS", "paris", False),
        ("PARIS", "(?i)paris", True),
        ("a\nb", "^b$", False),
        ("a\nb", "(?m)^b$", True),
        ("", "", True),
        ("", ".", False),
        ("été", r"^\w+$", True),
    ],
)
def test_a_pattern_matches_somewhere(answer: str, pattern: str, found: bool) -> None:
    assert text.matches(answer, pattern) == float(found)
    assert text.matches(answer, text.compile_pattern(pattern)) == float(found)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(a", "at character 1 (missing ), unterminated subpattern)"),
        ("ab)", "at character 3 (unbalanced parenthesis)"),
        ("*", "at character 1 (nothing to repeat)"),
        ("(?P<x>a)(?P<x>b)", "at character 13 (redefinition of group name 'x'"),
        ("a{99999999999}", "is wrong (the repetition number is too large)"),
        ("(" * 20_000 + ")" * 20_000, " …' is wrong (it is nested too deeply)"),
    ],
)
def test_a_wrong_pattern_is_said_with_its_place(pattern: str, problem: str) -> None:
    with pytest.raises(InputError, match=re.escape(problem)) as raised:
        text.compile_pattern(pattern)
    assert len(str(raised.value)) < 300
    with pytest.raises(InputError, match=re.escape(problem)):
        text.matches("", pattern)


# --- JSON ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    ["{}", "[]", '"a"', "1", "null", " \n\r\t{} ", '{"a": [1, -0.5e3]}', '{"a": 1, "a": 2}', "1" * 5_000, '"é\\ud800"'],
)
def test_json_is_valid(answer: str) -> None:
    assert text.valid_json(answer) == Score(1.0)


@pytest.mark.parametrize(
    ("answer", "explanation"),
    [
        ("", "The answer is empty"),
        (" \n", "The answer is empty"),
        ("NaN", "NaN is not a number in RFC 8259"),
        ('{"a": [-Infinity]}', "-Infinity is not a number"),
        ('```json\n{"a": 1}\n```', "A Markdown code fence is around it: the whole answer must be JSON."),
        ("\n~~~\n{}\n~~~", "A Markdown code fence"),
        ("Here it is: {}", "It is not JSON at line 1, column 1: expecting value."),
        ("{}\n{}", "at line 2, column 1: extra data."),
        ('{"a": 1,}', "at line 1, column 9: expecting property name"),
        ("{'a': 1}", "at line 1, column 2"),
        ('"a\nb"', "at line 1, column 3: invalid control character."),
        ("01", "extra data"),
        ("\u00a01", "expecting value"),
        ("١", "expecting value"),
        ("\ufeff{}", "BOM"),
        ("[" * LONG, "nested too deeply"),
        ("[" * LONG + "]" * LONG, "nested too deeply"),
    ],
)
def test_what_is_not_json_is_explained(answer: str, explanation: str) -> None:
    score = text.valid_json(answer)
    assert score.value == 0.0
    assert score.explanation is not None
    assert explanation in score.explanation


SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
    },
    "$defs": {"tag": {"enum": ["a", "b"]}},
}


@pytest.mark.parametrize(
    ("answer", "explanation"),
    [
        ('{"name": "no date"}', None),
        ('{"name": "x", "tags": ["a"]}', None),
        ("[]", "At $: [] is not of type 'object'."),
        ("{}", "At $: 'name' is a required property."),
        ('{"name": 1}', "At $.name: 1 is not of type 'string'."),
        ('{"name": "x", "tags": ["a", "c", "d"]}', "At $.tags[1]: 'c' is not one of ['a', 'b']."),
        ("{", "It is not JSON at line 1, column 2: expecting property name enclosed in double quotes."),
    ],
)
def test_json_is_validated_under_a_schema(answer: str, explanation: str | None) -> None:
    assert text.valid_json(answer, SCHEMA) == Score(float(explanation is None), explanation=explanation)
    assert text.valid_json(answer, MappingProxyType(SCHEMA)).explanation == explanation


def test_a_long_value_is_quoted_without_its_middle() -> None:
    explanation = text.valid_json(json.dumps({"name": ["x" * 10_000]}), SCHEMA).explanation
    assert explanation is not None
    assert len(explanation) < 400
    assert explanation.endswith("is not of type 'string'.")


def test_the_draft_is_the_one_that_the_schema_names() -> None:
    pair = {"items": [{"type": "string"}], "additionalItems": False}
    with pytest.raises(InputError, match=r"items"):
        text.check_schema(pair)
    draft_7 = {"$schema": "http://json-schema.org/draft-07/schema#", **pair}
    text.check_schema(draft_7)
    assert text.valid_json('["a"]', draft_7).value == 1.0
    assert text.valid_json('["a", "b"]', draft_7).value == 0.0
    assert text.valid_json('["a", 1]', {"prefixItems": [{}], "items": False}).value == 0.0


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "text"}, r"at \$\.type, 'text' is not valid"),
        ({"properties": {"a": {"pattern": "("}}}, r"at \$\.properties\.a\.pattern, '\(' is not a 'regex'"),
        ({"$schema": "https://example.org/own"}, "'https://example.org/own', which is no known draft"),
        ({"$schema": ["x"]}, "which is no known draft"),
        ({"items": {"$ref": "#/$defs/none"}}, "refers to '#/\\$defs/none', which is not in it"),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "refers to 'http://127.0.0.1:9/schema.json'"),
        ({"enum": [{1, 2}]}, "is no JSON value"),
        ({"maximum": float("nan")}, "it is not JSON"),
        ([], "it is not an object"),
    ],
)
def test_a_schema_that_is_wrong_itself_is_refused(schema: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        text.check_schema(schema)
    with pytest.raises(InputError, match=problem):
        text.valid_json("{}", schema)


def test_a_schema_without_end_is_an_error_and_no_score() -> None:
    with pytest.raises(ValueError, match="refers to itself without end"):
        text.valid_json("1", {"$ref": "#"})
    nested = {"type": "array", "items": {"$ref": "#"}}
    assert text.valid_json("[[[]]]", nested).value == 1.0
    assert text.valid_json("[[[1]]]", nested).value == 0.0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_what_is_written_as_json_is_json(value: Any) -> None:
    """Feature: litellm-ecs-demo, Property: any value as JSON is valid, alone and under the schema of that value."""
    written = json.dumps(value)
    assert text.valid_json(written).value == 1.0
    assert text.valid_json(written, {"const": value}).value == 1.0
    assert text.valid_json(f"```\n{written}\n```").value == 0.0


@given(st.text(max_size=30))
def test_any_answer_is_json_or_explained(answer: str) -> None:
    """Feature: litellm-ecs-demo, Property: what is not JSON has an explanation, and what is has none."""
    score = text.valid_json(answer)
    assert (score.value == 1.0) is (score.explanation is None)


# --- length, refusal, answer contained ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("", 0),
        (" \n\t", 0),
        ("one", 1),
        ("  one\n two\u00a0three ", 3),
        ("well-known", 1),
        ("a – b", 3),
        ("東京です", 1),
    ],
)
def test_length_is_the_number_of_words(answer: str, words: int) -> None:
    assert text.length(answer) == float(words)


@pytest.mark.parametrize(
    ("answer", "declines"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("The passage does not mention it.", True),
        ("unanswerable", True),
        ("", False),
        ("Paris", False),
        ("the Unknown Soldier", False),
    ],
)
def test_a_refusal_is_what_the_facts_call_declined(answer: str, declines: bool) -> None:
    assert text.refusal(answer) == float(declines)
    assert (explain.declined(answer) is not None) is declines


@pytest.mark.parametrize(
    ("answer", "references", "found"),
    [
        ("It was the Denver Broncos who won.", ["Paris", "denver broncos!"], True),
        ("the party", ["art"], False),
        ("Broncos of Denver", ["Denver Broncos"], False),
        ("anything", ["", "the"], False),
        ("", ["Paris"], False),
        ("Paris", [], False),
    ],
)
def test_an_answer_is_contained_word_for_word(answer: str, references: list[str], found: bool) -> None:
    assert text.answer_contained(answer, references) == float(found)


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "number"),
    [
        # plain, and where they stand
        ("72", "72"),
        ("The answer is 72.", "72"),
        ("#### 72", "72"),
        ("**72**", "72"),
        ("_72_", "72"),
        (r"\boxed{72}", "72"),
        ("(72).", "72"),
        ("x=72", "72"),
        ("答案是72个", "72"),
        ("- 72", "72"),
        ("007", "7"),
        ("1 then 2 then 3", "3"),
        ("1, 2", "2"),
        # decimals and separators
        ("3.50", "3.5"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("...5", "5"),
        ("No.5", "5"),
        ("1,250", "1250"),
        ("12,345,678.9", "12345678.9"),
        ("1,250, or so", "1250"),
        ("1\u202f250\u00a0km", "1250"),
        ("5\u00a020", "20"),
        ("1 250", "250"),
        # signs
        ("-5", "-5"),
        ("−5 °C", "-5"),
        ("–5", "-5"),
        ("+5", "5"),
        ("x=-5", "-5"),
        ("(-5)", "-5"),
        ("answer--5", "5"),
        ("5 - 3", "3"),
        ("5 – 3 = 2", "2"),
        ("100%-5", "5"),
        # units
        ("7 %", "7"),
        ("7%", "7"),
        ("$1,250.50", "1250.5"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        (r"\$5", "5"),
        ("$72$", "72"),
        ("€ 5", "5"),
        ("5€", "5"),
        ("US$5", "5"),
        ("5kg", "5"),
        ("20th", "20"),
        ("5 m²", "5"),
        ("$5/month", "5"),
        ("a 5-year-old", "5"),
        ("5 million", "5"),
        # exponents
        ("1.2e5", "120000"),
        ("1E-03", "0.001"),
        ("5e", "5"),
        ("1.2 × 10^5", "120000"),
        ("1.2x10**5", "120000"),
        ("1.2·10⁻⁵", "0.000012"),
        (r"3 \times 10^{-2}", "0.03"),
        ("3 x 10", "10"),
        ("2^10 = 1024", "1024"),
        # other digits
        ("１２", "12"),
        ("٣", "3"),
    ],
)
def test_the_last_number_is_read(written: str, number: str) -> None:
    assert last_number(written) == Decimal(number)
    assert text.numeric(written, [number]) == text.numeric(number, [written]) == 1.0


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "ten", "minus ten", "½", "²", "."),
        *("B12", "GPT-4", "mid-1990s"),
        *("3/4", "24-10", "24–10", "10:30", "2024-01-05", "-5-10", "10^8", "10^{8}", "2**8", "10⁻³", "2½"),
        *("1,25", "1.250,75", "1.2.3", "192.168.0.1", "1,2,3", "1234,567", "0,123", "1,25.5", ".5,3"),
        *("1e99999", "1 × 10^123456"),
    ],
)
def test_what_is_no_number(written: str) -> None:
    assert last_number(written) is None
    assert text.numeric(written, ["5"]) == 0.0
    with pytest.raises(ValueError, match=r"^no reference holds a number$"):
        text.numeric("5", [written])


def test_what_is_no_number_is_passed_over() -> None:
    assert last_number("7 (2024-01-05, GPT-4)") == 7
    assert text.numeric("7", ["seven", "3/4", "7.0"]) == 1.0


@pytest.mark.parametrize(
    ("answer", "reference", "tolerance", "relative", "equal"),
    [
        ("1.1", "1.0", 0.1, False, True),
        ("0.9", "1.0", 0.1, False, True),
        ("1.1001", "1.0", 0.1, False, False),
        ("5", "4", 1, False, True),
        ("0", "-0", 0.0, False, True),
        ("0.1", "1e-1", 0.0, False, True),
        ("0.30000000000000004", "0.3", 0.0, False, False),
        ("101", "100", 0.01, True, True),
        ("99", "100", 0.01, True, True),
        ("101.1", "100", 0.01, True, False),
        ("-101", "-100", 0.01, True, True),
        ("100", "-100", 0.01, True, False),
        ("0.0001", "0", 0.5, True, False),
        ("0", "0", 0.5, True, True),
        ("7%", "0.07", 0.0, False, False),
        ("1e9999", "-1e9999", 1e300, False, False),
    ],
)
def test_numbers_are_equal_within_the_tolerance(
    answer: str, reference: str, tolerance: float, relative: bool, equal: bool
) -> None:
    assert text.numeric(answer, [reference], tolerance=tolerance, relative=relative) == float(equal)
    assert text.numeric(answer, ["123456", reference], tolerance=tolerance, relative=relative) == float(equal)


@pytest.mark.parametrize("tolerance", [-1, float("nan"), float("inf")])
def test_a_tolerance_is_finite_and_not_negative(tolerance: float) -> None:
    with pytest.raises(InputError, match="give a finite number, 0 or more"):
        text.numeric("1", ["1"], tolerance=tolerance)


def test_numeric_without_references_is_an_error() -> None:
    with pytest.raises(ValueError, match="no reference holds a number"):
        text.numeric("5", [])


@pytest.mark.parametrize(
    "part",
    [
        *("1", "9e9", "1,", "1.", "1,000", "\u00a0123", "1\u202f", "-", "$", "$-", "1-", "1/", "1^", "1^{", "1×10"),
        *("1×10^", "1⁵", "1 ", "e", "½", "\\"),
    ],
)
def test_long_answers_are_read_in_linear_time(part: str) -> None:
    answer = part * (10_000 // len(part))
    began = time.process_time()
    last_number(answer)
    text.numeric(f"{answer} so it is 5", ["5"], tolerance=0.5)
    assert time.process_time() - began < 1


def test_a_number_of_very_many_digits_is_compared_exactly() -> None:
    nines = "9" * LONG
    assert text.numeric(nines, [nines]) == 1.0
    assert text.numeric(nines, [f"{nines[:-1]}8"], tolerance=0.5) == 0.0
    assert text.numeric(nines, [f"{nines[:-1]}8"], tolerance=1) == 1.0


numbers = st.one_of(
    st.integers().map(str),
    st.integers().map("{:,}".format),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map("{:f}".format),
    st.sampled_from(["7%", "$5", "−3", "1.2 × 10^5", "ten"]),
)


@given(numbers, numbers)
def test_numeric_is_symmetric(one: str, other: str) -> None:
    """Feature: litellm-ecs-demo, Property: at tolerance 0, answer and reference of one number each can be exchanged."""
    if last_number(one) is not None and last_number(other) is not None:
        assert text.numeric(one, [other]) == text.numeric(other, [one])
        assert text.numeric(one, [other, one]) == 1.0


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=4))
def test_a_number_is_read_as_it_is_written(number: Decimal) -> None:
    """Feature: litellm-ecs-demo, Property: a number has one value in plain, grouped and exponent notation."""
    for written in (f"{number:f}", f"{number:,f}", f"{number:e}", f"It is {number:f}.", f"${number:,f} a year"):
        assert last_number(written) == number


@given(
    st.text(max_size=40) | st.text("0123456789.,-−+eE×10^*$% \u00a0/:x⁵½", max_size=30),
    st.floats(0, 1e300),
    st.booleans(),
)
def test_any_text_has_a_number_or_none(answer: str, tolerance: float, relative: bool) -> None:
    """Feature: litellm-ecs-demo, Property: numeric is 0 or 1 for any text, and a larger tolerance never lowers it."""
    assert text.numeric(answer, ["5"]) <= text.numeric(answer, ["5"], tolerance=tolerance, relative=relative) <= 1.0


# --- ROUGE-L ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "references", "score"),
    [
        # The example of Lin (2004), section 3.1.
        ("police kill the gunman", ["police killed the gunman"], 3 / 4),
        ("the gunman kill police", ["police killed the gunman"], 2 / 4),
        ("The cat sat.", ["the cat"], 4 / 5),
        ("The cat sat.", ["a dog", "the cat", "THE CAT, SAT!"], 1.0),
        ("cats", ["cat"], 0.0),
        ("24-10", ["24 10"], 1.0),
        ("Zürich", ["Z rich"], 1.0),
        ("", ["the cat"], 0.0),
        ("…", ["the cat"], 0.0),
        ("東京", ["the cat", ""], 0.0),
    ],
)
def test_rouge_l(answer: str, references: list[str], score: float) -> None:
    assert text.rouge_l(answer, references) == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize("references", [[], [""], ["東京", "…"]])
def test_rouge_l_without_a_word_to_compare_with_is_an_error(references: list[str]) -> None:
    with pytest.raises(ValueError, match="no reference holds a word that ROUGE-L counts"):
        text.rouge_l("東京", references)


@given(texts, st.lists(texts, min_size=1, max_size=3))
@example("\u212a", ["\u212a"])  # the Kelvin sign, whose lower case is k
def test_rouge_l_is_bounded_and_1_for_identical_texts(answer: str, references: list[str]) -> None:
    """Feature: litellm-ecs-demo, Property: ROUGE-L lies in 0..1, and is 1 where the answer is among the references."""
    if re.search("[a-z0-9]", answer.lower()):
        assert text.rouge_l(answer, [*references, answer]) == 1.0
    assert 0.0 <= text.rouge_l(answer, [*references, "one"]) <= 1.0


def test_rouge_l_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    text.check_rouge()
    text._rouge_l_score.cache_clear()
    monkeypatch.setitem(sys.modules, "rouge_score", None)
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    message = r"^ROUGE-L needs the package rouge-score: pip install 'qa-eval\[rouge\]'\.$"
    with pytest.raises(InputError, match=message):
        text.check_rouge()
    with pytest.raises(InputError, match=message):
        text.rouge_l("x", ["x"])
    monkeypatch.undo()
    assert text.rouge_l("x", ["x"]) == 1.0


# --- all of them --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metric", [text.contains, text.contains_all, text.answer_contained, text.numeric, text.rouge_l]
)
def test_one_text_in_place_of_a_list_is_refused(metric: Callable[[str, Any], float]) -> None:
    with pytest.raises(InputError, match="put it in a list"):
        metric("5", "5")


@pytest.mark.parametrize("part", ["cannot find ", "I am not ", "word ", "é", "5 ", "{", "\n", "the context does not "])
def test_very_long_answers_take_no_time(part: str) -> None:
    answer = part * (LONG // len(part))
    began = time.monotonic()
    text.contains(answer, ["none of it"])
    text.contains_all(answer, ["none of it"])
    text.matches(answer, "none of it")
    text.valid_json(answer)
    text.length(answer)
    text.refusal(answer)
    text.answer_contained(answer, ["none of it"])
    text.numeric(answer, ["7"])
    text.rouge_l(answer[:10_000], ["none of it"])
    assert time.monotonic() - began < 5
