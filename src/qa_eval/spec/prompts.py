"""Prompt files: text, or messages with roles in YAML or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from qa_eval.errors import InputError
from qa_eval.spec.model import Message, PromptSpec


def read_prompt(path: Path) -> PromptSpec:
    """A prompt from a file: messages from YAML and JSON, one user message from anything else.

    Raises:
        InputError: The file cannot be read, is empty, or holds something else than messages.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"The prompt file {path} cannot be read ({reason}): check the path.") from None
    if not text.strip():
        raise InputError(f"The prompt file {path} is empty: say where the question goes with {{question}}.")
    if path.suffix.lower() in (".yaml", ".yml", ".json"):
        return PromptSpec(messages=_messages(text, path), source=str(path))
    return PromptSpec(messages=(Message(role="user", content=text.rstrip("\n")),), source=str(path))


def _messages(text: str, path: Path) -> tuple[Message, ...]:
    try:
        content: Any = json.loads(text) if path.suffix.lower() == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"The prompt file {path} cannot be parsed ({' '.join(str(error).split())}).") from None
    if isinstance(content, dict) and content.keys() == {"messages"}:
        content = content["messages"]
    wanted = "a list of messages, each with role (system, user or assistant) and content"
    if not isinstance(content, list) or not content:
        raise InputError(f"The prompt file {path} must hold {wanted}.")
    messages = []
    for place, message in enumerate(content, 1):
        try:
            messages.append(Message.model_validate(message))
        except ValidationError:
            raise InputError(f"Message {place} of the prompt file {path} is wrong: it must hold {wanted}.") from None
    return tuple(messages)
