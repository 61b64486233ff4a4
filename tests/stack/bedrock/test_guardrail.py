"""The guardrail's stand-in: what is masked, what is blocked, and what is left alone."""

import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qa_eval.blueprint.guardrail import GuardrailPolicy, load_guardrail_policy
from qa_eval.stack.bedrock.guardrail import apply

POLICY = load_guardrail_policy()


def mask(policy, text):
    """The text as ApplyGuardrail returns it where nothing is blocked."""
    outputs = apply(policy, "OUTPUT", [text])["outputs"]
    return outputs[0]["text"] if outputs else text


near_numbers = st.text(st.sampled_from("0123456789+-–. ()/@ax{}"), max_size=40)


def with_(**changes):
    return GuardrailPolicy.model_validate({**POLICY.model_dump(), **changes})


@settings(max_examples=1000)
@given(text=near_numbers | st.text())
def test_masking_is_idempotent(text):
    """Feature: litellm-ecs-demo, Property: masking what is masked changes nothing."""
    masked = mask(POLICY, text)
    assert mask(POLICY, masked) == masked


@settings(max_examples=300)
@given(text=st.text(st.characters(exclude_characters="@0123456789")))
def test_text_without_digits_and_at_signs_is_unchanged(text):
    """Feature: litellm-ecs-demo, Property: without a digit and an @ there is no personal data."""
    assert mask(POLICY, text) == text


year = st.integers(1, 2999)
harmless = (
    st.tuples(year, st.sampled_from("-–/ "), year).map(lambda span: f"{span[0]}{span[1]}{span[2]}")
    | st.dates().map(date.isoformat)
    | st.dates(min_value=date(1000, 1, 1)).map(lambda day: f"{day:%d.%m.%Y}")
    | st.dates(min_value=date(1000, 1, 1)).map(lambda day: f"{day:%m-%d-%Y}")
    | st.integers().map(lambda number: f"{number:,}")
    | st.integers(min_value=0).map(str)
    | st.floats(-180, 180).map(lambda degrees: f"{degrees:+.6f}")
    | st.tuples(st.floats(-90, 90), st.floats(-180, 180)).map(lambda at: f"{at[0]:+.5f}{at[1]:+.5f}")
    | st.from_regex(r"\A97[89]-[0-9]-[0-9]{2}-[0-9]{6}-[0-9]\Z")
    | st.from_regex(r"\A97[89]-[0-9]{3}-[0-9]{4}-[0-9]{2}-[0-9]\Z")
    | st.from_regex(r"\A[0-9]-[0-9]{3}-[0-9]{5}-[0-9X]\Z")
    | st.from_regex(r"\A[0-9]{4}-[0-9]{4}\Z")
    | st.from_regex(r"\A[0-9]{4} [0-9]{4} [0-9]{4} [0-9]{4}\Z")
)


@settings(max_examples=1000)
@given(text=harmless, before=st.sampled_from(["", "In ", "(", "ISBN "]), after=st.sampled_from(["", ".", ")", ", so"]))
def test_years_dates_ranges_coordinates_and_isbns_are_left_alone(text, before, after):
    """Feature: litellm-ecs-demo, Property: a number that is no phone number is not masked."""
    assert mask(POLICY, before + text + after) == before + text + after


north_american = st.from_regex(
    r"\A(1[-. ])?(\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-.\u2011])[0-9]{3}[-.][0-9]{4}\Z", fullmatch=True
)
international = st.from_regex(
    r"\A\+[1-9][0-9]?( \(0\)| \([1-9][0-9]{1,2}\))?[ -][1-9][0-9]{2,3}([ -][0-9]{2,3}){2}\Z", fullmatch=True
)


@settings(max_examples=500)
@given(number=north_american | international, after=st.sampled_from([".", ",", "!", " in 2", "", "\n", ")", " or"]))
def test_ordinary_phone_numbers_are_masked_whole(number, after):
    """Feature: litellm-ecs-demo, Property: a phone number in an ordinary form leaves no digit behind."""
    assert mask(POLICY, f"Call {number}{after}").startswith("Call {PHONE}")
    assert mask(POLICY, f"Call {number}{after}").count("{PHONE}") == 1


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("(030) 901820", "{PHONE}"),
        ("+44 (0)20 7946 0958", "{PHONE}"),
        ("tel:+15550109999", "tel:{PHONE}"),
        ("555-010-9999, 555-010-9998", "{PHONE}, {PHONE}"),
        ("+49 30 901820 in 2010", "{PHONE} in 2010"),
        ("ada@example.org", "{EMAIL}"),
        ("<Ada.Byron+notes@mail.example.co.uk>.", "<{EMAIL}>."),
        ("jörg@müller.de", "{EMAIL}"),
        ("a@b", "a@b"),
        ("@ada and x@ y", "@ada and x@ y"),
    ],
)
def test_what_is_masked(text, masked):
    assert mask(POLICY, text) == masked


@pytest.mark.parametrize("unit", ["a", "1", "+1 ", "a@", "a.", "(", "(555)", "555-", "a@a.", "+1-"])
def test_no_text_takes_long(unit):
    began = time.process_time()
    mask(POLICY, unit * 25_000)
    assert time.process_time() - began < 1


def test_masked_texts_stand_where_the_texts_stood():
    answer = apply(POLICY, "INPUT", ["nothing", "a@b.org", "", "a@b.org and c@d.org"])

    assert [output["text"] for output in answer["outputs"]] == ["nothing", "{EMAIL}", "", "{EMAIL} and {EMAIL}"]
    assert [each["match"] for each in answer["assessments"][0]["sensitiveInformationPolicy"]["piiEntities"]] == [
        "a@b.org",
        "a@b.org",
        "c@d.org",
    ]


def test_what_is_blocked_is_reported_beside_what_would_have_been_masked():
    answer = apply(POLICY, "OUTPUT", ["a@b.org", "Trigger\n the  HATE filter, trigger the violence filter"])

    assert answer["outputs"] == [{"text": POLICY.blocked_outputs_messaging}]
    (assessment,) = answer["assessments"]
    assert [each["type"] for each in assessment["contentPolicy"]["filters"]] == ["HATE", "VIOLENCE"]
    assert assessment["sensitiveInformationPolicy"]["piiEntities"][0]["action"] == "ANONYMIZED"


def test_a_phrase_that_two_texts_form_together_is_none():
    assert apply(POLICY, "INPUT", ["trigger the", "hate filter"])["action"] == "NONE"


def test_the_policy_decides():
    only_in = with_(content_filters=({"type": "HATE", "input_strength": "LOW", "output_strength": "NONE"},))
    blocking = with_(pii_entities=({"type": "EMAIL", "action": "BLOCK"},))

    assert apply(only_in, "OUTPUT", ["trigger the hate filter"])["action"] == "NONE"
    (found,) = apply(only_in, "INPUT", ["trigger the hate filter"])["assessments"][0]["contentPolicy"]["filters"]
    assert found["filterStrength"] == "LOW"
    assert apply(only_in, "INPUT", ["trigger the violence filter"])["action"] == "NONE"
    assert apply(blocking, "INPUT", ["a@b.org"])["outputs"] == [{"text": POLICY.blocked_input_messaging}]
    assert apply(blocking, "INPUT", ["+44 20 7946 0958"])["action"] == "NONE"


def test_units_are_thousands_of_characters_begun():
    usage = {length: apply(POLICY, "INPUT", ["x" * length])["usage"] for length in (0, 1, 1000, 1001)}
    assert {length: each["contentPolicyUnits"] for length, each in usage.items()} == {0: 0, 1: 1, 1000: 1, 1001: 2}
