"""The stream of an answer, from the model or a replay: pieces of text, then the end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal

StopReason = Literal["end_turn", "max_tokens", "stop_sequence"]


@dataclass(frozen=True)
class Sampling:
    """Converse's `inferenceConfig`; by default greedy, with at most 512 tokens."""

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class End:
    """Why the answer ended, and its token counts."""

    stop_reason: StopReason
    input_tokens: int
    output_tokens: int


Generation = AsyncGenerator[str | End, None]
"""Non-empty pieces of text, and an `End` as the last item. The consumer closes it when it stops early."""
