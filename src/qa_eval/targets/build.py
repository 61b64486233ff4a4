"""From a system's specification to its target. A new way to ask is one function here and one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qa_eval.chatbot.bot import Bot
from qa_eval.data.examples import SquadVersion
from qa_eval.errors import InputError
from qa_eval.spec.model import SystemSpec
from qa_eval.targets.base import DecliningTarget, Target
from qa_eval.targets.function import FunctionTarget, TaskFunction
from qa_eval.targets.gateway import GatewayClient, GatewayTarget


def build_targets(
    systems: Sequence[SystemSpec],
    *,
    version: SquadVersion,
    client: GatewayClient | None,
    gateway_key: str | None,
    tasks: Mapping[str, TaskFunction],
    timeout_s: float,
    stream: bool = False,
) -> dict[str, Target]:
    """The target of each system, by the system's name.

    Args:
        systems: Resolved systems: named, with prompts and parameters.
        version: Which official script scores the dataset; v2.0 knows questions without an answer.
        client: The gateway's client; None where no system asks a gateway.
        gateway_key: The gateway's key, for the chatbot's handler.
        tasks: The functions of the systems that are tasks, by the system's name.
        timeout_s: How long one try may take.
        stream: Whether the systems that can stream do so.

    Raises:
        QaEvalError: A chatbot cannot be found, or asks another model than the system names.
    """
    targets: dict[str, Target] = {}
    for system in systems:
        target = _target(system, client, gateway_key, tasks, timeout_s, stream)
        targets[str(system.name)] = DecliningTarget(target) if version == "2.0" else target
    return targets


def asks_gateway(system: SystemSpec) -> bool:
    """Whether a system needs a gateway."""
    return system.task is None and system.via in ("gateway", "chatbot")


def says_cost(system: SystemSpec) -> bool:
    """Whether a system says what its answers cost."""
    if system.via == "litellm":
        from qa_eval.litellm_sdk import price

        return price(str(system.model)) is not None
    return system.task is None and system.via == "gateway"


def can_stream(system: SystemSpec) -> bool:
    """Whether a system's answers can be streamed: a chatbot and a task answer whole."""
    return system.task is None and system.via in ("gateway", "litellm")


def is_traced(system: SystemSpec) -> bool:
    """Whether a system's calls leave spans in this process."""
    return system.task is not None or system.via == "litellm"


def check_system(system: SystemSpec) -> None:
    """Refuse what a system's way cannot do, before anything starts.

    Raises:
        InputError: A parameter or a prompt does not reach the chatbot; LiteLLM does not know the provider, or its key
            is missing.
    """
    if system.task is not None or system.via == "gateway":
        return
    if system.via == "litellm":
        from qa_eval.litellm_sdk import check_model

        check_model(str(system.name), str(system.model))
        return
    parameters = system.parameters.to_data()
    lost = [name for name, value in parameters.items() if name != "max_tokens" and value != 0]
    if lost:
        raise InputError(f"`{lost[0]}` does not reach the chatbot: leave it out of {system.name}.")
    if system.prompt is not None and [message.role for message in system.prompt.messages] != ["user"]:
        raise InputError(f"The prompt of {system.name} has several messages and the chatbot takes one: give a text.")


def _target(
    system: SystemSpec,
    client: GatewayClient | None,
    gateway_key: str | None,
    tasks: Mapping[str, TaskFunction],
    timeout_s: float,
    stream: bool,
) -> Target:
    if system.task is not None:
        return FunctionTarget(tasks[str(system.name)], timeout_s)
    assert system.model is not None, "a system has a model or a task"
    assert system.prompt is not None, "prompts are resolved before targets are built"
    parameters: Mapping[str, Any] = system.parameters.to_data()
    if system.via == "gateway":
        assert client is not None, "its servers were checked"
        return GatewayTarget(client, system.model, system.prompt, parameters, stream)
    if system.via == "litellm":
        from qa_eval.targets.litellm import LiteLLMTarget

        return LiteLLMTarget(system.model, system.prompt, parameters, timeout_s, stream)
    from qa_eval.chatbot.local import LocalBot
    from qa_eval.targets.chatbot import ChatbotTarget

    bot: Bot
    if asks_lex(system):
        bot = _lex(str(system.via), system.model)
    else:
        assert client is not None, "its servers were checked"
        # The 28 s of the deployed function would measure this machine.
        bot = LocalBot(f"{client.url}/v1", system.model, gateway_key, seconds=timeout_s)
    return ChatbotTarget(bot, system.prompt, int(parameters["max_tokens"]))


def asks_lex(system: SystemSpec) -> bool:
    """Whether a system is a deployed chatbot."""
    return str(system.via).startswith("lex:")


def _lex(via: str, model: str) -> Bot:
    from qa_eval.aws.lex import LexBot

    stack = via.removeprefix("lex:")
    bot = LexBot.from_stack(stack)
    if bot.model != model:
        raise InputError(f"The chatbot of {stack!r} asks {bot.model}: give `models` {bot.model}, and no other.")
    return bot
