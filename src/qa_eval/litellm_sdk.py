"""The LiteLLM SDK: its price map, and what can be said of a model before it is asked.

Importing it takes seconds, so that only what needs it does, by `sdk`.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from qa_eval.errors import InputError

_AWS_PROVIDERS = ("bedrock", "bedrock_converse", "sagemaker", "sagemaker_chat")


def sdk() -> Any:
    """The module `litellm`, with the price map that comes with it: it would otherwise be fetched on import."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.suppress_debug_info = True  # it prints advice to standard output
    return litellm


def price(model: str) -> tuple[float, float] | None:
    """US dollars a token, in and out, of a model or a row of the price map; None where no price is known."""
    litellm = sdk()
    try:
        entry = litellm.model_cost.get(model) or litellm.get_model_info(model)
    except Exception:  # it raises a plain Exception for a model that is not mapped
        return None
    read, write = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    return None if read is None else (float(read), float(write or 0.0))


@cache
def provider_name(model: str) -> str:
    """A model's name as its provider has it: `bedrock/us.amazon.nova-micro-v1:0` without `bedrock/`."""
    try:
        return str(sdk().get_llm_provider(model)[0])
    except Exception:  # no provider that LiteLLM knows
        return model


def check_model(system: str, model: str) -> None:
    """Make sure that LiteLLM knows the model's provider, and that its key is in the environment.

    Raises:
        InputError: It is not so; the message says what to do.
    """
    litellm = sdk()
    try:
        _, provider, _, _ = litellm.get_llm_provider(model)
    except litellm.BadRequestError:
        raise InputError(
            f"The model {model!r} of {system} names no provider that LiteLLM knows: give one like openai/MODEL, "
            "bedrock/MODEL or ollama/MODEL."
        ) from None
    if provider in _AWS_PROVIDERS:
        import boto3

        if boto3.Session().get_credentials() is None:
            raise InputError(f"The model {model!r} of {system} needs AWS credentials: set AWS_PROFILE, or sign in.")
        return
    keys = [name for name in litellm.validate_environment(model)["missing_keys"] if name.endswith(("_KEY", "_TOKEN"))]
    if keys:
        raise InputError(f"The model {model!r} of {system} needs a key: set {' or '.join(keys)} in the environment.")
