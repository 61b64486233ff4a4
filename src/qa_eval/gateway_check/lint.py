"""Static checks of a gateway configuration: pure functions from its content to findings.

LiteLLM accepts nearly any configuration and silently ignores parts of it. Each rule finds one kind of such a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from pydantic import ValidationError

from qa_eval.blueprint.budgets import LOAD_BALANCER_IDLE
from qa_eval.blueprint.environment import PROVIDERS
from qa_eval.blueprint.gateway import PREFIX, ContentFilterParams, Deployment, LiteLLMConfig, mistakes
from qa_eval.blueprint.iam import DESTINATIONS, bedrock_resources
from qa_eval.blueprint.lifecycle import NOTICE, end_of_life
from qa_eval.blueprint.prices import PriceMap
from qa_eval.errors import InputError

_PAUSE_S: Final = 1.5
"""The longest pause of LiteLLM before one of the one or two retries after a timeout."""


@dataclass(frozen=True)
class GatewayFinding:
    """One problem in a configuration or of a running gateway."""

    rule: str
    """The name of the rule."""
    message: str
    """One sentence: the entry, what is wrong, and what to do."""


def lint(content: Any, prices: PriceMap, today: date) -> tuple[GatewayFinding, ...]:
    """Check a configuration.

    Args:
        content: The content of the YAML file. Where it does not match the schema, only the schema is checked.
        prices: LiteLLM's price map.
        today: The day with which the models' last days are compared.
    """
    try:
        config = LiteLLMConfig.model_validate(content)
    except ValidationError as error:
        return tuple(GatewayFinding("shape", f"{each}.") for each in mistakes(error, content))
    entries = (
        finding for entry in config.model_list for rule in _ENTRY_RULES for finding in rule(entry, prices, today)
    )
    return tuple(dict.fromkeys([*entries, *(finding for rule in _RULES for finding in rule(config))]))


def longest_wait_s(config: LiteLLMConfig, group: str) -> float:
    """Seconds until a caller gets an error if the provider never answers, including fallbacks and guardrails."""
    hops = [group, *config.router_settings.fallbacks_of(group)[: config.router_settings.max_fallbacks]]
    guardrails = sum(each.timeout for each in config.bedrock_guardrails())
    retries = [_retries_on_timeout(config, each) for each in hops]
    return guardrails + sum((1 + each) * config.router_settings.timeout + each * _PAUSE_S for each in retries)


def _retries_on_timeout(config: LiteLLMConfig, group: str) -> int:
    retries = config.router_settings.retry_policy_of(group).TimeoutErrorRetries
    return config.router_settings.num_retries if retries is None else retries


def _price(entry: Deployment, prices: PriceMap, _: date) -> Iterator[GatewayFinding]:
    params, base = entry.litellm_params, entry.model_info.base_model
    given = (params.input_cost_per_token, params.output_cost_per_token)
    if (given[0] is None) != (given[1] is None):
        yield GatewayFinding(
            "price", f"{entry.model_name} has only one of two prices: give both costs per token, or none."
        )
    elif given[0] is None and prices.get(base, {}).get("input_cost_per_token") is None:
        yield GatewayFinding(
            "price",
            f"{entry.model_name} has no price, because LiteLLM's price map has no row {base!r}: correct base_model, "
            "or give input_cost_per_token and output_cost_per_token.",
        )


def _same_model(entry: Deployment, _: PriceMap, __: date) -> Iterator[GatewayFinding]:
    called, base = entry.litellm_params.model.removeprefix(PREFIX), entry.model_info.base_model
    if _foundation(called) != _foundation(base):
        yield GatewayFinding(
            "base-model", f"{entry.model_name} calls {called} but has the price of {base}: use the same model in both."
        )


def _end_of_life(entry: Deployment, prices: PriceMap, today: date) -> Iterator[GatewayFinding]:
    model = entry.litellm_params.model.removeprefix(PREFIX)
    last = end_of_life(model, prices)
    if last is not None and last < today:
        yield GatewayFinding("end-of-life", f"{entry.model_name}: {model} ended on {last}: use its successor.")
    elif last is not None and last - today < NOTICE:
        yield GatewayFinding(
            "end-of-life", f"{entry.model_name}: {model} ends on {last}, in {(last - today).days} days: replace it."
        )


def _region(entry: Deployment, _: PriceMap, __: date) -> Iterator[GatewayFinding]:
    geography = entry.litellm_params.model.removeprefix(PREFIX).partition(".")[0]
    region = entry.litellm_params.aws_region_name
    regions = DESTINATIONS.get(geography, ("",))
    if not region.startswith("os.environ/") and "" not in regions and region not in regions:
        yield GatewayFinding(
            "iam", f"{entry.model_name}: a {geography}. profile cannot be called in {region}: change one of them."
        )


def _grants(config: LiteLLMConfig) -> Iterator[GatewayFinding]:
    try:
        bedrock_resources(config)
    except InputError as error:
        yield GatewayFinding("iam", str(error))


def _references(config: LiteLLMConfig) -> Iterator[GatewayFinding]:
    for name in config.environment():
        if name not in PROVIDERS:
            known = ", ".join(PROVIDERS)
            yield GatewayFinding("environment", f"os.environ/{name} is not provided: use one of {known}.")


def _names(config: LiteLLMConfig) -> Iterator[GatewayFinding]:
    router, groups = config.router_settings, config.groups()
    askable = groups.keys() | router.model_group_alias
    named = {
        "model_group_alias": set(router.model_group_alias.values()) - groups.keys(),
        "model_group_retry_policy": router.model_group_retry_policy.keys() - askable,
        "fallbacks": {name for each in router.fallbacks for pair in each.items() for name in (pair[0], *pair[1])}
        - askable,
    }
    for setting, unknown in named.items():
        for name in sorted(unknown):
            yield GatewayFinding("group", f"{setting} names {name!r}, which is not a model group: correct the name.")


def _aliases(config: LiteLLMConfig) -> Iterator[GatewayFinding]:
    """LiteLLM looks up fallbacks and retry policies by the requested name, without resolving aliases."""
    router = config.router_settings
    for alias, group in router.model_group_alias.items():
        if router.fallbacks_of(alias) != router.fallbacks_of(group):
            yield GatewayFinding(
                "alias", f"{alias} lacks the fallbacks of {group}, of which it is an alias: repeat them."
            )
        if router.retry_policy_of(alias) != router.retry_policy_of(group):
            yield GatewayFinding(
                "alias", f"{alias} lacks the retry policy of {group}, of which it is an alias: repeat it."
            )


def _retired_models(config: LiteLLMConfig) -> Iterator[GatewayFinding]:
    """A retired model, above all the cheapest deployment, must not fail the requests of its group."""
    for name, entries in config.groups().items():
        policy, others = config.router_settings.retry_policy_of(name), len(entries) - 1
        for kind in ("BadRequestErrorRetries", "NotFoundErrorRetries"):
            if (getattr(policy, kind) or 0) < others:
                yield GatewayFinding(
                    "dead-model", f"{name}: a retired model fails its requests: set {kind} to {others} for it."
                )
        if others and any(entry.model_info.allowed_fails is None for entry in entries):
            yield GatewayFinding(
                "dead-model", f"{name}: failing deployments are not cooled down: set allowed_fails for each."
            )


def _one_kind(config: LiteLLMConfig) -> Iterator[GatewayFinding]:
    for name, entries in config.groups().items():
        if len({entry.model_info.mode for entry in entries}) > 1:
            yield GatewayFinding("group", f"{name} contains chat and embedding models: give each kind its own group.")
        models = [entry.litellm_params for entry in entries]
        if len(models) > len(set(map(repr, models))):
            yield GatewayFinding("group", f"{name} contains the same deployment twice: remove one.")


def _budget(config: LiteLLMConfig) -> Iterator[GatewayFinding]:
    for name in config.groups():
        wait = longest_wait_s(config, name)
        if wait > LOAD_BALANCER_IDLE:
            yield GatewayFinding(
                "budget",
                f"{name}: a hanging provider blocks a request for {wait:g} s, and callers wait {LOAD_BALANCER_IDLE} s: "
                "lower timeout, TimeoutErrorRetries or max_fallbacks.",
            )


def _guarded(config: LiteLLMConfig) -> Iterator[GatewayFinding]:
    guardrails, names = config.bedrock_guardrails(), [each.guardrail_name for each in config.guardrails]
    if not any(each.mode == "pre_call" and each.mask_request_content for each in guardrails):
        yield GatewayFinding(
            "guardrail", "No guardrail masks questions: add one with pre_call and mask_request_content."
        )
    if not any(each.mode == "post_call" and each.mask_response_content for each in guardrails):
        yield GatewayFinding(
            "guardrail", "No guardrail masks answers: add one with post_call and mask_response_content."
        )
    if len(set(names)) < len(names):
        yield GatewayFinding("guardrail", "Two guardrails have the same name, and LiteLLM keeps only one: rename one.")
    first = config.guardrails[0].litellm_params
    if not isinstance(first, ContentFilterParams) or len(first.patterns) < 2:
        yield GatewayFinding(
            "guardrail",
            "Blocked questions would be traced unmasked: make litellm_content_filter the first guardrail, "
            "with patterns for EMAIL and PHONE.",
        )


def _traced(config: LiteLLMConfig) -> Iterator[GatewayFinding]:
    if "arize_phoenix" not in config.litellm_settings.callbacks:
        yield GatewayFinding("tracing", "Nothing is traced: add arize_phoenix to the callbacks.")
    for entry in config.model_list:
        if entry.model_info.mode == "embedding" and not entry.litellm_params.no_log:
            yield GatewayFinding(
                "tracing", f"{entry.model_name}: LiteLLM traces embedded texts unmasked: set no-log: true."
            )


def _embeds(entry: Deployment, _: PriceMap, __: date) -> Iterator[GatewayFinding]:
    params = entry.litellm_params
    if "titan-embed-text-v2" in params.model and "encoding_format" not in params.additional_drop_params:
        yield GatewayFinding(
            "embedding",
            f"{entry.model_name}: the OpenAI SDK asks for encoding_format base64, which Titan refuses: "
            "set additional_drop_params: [encoding_format].",
        )


def _foundation(model: str) -> str:
    """A model's id without the prefix of an inference profile."""
    geography, _, rest = model.partition(".")
    return rest if geography in DESTINATIONS else model


_ENTRY_RULES: Final[tuple[Callable[[Deployment, PriceMap, date], Iterator[GatewayFinding]], ...]] = (
    _price,
    _same_model,
    _end_of_life,
    _region,
    _embeds,
)
_RULES: Final[tuple[Callable[[LiteLLMConfig], Iterator[GatewayFinding]], ...]] = (
    _grants,
    _references,
    _names,
    _aliases,
    _retired_models,
    _one_kind,
    _budget,
    _guarded,
    _traced,
)
