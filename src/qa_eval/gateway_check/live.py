"""Checks of a running gateway against its configuration, above all of the guardrail.

In: the checked configuration, the gateway's URL and key. Out: findings. LiteLLM reports success even when it could not
load a guardrail, so the guardrail is tested with canaries. No model is called, except by `call_models`, whose cost
`cost_of_calls_usd` bounds, and by the canary if the guardrail is inactive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import httpx

from qa_eval.blueprint.gateway import CustomCodeParams, LiteLLMConfig
from qa_eval.blueprint.guardrail import BLOCKED_CANARY, MASKED_CANARY, MASKED_VALUES
from qa_eval.blueprint.prices import PriceMap
from qa_eval.errors import GatewayError
from qa_eval.gateway_admin import GatewayAdmin, error_text, json_of
from qa_eval.gateway_check.lint import GatewayFinding

_PROMPT: Final = "Answer with one word: yes."
_PROMPT_TOKENS: Final = 60
_ANSWER_TOKENS: Final = 8
_GUARDRAIL_USD: Final = 0.0005
"""Two evaluations of a short text: 0.15 dollars for filters and 0.10 for personal data, per 1,000."""


class LiveGateway(GatewayAdmin):
    """A running gateway, whose settings and guardrails are checked."""

    def verify(self, config: LiteLLMConfig) -> tuple[GatewayFinding, ...]:
        """Compare the running gateway with its configuration, and send canaries to its guardrails.

        Raises:
            GatewayError: The gateway does not answer, refuses the key, or is not LiteLLM.
        """
        # The deployments first: they fail clearly if this is not LiteLLM, or the key not an administrator's.
        return (*self._deployments(config), *self._loaded(config), *self._masks(config), *self._blocks(config))

    def call_models(self, config: LiteLLMConfig) -> tuple[GatewayFinding, ...]:
        """Send one request to each model group, without fallbacks.

        Raises:
            GatewayError: The gateway does not answer, or refuses the key.
        """
        guardrails = {each.guardrail_name for each in config.guardrails}
        return tuple(finding for group in config.groups() for finding in self._call(config, group, guardrails))

    def _deployments(self, config: LiteLLMConfig) -> Iterator[GatewayFinding]:
        names = {name: [name] for name in config.groups()}
        for alias, group in config.router_settings.model_group_alias.items():
            names.setdefault(group, []).append(alias)
        declared = sorted(
            (name, entry.litellm_params.model) for entry in config.model_list for name in names[entry.model_name]
        )
        reported = self._settings("/v1/model/info", "data")
        running = sorted((str(each["model_name"]), str(each["litellm_params"]["model"])) for each in reported)
        for name, model in [each for each in declared if each not in running]:
            yield GatewayFinding(
                "live-model", f"{name} is declared with {model}, which is not running: deploy the file again."
            )
        for name, model in [each for each in running if each not in declared]:
            yield GatewayFinding(
                "live-model", f"{name} runs with {model}, which is not declared: declare it or remove it."
            )

    def _loaded(self, config: LiteLLMConfig) -> Iterator[GatewayFinding]:
        # Not /guardrails/list, which returns the configuration, including guardrails that LiteLLM could not load.
        loaded = {str(each["guardrail_name"]): each["litellm_params"] for each in self._settings(_LOADED, "guardrails")}
        for each in config.guardrails:
            name, running = each.guardrail_name, loaded.get(each.guardrail_name)
            if running is None:
                yield GatewayFinding("live-guardrail", f"{name} is declared but not loaded: see the gateway's log.")
                continue
            # The other fields are returned in another format; the canaries test their effect.
            for field, declared in each.litellm_params.model_dump(exclude=_NOT_COMPARED).items():
                if (running.get(field) or False) != declared:
                    yield GatewayFinding(
                        "live-guardrail", f"{name} runs with {field}: {running.get(field)}, not {declared}."
                    )
        for name in sorted(loaded.keys() - {each.guardrail_name for each in config.guardrails}):
            yield GatewayFinding("live-guardrail", f"{name} is loaded but not declared: declare it or remove it.")

    def _masks(self, config: LiteLLMConfig) -> Iterator[GatewayFinding]:
        for each in config.guardrails:
            if isinstance(each.litellm_params, CustomCodeParams):
                continue  # it checks routes, not texts
            name = each.guardrail_name
            reply = self.post("/guardrails/apply_guardrail", {"guardrail_name": name, "text": MASKED_CANARY})
            if reply.is_error:
                yield GatewayFinding("live-canary", f"{name} fails on a text: {error_text(reply)}.")
            elif left := [value for value in MASKED_VALUES if value in str(json_of(reply).get("response_text", value))]:
                yield GatewayFinding("live-canary", f"{name} does not mask {' and '.join(left)}: check the policy.")

    def _blocks(self, config: LiteLLMConfig) -> Iterator[GatewayFinding]:
        group = next(name for name, entries in config.groups().items() if entries[0].model_info.mode == "chat")
        reply = self._chat(group, BLOCKED_CANARY)
        if reply.is_success:
            yield GatewayFinding(
                "live-canary", f"A question that must be blocked was answered by {group}: the guardrail is inactive."
            )
        elif not _blocked(reply):
            yield GatewayFinding(
                "live-canary", f"A question that must be blocked failed with another error: {error_text(reply)}."
            )

    def _call(self, config: LiteLLMConfig, group: str, guardrails: set[str]) -> Iterator[GatewayFinding]:
        if config.groups()[group][0].model_info.mode == "embedding":
            reply = self.post("/v1/embeddings", {"model": group, "input": _PROMPT, "disable_fallbacks": True})
            guardrails = set()
        else:
            reply = self._chat(group, _PROMPT)
        if reply.is_error:
            yield GatewayFinding("live-call", f"{group} does not answer: {error_text(reply)}.")
        elif missing := sorted(guardrails - set(reply.headers.get("x-litellm-applied-guardrails", "").split(","))):
            yield GatewayFinding(
                "live-call", f"{group} answers without {' and '.join(missing)}: the answer is unguarded."
            )

    def _chat(self, group: str, prompt: str) -> httpx.Response:
        message = {"role": "user", "content": prompt}
        request = {"model": group, "messages": [message], "max_tokens": _ANSWER_TOKENS, "disable_fallbacks": True}
        return self.post("/v1/chat/completions", request)

    def _settings(self, path: str, key: str) -> list[dict[str, Any]]:
        reply = self.get(path)
        entries = json_of(reply).get(key)
        if reply.is_error or not isinstance(entries, list):
            raise GatewayError(
                f"{self.url}{path} answers with HTTP {reply.status_code} and no settings: check that `gateway` is a "
                "LiteLLM gateway, and that QA_EVAL_GATEWAY_KEY is its master key."
            )
        return entries


_NOT_COMPARED: Final = {"guardrailIdentifier", "guardrailVersion", "aws_region_name", "patterns"}
_LOADED: Final = "/v2/guardrails/list"


def cost_of_calls_usd(config: LiteLLMConfig, prices: PriceMap) -> float:
    """The most that `call_models` may cost, in US dollars: with the most expensive deployment of each group."""
    return sum(max(_cost(entry.model_info.base_model, prices) for entry in each) for each in config.groups().values())


def _cost(base_model: str, prices: PriceMap) -> float:
    row = prices.get(base_model, {})
    tokens = _PROMPT_TOKENS * float(row.get("input_cost_per_token") or 0)
    return tokens + _ANSWER_TOKENS * float(row.get("output_cost_per_token") or 0) + _GUARDRAIL_USD


def _blocked(reply: httpx.Response) -> bool:
    error = json_of(reply).get("error")
    fields = error.get("provider_specific_fields") if isinstance(error, dict) else None
    return reply.status_code == 400 and isinstance(fields, dict) and "bedrock_guardrail_response" in fields
