"""The monthly cost of the idle platform by component, computed from the settings.

The prices are on-demand prices of us-east-1 from the named pages, not from AWS's price list; usage (tokens, requests,
gigabytes) is extra. AWS's calculator is authoritative.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qa_eval.blueprint.secrets import SECRETS
from qa_eval_infra.settings import QaEvalSettings

AS_OF: Final = "November 2026"
HOURS: Final = 730
ZONES: Final = 2
_OTHER_SECRETS: Final = 3
"""Aurora's own secret, and the two virtual keys."""
_RULES: Final = 4
_ENDPOINTS: Final = 3
_ALARMS: Final = 13
_CHATBOT_ALARMS: Final = 3
_METRICS: Final = 2
"""The readiness of the two servers; the chatbot has another for its unanswered turns."""


@dataclass(frozen=True)
class Price:
    """The price of one unit in US dollars, with its source."""

    usd: float
    source: str


FARGATE_VCPU: Final = Price(0.04048, "vantage.sh, 2026")
FARGATE_GB: Final = Price(0.004445, "vantage.sh, 2026")
ARM_SHARE: Final = 0.8
"""Fargate on ARM, as a share of its price on x86."""
ACU: Final = Price(0.12, "c3x.dev, 2026")
NAT: Final = Price(0.045, "zacfukuda.com, June 2026")
ADDRESS: Final = Price(0.005, "not verified: as announced by AWS for 2024")
BALANCER: Final = Price(0.0225, "a calculator's site, 2026")
WEB_ACL: Final = Price(5.0, "c3x.dev, 2026")
WEB_RULE: Final = Price(1.0, "c3x.dev, 2026")
SECRET: Final = Price(0.40, "hivebook.wiki and awsready.net, 2026")
ZONE: Final = Price(0.50, "not verified")
ENDPOINT: Final = Price(0.01, "not verified")
ALARM: Final = Price(0.10, "not verified")
METRIC: Final = Price(0.30, "not verified")
DASHBOARD: Final = Price(3.0, "not verified; the first three of an account are free")
CACHE_NODES: Final = {
    "cache.t4g.micro": Price(0.0128, "not verified"),
    "cache.t4g.small": Price(0.0256, "not verified"),
    "cache.t4g.medium": Price(0.052, "not verified"),
}


@dataclass(frozen=True)
class Component:
    """One line of the estimate."""

    name: str
    usd: float | None
    """US dollars a month; None if the price is unknown."""
    how: str
    source: str


def estimate(settings: QaEvalSettings) -> tuple[Component, ...]:
    """The components' monthly costs, in the order in which a request passes them."""
    return tuple(_components(settings))


def total(components: tuple[Component, ...]) -> float:
    """Their sum in US dollars, without components of unknown price."""
    return sum(component.usd or 0 for component in components)


def _components(settings: QaEvalSettings) -> Iterator[Component]:
    if settings.waf:
        yield _fixed("WAF", WEB_ACL.usd + _RULES * WEB_RULE.usd, f"one ACL, {_RULES} rules", WEB_ACL)
    if settings.domain:
        yield _fixed("Route 53", ZONE.usd, "one hosted zone, if used only for this", ZONE)
    yield _hourly("Load balancer", 1, BALANCER, "one, without its capacity units")
    yield from _network(settings)
    gateway = _task(settings, settings.gateway_cpu, settings.gateway_memory)
    tasks = settings.gateway_tasks_min
    yield _hourly(
        "Gateway on Fargate", tasks, gateway, f"{tasks} x {_size(settings.gateway_cpu, settings.gateway_memory)}"
    )
    phoenix = _task(settings, settings.phoenix_cpu, settings.phoenix_memory)
    yield _hourly("Phoenix on Fargate", 1, phoenix, _size(settings.phoenix_cpu, settings.phoenix_memory))
    yield _hourly("Aurora", settings.database_min_acu, ACU, f"{settings.database_min_acu:g} ACU, without storage")
    yield _cache(settings)
    secrets = len(SECRETS) + _OTHER_SECRETS + (settings.load_balancer == "public") + settings.canary
    yield _fixed("Secrets Manager", secrets * SECRET.usd, f"{secrets} secrets", SECRET)
    alarms = _ALARMS + (_CHATBOT_ALARMS if settings.chatbot else 0)
    metrics = _METRICS + settings.chatbot
    usd = alarms * ALARM.usd + metrics * METRIC.usd + DASHBOARD.usd
    yield _fixed("CloudWatch", usd, f"{alarms} alarms, {metrics} custom metrics, one dashboard, no logs", ALARM)


def _network(settings: QaEvalSettings) -> Iterator[Component]:
    if settings.egress == "nat":
        count = settings.nat_gateways
        yield _hourly(
            "NAT", count, Price(NAT.usd + ADDRESS.usd, NAT.source), f"{count} with an address, without traffic"
        )
    else:
        addresses = settings.gateway_tasks_min + 1
        yield _hourly("Public addresses of tasks", addresses, ADDRESS, f"{addresses} tasks")
    if settings.load_balancer == "public":
        yield _hourly("Public addresses of the load balancer", ZONES, ADDRESS, f"{ZONES} zones")
    if settings.vpc_endpoints:
        yield _hourly("VPC endpoints", _ENDPOINTS * ZONES, ENDPOINT, f"{_ENDPOINTS} in {ZONES} zones")


def _cache(settings: QaEvalSettings) -> Component:
    nodes = 2 if settings.cache_replica else 1
    how = f"{nodes} x {settings.cache_node}"
    price = CACHE_NODES.get(settings.cache_node)
    return _hourly("Valkey", nodes, price, how) if price else Component("Valkey", None, how, "unknown")


def _task(settings: QaEvalSettings, cpu: int, memory: int) -> Price:
    share = ARM_SHARE if settings.architecture == "arm64" else 1.0
    usd = share * (cpu / 1024 * FARGATE_VCPU.usd + memory / 1024 * FARGATE_GB.usd)
    return Price(usd, f"{FARGATE_VCPU.source}{'; ARM as 80 % of x86' if share < 1 else ''}")


def _size(cpu: int, memory: int) -> str:
    return f"{cpu / 1024:g} vCPU, {memory / 1024:g} GB"


def _hourly(name: str, count: float, price: Price, how: str) -> Component:
    return Component(name, count * HOURS * price.usd, how, price.source)


def _fixed(name: str, usd: float, how: str, price: Price) -> Component:
    return Component(name, usd, how, price.source)
