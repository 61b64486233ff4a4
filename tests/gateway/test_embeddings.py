"""Embeddings through the real gateway, as any client asks for them."""

from __future__ import annotations

import openai

from qa_eval.stack import RunningStack


def test_the_openai_sdk_works_with_its_defaults(stack: RunningStack) -> None:
    """It asks for base64, which Titan refuses: the gateway leaves that parameter out."""
    client = openai.OpenAI(base_url=f"{stack.gateway_url}/v1", api_key=stack.gateway_key)
    with client:
        first, second = client.embeddings.create(model="titan-embed", input=["gold", "a red car"]).data
    assert len(first.embedding) == len(second.embedding) == 1024
    assert first.embedding != second.embedding
