"""Who is asking, and CDK's bootstrap."""

from __future__ import annotations

from typing import Any

from stubbed_account import Answer, Refusal, StubbedAccount

from qa_eval.deployment.preflight.caller import BOOTSTRAP_PARAMETER, BOOTSTRAP_VERSION
from qa_eval_infra.app import prepare
from qa_eval_infra.settings import load_settings


def test_a_role_may_deploy_and_the_root_user_may_not(account: StubbedAccount, find: Any) -> None:
    assert find("caller") == []
    account.answers["sts:GetCallerIdentity"] = {"Arn": "arn:aws:iam::123456789012:root"}
    ((kind, sentence),) = find("caller")
    assert kind == "fails"
    assert sentence.startswith("The caller is the account's root user, which cannot assume CDK's roles: sign in as")


def test_both_regions_are_bootstrapped_where_both_have_a_stack(account: StubbedAccount, find: Any) -> None:
    account.answers["ssm:GetParameter"] = Refusal("ParameterNotFound")
    remedy = "is not bootstrapped for CDK: run `qa-eval infra deploy --bootstrap`."
    assert find("bootstrap", "region=us-west-2") == [("fails", f"us-east-1 {remedy}"), ("fails", f"us-west-2 {remedy}")]
    assert find("bootstrap", "region=us-west-2", "waf=false") == [("fails", f"us-west-2 {remedy}")]
    assert find("bootstrap", "region=us-east-1") == [("fails", f"us-east-1 {remedy}")]


def test_an_old_bootstrap_is_named_with_both_versions(account: StubbedAccount, find: Any) -> None:
    def version(asked: dict[str, Any], region: str) -> Answer:
        return {"Parameter": {"Value": "5" if region == "us-east-1" else "6"}}

    account.answers["ssm:GetParameter"] = version
    ((_, sentence),) = find("bootstrap", "region=us-west-2")
    assert sentence.startswith("us-east-1 has version 5 of CDK's bootstrap stack, and 6 is needed: run `qa-eval infra")


def test_the_bootstrap_is_the_one_that_cdk_asks_for() -> None:
    prepare()
    from qa_eval_infra.stacks import build

    for stack in build(load_settings()).synth().stacks:
        assert stack.requires_bootstrap_stack_version == BOOTSTRAP_VERSION
        assert stack.bootstrap_stack_version_ssm_parameter == BOOTSTRAP_PARAMETER
