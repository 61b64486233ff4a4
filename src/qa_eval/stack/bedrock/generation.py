"""What an answer is while it is made: pieces of text, then the end. The model and a replay both give it so."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal

StopReason = Literal["end_turn", "max_tokens", "stop_sequence"]


@dataclass(frozen=True)
class Sampling:
    """Converse's `inferenceConfig`. What a request leaves out is greedy and ends at 512 tokens."""

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class End:
    """Why the answer ended, and what it took."""

    stop_reason: StopReason
    input_tokens: int
    output_tokens: int


Generation = AsyncGenerator[str | End, None]
"""Pieces of text, none of them empty, and as the last an `End`. Whoever stops reading closes it."""
