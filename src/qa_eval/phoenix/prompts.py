"""Phoenix's prompt registry: prompts from it, and into it.

Our prompts hold `{field}`; Phoenix keeps templates in its own formats, mustache (`{{field}}`) and f-string (`{field}`,
with doubled braces for literal ones). Both are read; ours are written as f-strings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, cast

import httpx

from qa_eval.errors import PhoenixError
from qa_eval.phoenix.rest import read, unavailable
from qa_eval.spec.model import Message, PromptSpec
from qa_eval.spec.template import FIELD

_ROLES: Mapping[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "model": "assistant",
    "ai": "assistant",
}
_MUSTACHE = re.compile(r"\{\{\s*([A-Za-z_][\w .-]*?)\s*\}\}")


@dataclass(frozen=True)
class StoredPrompt:
    """A version of a prompt in Phoenix."""

    version: str
    """The version's id."""
    url: str
    """The prompt's page."""
    is_new: bool
    """Whether this call made the version."""


def fetch_prompt(url: str, key: str | None, address: str) -> PromptSpec:
    """A prompt from the registry.

    Args:
        url: Phoenix's base URL.
        key: Its API key; None where it needs none.
        address: NAME for the newest version, NAME@TAG for a tagged one.

    Raises:
        PhoenixError: There is no such prompt, its template is of another kind, or Phoenix does not answer.
    """
    name, _, tag = address.partition("@")
    version = _version(url, key, name, f"tags/{tag}" if tag else "latest")
    if version is None:
        what = f"no version of the prompt {name!r} with the tag {tag!r}" if tag else f"no prompt {name!r}"
        raise PhoenixError(f"Phoenix at {url} has {what}: check the name, or use `qa-eval prompts push`.")
    return PromptSpec(messages=_messages(version, name), source=f"phoenix:{address}", version=str(version["id"]))


def push_prompt(
    url: str, key: str | None, prompt: PromptSpec, name: str, *, tag: str | None = None, model: str = "qa"
) -> StoredPrompt:
    """Put a prompt into the registry; what its newest version holds already makes no new one.

    Args:
        url: Phoenix's base URL.
        key: Its API key; None where it needs none.
        prompt: The prompt.
        name: Its name in Phoenix: small letters, digits and - or _.
        tag: A tag for this version, such as `production`.
        model: The model group that Phoenix shows beside it.

    Raises:
        PhoenixError: Phoenix does not answer or refuses.
    """
    from phoenix.client import Client
    from phoenix.client.types import PromptVersion

    newest = _version(url, key, name, "latest")
    is_new = newest is None or _messages(newest, name) != prompt.messages
    client = Client(base_url=url, api_key=key)
    try:
        if is_new:
            messages: Any = [{"role": m.role, "content": _to_fstring(m.content)} for m in prompt.messages]
            version = PromptVersion(messages, model_name=model, template_format="F_STRING")
            identifier = str(client.prompts.create(name=name, version=version).id)
        else:
            identifier = str(cast(Mapping[str, Any], newest)["id"])
        if tag is not None:
            client.prompts.tags.create(prompt_version_id=identifier, name=tag)
    except httpx.HTTPStatusError as error:
        detail = " ".join(error.response.text.split())[:200]
        raise PhoenixError(
            f"Phoenix refuses the prompt {name!r} (HTTP {error.response.status_code}: {detail})."
        ) from None
    except httpx.HTTPError as error:
        raise unavailable(url, error) from None
    return StoredPrompt(identifier, f"{url}/prompts/{_prompt_id(url, key, name)}", is_new)


def _version(url: str, key: str | None, name: str, which: str) -> Any:
    """One version of a prompt, as it is stored, which the client does not give; None where there is none."""
    found = read(url, key, f"v1/prompts/{name}/{which}")
    return None if found is None else found["data"]


def _prompt_id(url: str, key: str | None, name: str) -> str:
    """Phoenix's id of a prompt, for its page."""
    cursor = ""
    while True:
        page = read(url, key, "v1/prompts", limit=100, cursor=cursor) or {}
        for prompt in page.get("data", []):
            if prompt["name"] == name:
                return str(prompt["id"])
        cursor = str(page.get("next_cursor") or "")
        if not cursor:
            return ""


# --- templates --------------------------------------------------------------------------------------------------------


def _messages(version: Mapping[str, Any], name: str) -> tuple[Message, ...]:
    """A version's messages in our form."""
    template, convert = version["template"], _CONVERTERS[version["template_format"]]
    if template["type"] == "string":
        return (Message(role="user", content=convert(template["template"])),)
    messages = []
    for message in template["messages"]:
        role = _ROLES.get(message["role"])
        if role is None:
            raise PhoenixError(f"The prompt {name!r} has a message of role {message['role']!r}, which cannot be used.")
        messages.append(Message.model_validate({"role": role, "content": convert(_text(message["content"], name))}))
    return tuple(messages)


def _text(content: Any, name: str) -> str:
    """The text of a message; tools and images are not asked of a question-answering model."""
    if isinstance(content, str):
        return content
    if any(part["type"] != "text" for part in content):
        raise PhoenixError(f"The prompt {name!r} has more than text in its messages, which cannot be used.")
    return "".join(part["text"] for part in content)


def _from_mustache(template: str) -> str:
    parts, start = [], 0
    for match in _MUSTACHE.finditer(template):
        parts += [_literal(template[start : match.start()]), f"{{{match[1]}}}"]
        start = match.end()
    return "".join([*parts, _literal(template[start:])])


def _from_fstring(template: str) -> str:
    try:
        pieces = list(Formatter().parse(template))
    except ValueError:
        return _literal(template)
    parts, literal = [], ""
    for text, field, _, _ in pieces:  # a doubled brace ends a piece, too
        literal += text
        if field is not None:
            parts += [_literal(literal), f"{{{field}}}"]
            literal = ""
    return "".join([*parts, _literal(literal)])


def _to_fstring(text: str) -> str:
    """Our form as an f-string: fields stay, every other brace is doubled."""
    parts, start = [], 0
    for match in FIELD.finditer(text):
        parts += [_doubled(text[start : match.start()]), _doubled(match[1]) if match[1] else f"{{{match[2]}}}"]
        start = match.end()
    return "".join([*parts, _doubled(text[start:])])


def _doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _literal(text: str) -> str:
    """Text that is not a field, in our form."""
    return FIELD.sub(lambda match: f"{{{match[0]}}}" if match[2] else match[0], text)


_CONVERTERS: Mapping[str, Callable[[str], str]] = {
    "MUSTACHE": _from_mustache,
    "F_STRING": _from_fstring,
    "NONE": _literal,
}
