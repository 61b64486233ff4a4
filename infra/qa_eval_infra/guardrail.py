"""The guardrail on AWS, from the blueprint's policy."""

from __future__ import annotations

import hashlib

from aws_cdk import aws_bedrock as bedrock
from constructs import Construct

from qa_eval.blueprint.guardrail import GuardrailPolicy, load_guardrail_policy
from qa_eval_infra.settings import QaEvalSettings

_NAME_LENGTH = 50


class Guardrail(Construct):
    """The guardrail and a published version; a changed policy gets a new version."""

    def __init__(self, scope: Construct, id: str, settings: QaEvalSettings) -> None:
        super().__init__(scope, id)
        policy = load_guardrail_policy()
        guardrail = bedrock.CfnGuardrail(
            self,
            "Guardrail",
            name=f"{settings.name}-{policy.name}"[:_NAME_LENGTH],
            description=policy.description,
            blocked_input_messaging=policy.blocked_input_messaging,
            blocked_outputs_messaging=policy.blocked_outputs_messaging,
            content_policy_config=_content(policy, settings),
            sensitive_information_policy_config=_personal_data(policy),
        )
        self.arn = guardrail.attr_guardrail_arn
        self.id = guardrail.attr_guardrail_id
        # A version is a snapshot: CloudFormation creates a new one only for a new logical id.
        digest = hashlib.sha256(f"{policy.model_dump_json()}{settings.guardrail_strength}".encode()).hexdigest()
        version = bedrock.CfnGuardrailVersion(self, f"Version{digest[:12]}", guardrail_identifier=self.id)
        self.version = version.attr_version


def _content(policy: GuardrailPolicy, settings: QaEvalSettings) -> bedrock.CfnGuardrail.ContentPolicyConfigProperty:
    strength = settings.guardrail_strength
    return bedrock.CfnGuardrail.ContentPolicyConfigProperty(
        filters_config=[
            bedrock.CfnGuardrail.ContentFilterConfigProperty(
                type=each.type,
                input_strength=strength or each.input_strength,
                output_strength=strength or each.output_strength,
            )
            for each in policy.content_filters
        ]
    )


def _personal_data(policy: GuardrailPolicy) -> bedrock.CfnGuardrail.SensitiveInformationPolicyConfigProperty:
    return bedrock.CfnGuardrail.SensitiveInformationPolicyConfigProperty(
        pii_entities_config=[
            bedrock.CfnGuardrail.PiiEntityConfigProperty(type=each.type, action=each.action)
            for each in policy.pii_entities
        ]
    )
