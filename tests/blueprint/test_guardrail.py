"""The guardrail's policy: what the blueprint says, and what may not stand in it."""

import pytest
from pydantic import ValidationError

from qa_eval.blueprint.guardrail import GuardrailPolicy, load_guardrail_policy


def test_the_blueprint_filters_three_categories_and_masks_two_kinds_of_personal_data():
    policy = load_guardrail_policy()

    assert {each.type for each in policy.content_filters} == {"HATE", "VIOLENCE", "SEXUAL"}
    assert {(each.type, each.action) for each in policy.pii_entities} == {
        ("EMAIL", "ANONYMIZE"),
        ("PHONE", "ANONYMIZE"),
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("blocked_input_mesaging",), "x"),
        (("content_filters", 0, "strength"), "HIGH"),
        (("pii_entities", 0, "name"), "x"),
        (("content_filters", 0, "type"), "HATRED"),
        (("content_filters", 0, "input_strength"), "high"),
        (("content_filters", 0, "type"), "SEXUAL"),
        (("pii_entities", 0, "action"), "MASK"),
        (("pii_entities", 0, "type"), "PHONE"),
        (("name",), "with a space"),
        (("blocked_outputs_messaging",), ""),
        (("blocked_outputs_messaging",), "x" * 501),
    ],
)
def test_a_wrong_key_or_value_is_an_error(path, value):
    content = load_guardrail_policy().model_dump()
    *way, last = path
    place = content
    for step in way:
        place = place[step]
    place[last] = value

    with pytest.raises(ValidationError):
        GuardrailPolicy.model_validate(content)


@pytest.mark.parametrize("key", GuardrailPolicy.model_fields)
def test_nothing_may_be_missing(key):
    content = load_guardrail_policy().model_dump()
    del content[key]

    with pytest.raises(ValidationError, match=key):
        GuardrailPolicy.model_validate(content)
