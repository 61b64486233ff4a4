"""ApplyGuardrail with the blueprint's policy, without Bedrock's classifiers.

Patterns find e-mail addresses and phone numbers. A few harmless trigger phrases replace the hate, violence and sexual
classifiers: they show the platform's behaviour when the guardrail intervenes, not what Bedrock would find. Personal
data is masked and a triggered filter blocks, in the format of Bedrock's response.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from qa_eval.blueprint.gateway import ContentFilterParams, read_config
from qa_eval.blueprint.guardrail import Category, GuardrailPolicy, Strength

Source = Literal["INPUT", "OUTPUT"]

TRIGGER_PHRASES: dict[Category, str] = {
    "HATE": "trigger the hate filter",
    "VIOLENCE": "trigger the violence filter",
    "SEXUAL": "trigger the sexual filter",
}
"""The substitutes of Bedrock's classifiers; case and white space do not matter."""

_PATTERNS = {
    pattern.name: re.compile(pattern.pattern)
    for guardrail in read_config().guardrails
    if isinstance(guardrail.litellm_params, ContentFilterParams)
    for pattern in guardrail.litellm_params.patterns
}
"""The patterns of the gateway's own filter, the only ones in the blueprint."""


@dataclass(frozen=True)
class _PersonalData:
    entity: str
    match: str
    action: Literal["ANONYMIZED", "BLOCKED"]


def apply(policy: GuardrailPolicy, source: Source, texts: Sequence[str]) -> dict[str, Any]:
    """The response of ApplyGuardrail for the texts of a question (INPUT) or an answer (OUTPUT).

    If something is masked, it has one output for each text, in order; if something is blocked, one output with the
    policy's message; otherwise none.
    """
    filters = [each for text in texts for each in _triggered(policy, source, text)]
    masked, findings = _mask(policy, texts)
    blocked = bool(filters) or any(finding.action == "BLOCKED" for finding in findings)
    message = policy.blocked_input_messaging if source == "INPUT" else policy.blocked_outputs_messaging
    outputs = [message] if blocked else masked if findings else []
    return {
        "action": "GUARDRAIL_INTERVENED" if outputs else "NONE",
        "actionReason": "Guardrail blocked." if blocked else "Guardrail masked." if findings else "No action.",
        "outputs": [{"text": text} for text in outputs],
        "assessments": [_assessment(filters, findings)],
        "usage": _usage(texts),
    }


def _triggered(policy: GuardrailPolicy, source: Source, text: str) -> list[tuple[Category, Strength]]:
    plain = " ".join(text.lower().split())
    strengths = [
        (each.type, each.input_strength if source == "INPUT" else each.output_strength)
        for each in policy.content_filters
    ]
    return [(kind, strength) for kind, strength in strengths if strength != "NONE" and TRIGGER_PHRASES[kind] in plain]


def _mask(policy: GuardrailPolicy, texts: Sequence[str]) -> tuple[list[str], list[_PersonalData]]:
    findings: list[_PersonalData] = []
    masked = []
    for text in texts:
        for entity in policy.pii_entities:
            pattern, mark = _PATTERNS[entity.type], f"{{{entity.type}}}"
            action: Literal["ANONYMIZED", "BLOCKED"] = "ANONYMIZED" if entity.action == "ANONYMIZE" else "BLOCKED"
            # Repeat until nothing is found: masking may separate another number from its neighbour.
            while matches := [match[0] for match in pattern.finditer(text)]:
                findings += [_PersonalData(entity.type, match, action) for match in matches]
                text = pattern.sub(mark, text)
        masked.append(text)
    return masked, findings


def _assessment(filters: Sequence[tuple[Category, Strength]], findings: Sequence[_PersonalData]) -> dict[str, Any]:
    assessment: dict[str, Any] = {}
    if filters:
        found = {"confidence": "HIGH", "action": "BLOCKED", "detected": True}
        assessment["contentPolicy"] = {
            "filters": [
                {"type": kind, "filterStrength": strength, **found} for kind, strength in dict.fromkeys(filters)
            ]
        }
    if findings:
        assessment["sensitiveInformationPolicy"] = {
            "piiEntities": [
                {"type": each.entity, "match": each.match, "action": each.action, "detected": True} for each in findings
            ],
            "regexes": [],
        }
    return assessment


def _usage(texts: Sequence[str]) -> dict[str, int]:
    """Bedrock counts units of 1,000 characters, rounded up."""
    units = -(-sum(map(len, texts)) // 1000)
    return {
        "topicPolicyUnits": 0,
        "contentPolicyUnits": units,
        "wordPolicyUnits": 0,
        "sensitiveInformationPolicyUnits": units,
        "sensitiveInformationPolicyFreeUnits": 0,
        "contextualGroundingPolicyUnits": 0,
    }
