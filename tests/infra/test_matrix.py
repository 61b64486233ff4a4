"""Every sensible choice of settings becomes templates that CloudFormation would take."""

from __future__ import annotations

import json
from pathlib import Path

import cfnlint.api
import cloudformation_validate as validate
import pytest
from aws_cdk import aws_elasticloadbalancingv2 as elb
from cdk_preflight import Preflight
from templates import DOMAIN, Platform, Synthesise

from qa_eval_infra.settings import load_settings
from qa_eval_infra.stacks import build

CHOICES = {
    "as it is": (),
    "with a domain": DOMAIN,
    "public load balancer": (*DOMAIN, "load_balancer=public", "egress=public"),
    "bare": ("waf=false", "chatbot=false", "egress=public", "deletion_protection=false"),
    "without WAF, with a domain": (*DOMAIN, "waf=false"),
    "large": (
        *("nat_gateways=2", "vpc_endpoints=true", "cache_replica=true", "container_insights=true"),
        *("gateway_cpu=4096", "gateway_memory=8192", "gateway_tasks_min=2", "database_max_acu=16"),
    ),
    "ARM elsewhere": ("architecture=arm64", "region=us-west-2", "name=other", "guardrail_strength=LOW"),
    "canary": ("canary=true",),
    "canary behind a public load balancer": (*DOMAIN, "canary=true", "load_balancer=public", "chatbot=false"),
    "watched": ("alarm_email=a@example.org", "monthly_budget=50", "log_retention_days=365", "tags={team: qa}"),
}


@pytest.fixture(params=CHOICES, scope="module")
def choice(request: pytest.FixtureRequest, synthesise: Synthesise) -> Platform:
    return synthesise(*CHOICES[request.param], checked=True)


@pytest.fixture(scope="module")
def engine() -> validate.Engine:
    return validate.RegoEngine()


def test_nothing_has_to_be_looked_up(choice: Platform) -> None:
    manifest = json.loads((choice.folder / "manifest.json").read_text())
    assert "missing" not in manifest
    assert {each.get("type") for each in manifest["artifacts"].values()} >= {"aws:cloudformation:stack"}


def test_cdk_nag_has_nothing_left_and_every_acceptance_has_a_reason(choice: Platform) -> None:
    (report,) = json.loads((choice.folder / "validation-report.json").read_text())["pluginReports"]
    assert report["conclusion"] == "success"
    assert not report["violations"]
    assert report["suppressedViolations"]
    assert all(len(each["reason"].split()) > 4 for each in report["suppressedViolations"])


def test_cloudformation_validate_finds_no_error(choice: Platform, engine: validate.Engine) -> None:
    for name, text in choice.templates.items():
        report = engine.validate_template(validate.TemplateContent(text, name=name))
        wrong = [
            each for each in report.diagnostics if each.severity in (validate.Severity.FATAL, validate.Severity.ERROR)
        ]
        assert not [(each.rule_id, each.message) for each in wrong]
        warnings = {each.rule_id for each in report.diagnostics if each.severity == validate.Severity.WARN}
        assert warnings <= {"W3005"}, "CDK writes some dependencies twice; nothing else is warned of"


@pytest.mark.parametrize("name", ["as it is", "public load balancer", "large", "canary"])
def test_cfn_lint_finds_no_error(name: str, synthesise: Synthesise) -> None:
    for text in synthesise(*CHOICES[name], checked=True).templates.values():
        matches = cfnlint.api.lint(text, regions=["us-east-1"])
        assert {match.rule.id for match in matches} <= {"W3005"}


def test_what_aws_would_refuse_is_found_before(tmp_path: Path) -> None:
    """The rules of cdk-preflight, which `choice` has passed, are at work: a planted mistake is an error."""
    app = build(load_settings(), str(tmp_path))
    (balancer,) = [each for each in app.node.find_all() if isinstance(each, elb.CfnLoadBalancer)]
    idle = elb.CfnLoadBalancer.LoadBalancerAttributeProperty(key="idle_timeout.timeout_seconds", value="5000")
    balancer.load_balancer_attributes = [idle]
    Preflight.apply(app)
    with pytest.raises(RuntimeError, match=r"idle_timeout\.timeout_seconds is 5000"):
        app.synth()
