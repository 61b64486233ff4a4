"""A judge at the gateway's edge: it decides by containment, in the form of reply that it is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web
from fake_gateway import FakeGateway, completion, error
from numbers_dataset import right

from qa_eval.metrics.judgement import TOOL

Decide = Callable[[str], str]
"""From a judge's prompt to a label."""


def is_judgement(prompt: str) -> bool:
    """Whether a prompt asks for a judgement."""
    return prompt.startswith("Decide ")


def part(prompt: str, tag: str) -> str:
    """What stands between two tags."""
    found = re.search(rf"<{tag}>\n(.*?)\n</{tag}>", prompt, re.DOTALL)
    assert found is not None, f"no <{tag}> in {prompt}"
    return found[1]


def by_containment(prompt: str) -> str:
    """`right` where a reference is in the answer; of two answers, the shorter right one."""
    if "<first>" in prompt:
        good = [part(prompt, "references") in part(prompt, tag) for tag in ("first", "second")]
        return "tie" if good[0] == good[1] else "first" if good[0] else "second"
    answer = part(prompt, "answer").lower()
    if "<references>" not in prompt:
        return "complete" if "complete" in prompt else "answered"
    return "right" if any(each.lower() in answer for each in part(prompt, "references").splitlines()) else "wrong"


def judged(gateway: FakeGateway, label: str, explanation: str = "It says so.") -> web.Response:
    """A judgement in the form that the last request asks for."""
    return in_form(gateway.requests[-1], label, explanation)


def in_form(body: dict[str, Any], label: str, explanation: str = "It says so.") -> web.Response:
    content = json.dumps({"explanation": explanation, "label": label})
    if "response_format" in body:
        return completion(content)
    if "tools" in body:
        return message({"role": "assistant", "content": None, "tool_calls": [tool_call(TOOL, content)]})
    return completion(f"{explanation}\nLabel: {label}")


def tool_call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "call-1", "type": "function", "function": {"name": name, "arguments": arguments}}


def message(content: dict[str, Any]) -> web.Response:
    """A completion with any message."""
    usage = {"prompt_tokens": 90, "completion_tokens": 20, "total_tokens": 110}
    body = {"id": "1", "object": "chat.completion", "choices": [{"message": content}], "usage": usage}
    return web.json_response(body, headers={"x-litellm-response-cost": "0.002"})


def answers_and_judges(
    decide: Decide = by_containment, refused: tuple[str, ...] = ()
) -> Callable[[FakeGateway, str], Any]:
    """A gateway whose models answer rightly and judge; `refused` are request fields that its judge does not take."""

    def answer(gateway: FakeGateway, prompt: str) -> Any:
        if not is_judgement(prompt):
            return right(gateway, prompt)
        found = [name for name in refused if name in gateway.requests[-1]]
        if found:
            return error(400, f"This model doesn't support {found[0]}.")
        return judged(gateway, decide(prompt))

    return answer
