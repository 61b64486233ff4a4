"""Proof against a running gateway: that it runs what the configuration declares, above all the guardrail.

In: the checked configuration, the gateway's URL and key. Out: findings. LiteLLM answers 200 to everything when a
guardrail could not be loaded, so what counts here is what it does to canaries, not what it says of itself. None of
this calls a model, except where the guardrail is not armed, and `call_models`, which says what it may cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import httpx

from qa_eval.blueprint.gateway import CustomCodeParams, LiteLLMConfig
from qa_eval.blueprint.guardrail import BLOCKED_CANARY, MASKED_CANARY, MASKED_VALUES
from qa_eval.blueprint.prices import PriceMap
from qa_eval.errors import GatewayError
from qa_eval.gateway_check.lint import GatewayFinding

_PATIENCE_S: Final = 120.0
_PROMPT: Final = "Answer with one word: yes."
_PROMPT_TOKENS: Final = 60
_ANSWER_TOKENS: Final = 8
_LOOKS_USD: Final = 0.0005
"""Two looks of the guardrail at a short text: 0.15 dollars for filters and 0.10 for personal data, per 1,000."""


class LiveGateway:
    """A running gateway, asked with a key that may see its settings; a context manager."""

    def __init__(self, url: str, key: str | None) -> None:
        """
        Args:
            url: The base URL, with or without `/v1`.
            key: The master key, or another administrator's.
        """
        self.url = url.rstrip("/").removesuffix("/v1")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=self.url, headers=headers, timeout=_PATIENCE_S)

    def __enter__(self) -> LiveGateway:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def verify(self, config: LiteLLMConfig) -> tuple[GatewayFinding, ...]:
        """Compare what runs with what is declared, and send the canaries.

        Raises:
            GatewayError: The gateway is not there, refuses the key, or is no LiteLLM.
        """
        # The deployments first: they fail clearly where this is no LiteLLM or the key is no administrator's.
        return (*self._deployments(config), *self._loaded(config), *self._masks(config), *self._blocks(config))

    def call_models(self, config: LiteLLMConfig) -> tuple[GatewayFinding, ...]:
        """Ask every model group once, without fallbacks.

        Raises:
            GatewayError: The gateway is not there or refuses the key.
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
        told = self._settings("/v1/model/info", "data")
        running = sorted((str(each["model_name"]), str(each["litellm_params"]["model"])) for each in told)
        for name, model in [each for each in declared if each not in running]:
            yield GatewayFinding(
                "live-model", f"{name} is declared with {model}, which does not run: deploy the file again."
            )
        for name, model in [each for each in running if each not in declared]:
            yield GatewayFinding(
                "live-model", f"{name} runs with {model}, which is not declared: declare or remove it."
            )

    def _loaded(self, config: LiteLLMConfig) -> Iterator[GatewayFinding]:
        # Not /guardrails/list: that repeats the file, also what LiteLLM could not load.
        told = {str(each["guardrail_name"]): each["litellm_params"] for each in self._settings(_LOADED, "guardrails")}
        for each in config.guardrails:
            name, running = each.guardrail_name, told.get(each.guardrail_name)
            if running is None:
                yield GatewayFinding(
                    "live-guardrail", f"{name} is declared and not loaded: the gateway's log says why."
                )
                continue
            # The others come back in another form than they were declared in; what they do is tried below.
            for field, declared in each.litellm_params.model_dump(exclude=_NOT_COMPARED).items():
                if (running.get(field) or False) != declared:
                    yield GatewayFinding(
                        "live-guardrail", f"{name} runs with {field}: {running.get(field)}, not {declared}."
                    )
        for name in sorted(told.keys() - {each.guardrail_name for each in config.guardrails}):
            yield GatewayFinding("live-guardrail", f"{name} is loaded and not declared: declare or remove it.")

    def _masks(self, config: LiteLLMConfig) -> Iterator[GatewayFinding]:
        for each in config.guardrails:
            if isinstance(each.litellm_params, CustomCodeParams):
                continue  # looks at routes, not at texts
            name = each.guardrail_name
            reply = self._post("/guardrails/apply_guardrail", {"guardrail_name": name, "text": MASKED_CANARY})
            if reply.is_error:
                yield GatewayFinding("live-canary", f"{name} does not look at a text: {_told(reply)}.")
            elif left := [value for value in MASKED_VALUES if value in str(_json(reply).get("response_text", value))]:
                yield GatewayFinding("live-canary", f"{name} leaves {' and '.join(left)} in a text: check the policy.")

    def _blocks(self, config: LiteLLMConfig) -> Iterator[GatewayFinding]:
        group = next(name for name, entries in config.groups().items() if entries[0].model_info.mode == "chat")
        reply = self._chat(group, BLOCKED_CANARY)
        if reply.is_success:
            yield GatewayFinding(
                "live-canary", f"A question that must be blocked was answered by {group}: nothing is armed."
            )
        elif not _blocked(reply):
            yield GatewayFinding("live-canary", f"A question that must be blocked failed otherwise: {_told(reply)}.")

    def _call(self, config: LiteLLMConfig, group: str, guardrails: set[str]) -> Iterator[GatewayFinding]:
        if config.groups()[group][0].model_info.mode == "embedding":
            reply = self._post("/v1/embeddings", {"model": group, "input": _PROMPT, "disable_fallbacks": True})
            guardrails = set()
        else:
            reply = self._chat(group, _PROMPT)
        if reply.is_error:
            yield GatewayFinding("live-call", f"{group} does not answer: {_told(reply)}.")
        elif missing := sorted(guardrails - set(reply.headers.get("x-litellm-applied-guardrails", "").split(","))):
            yield GatewayFinding(
                "live-call", f"{group} answers without {' and '.join(missing)}: the answer is not guarded."
            )

    def _chat(self, group: str, prompt: str) -> httpx.Response:
        message = {"role": "user", "content": prompt}
        request = {"model": group, "messages": [message], "max_tokens": _ANSWER_TOKENS, "disable_fallbacks": True}
        return self._post("/v1/chat/completions", request)

    def _settings(self, path: str, key: str) -> list[dict[str, Any]]:
        reply = self._send(self._client.build_request("GET", path))
        entries = _json(reply).get(key)
        if reply.is_error or not isinstance(entries, list):
            raise GatewayError(
                f"{self.url}{path} answers with HTTP {reply.status_code} and no settings: check that --gateway names a "
                "LiteLLM gateway, and that QA_EVAL_GATEWAY_KEY is its master key."
            )
        return entries

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self._send(self._client.build_request("POST", path, json=body))

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            reply = self._client.send(request)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise GatewayError(
                f"No gateway answers at {self.url}: start it (`qa-eval stack up` starts one here) or check --gateway."
            ) from None
        if reply.status_code in (401, 403) or "no_db_connection" in reply.text:
            raise GatewayError(f"The gateway at {self.url} refuses the key: set QA_EVAL_GATEWAY_KEY to its master key.")
        return reply


