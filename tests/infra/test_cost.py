"""The estimate follows the settings, and says where its prices were read."""

from __future__ import annotations

import pytest
from templates import DOMAIN, Platform, Synthesise

from qa_eval_infra.cost import estimate, total
from qa_eval_infra.settings import load_settings


def usd(*flags: str) -> dict[str, float | None]:
    return {each.name: each.usd for each in estimate(load_settings(assignments=flags))}


def test_the_sum_is_that_of_its_parts() -> None:
    components = estimate(load_settings())
    assert total(components) == pytest.approx(sum(each.usd or 0 for each in components))
    assert 140 < total(components) < 200, "about what was added up by hand beforehand: 167 with other sizes"
    assert all(each.source and each.how for each in components)


def test_fargate_is_priced_by_size_number_and_processor() -> None:
    x86 = usd()["Gateway on Fargate"]
    assert x86 == pytest.approx(730 * (0.04048 + 2 * 0.004445))
    assert usd("architecture=arm64")["Gateway on Fargate"] == pytest.approx(0.8 * x86)
    assert usd("gateway_tasks_min=3")["Gateway on Fargate"] == pytest.approx(3 * x86)


@pytest.mark.parametrize(
    ("flags", "cheaper"),
    [(["waf=false"], True), (["egress=public"], True), (["nat_gateways=2"], False), (["vpc_endpoints=true"], False),
     (["cache_replica=true"], False), (["database_min_acu=1"], False), ([*DOMAIN], False), (["chatbot=false"], True)],
)  # fmt: skip
def test_each_choice_has_its_price(flags: list[str], cheaper: bool) -> None:
    assert (total(estimate(load_settings(assignments=flags))) < total(estimate(load_settings()))) == cheaper


def test_a_price_that_is_not_known_is_not_made_up() -> None:
    components = {each.name: each for each in estimate(load_settings(assignments=["cache_node=cache.r7g.large"]))}
    assert components["Valkey"].usd is None


def test_it_counts_what_the_template_holds(platform: Platform, synthesise: Synthesise) -> None:
    for each in (
        platform,
        synthesise("chatbot=false"),
        synthesise("vpc_endpoints=true"),
        synthesise("canary=true"),
        synthesise(*DOMAIN, "load_balancer=public"),
    ):
        told = {line.name: line.how for line in estimate(each.settings)}
        assert told["Secrets Manager"] == f"{len(each.all('AWS::SecretsManager::Secret'))} secrets"
        assert told["CloudWatch"].startswith(f"{len(each.all('AWS::CloudWatch::Alarm'))} alarms")
        assert told["WAF"].endswith(f"{len(each.only('AWS::WAFv2::WebACL')['Rules'])} rules")
        interfaces = [e for e in each.all("AWS::EC2::VPCEndpoint").values() if e["VpcEndpointType"] == "Interface"]
        assert (f"{len(interfaces)} in" in told.get("VPC endpoints", "0 in")) or not interfaces