_NOT_COMPARED: Final = {"guardrailIdentifier", "guardrailVersion", "aws_region_name", "patterns"}
_LOADED: Final = "/v2/guardrails/list"


def cost_of_calls_usd(config: LiteLLMConfig, prices: PriceMap) -> float:
    """US dollars that `call_models` may cost at most: the dearest deployment of each group answers."""
    return sum(max(_cost(entry.model_info.base_model, prices) for entry in each) for each in config.groups().values())


def _cost(base_model: str, prices: PriceMap) -> float:
    row = prices.get(base_model, {})
    tokens = _PROMPT_TOKENS * float(row.get("input_cost_per_token") or 0)
    return tokens + _ANSWER_TOKENS * float(row.get("output_cost_per_token") or 0) + _LOOKS_USD


def _blocked(reply: httpx.Response) -> bool:
    error = _json(reply).get("error")
    fields = error.get("provider_specific_fields") if isinstance(error, dict) else None
    return reply.status_code == 400 and isinstance(fields, dict) and "bedrock_guardrail_response" in fields


def _told(reply: httpx.Response) -> str:
    error = _json(reply).get("error")
    message = error.get("message") if isinstance(error, dict) else None
    line = (str(message or reply.text).strip().splitlines() or ["no text"])[0]
    return f"HTTP {reply.status_code}, {line[:200].rstrip('.')}"


def _json(reply: httpx.Response) -> dict[str, Any]:
    try:
        content = reply.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
