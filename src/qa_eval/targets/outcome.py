"""What became of one question: the types that leave this room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """What became of one question. A failure is data: it has a name, is counted, and scores 0 over all."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    """The model said that the context holds no answer (SQuAD v2.0): an answer like any other."""
    BLOCKED_INPUT = "blocked_input"
    BLOCKED_OUTPUT = "blocked_output"
    REFUSED = "refused"
    """The gateway or the provider refused the request (4xx)."""
    EMPTY = "empty"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    GATEWAY_ERROR = "gateway_error"
    INVALID_RESPONSE = "invalid_response"
    TASK_ERROR = "task_error"
    """A task, a function of the user's, raised an error."""

    @property
    def is_answer(self) -> bool:
        """Whether there is a text to score."""
        return self in (Outcome.ANSWERED, Outcome.NO_ANSWER)

    @property
    def is_blocked(self) -> bool:
        """Whether the guardrail stopped it."""
        return self in (Outcome.BLOCKED_INPUT, Outcome.BLOCKED_OUTPUT)

    @property
    def is_error(self) -> bool:
        """Whether something went wrong, so that asking again may help; counts towards the error limit."""
        return not self.is_answer and not self.is_blocked and self is not Outcome.EMPTY


@dataclass(frozen=True, slots=True)
class Reply:
    """One call's result."""

    outcome: Outcome
    text: str
    """The model's answer; empty where there is none."""
    started_at: datetime
    latency_s: float
    """From the request to the whole answer, in seconds."""
    message: str = ""
    """Why there is no answer: the guardrail's own message, or the error's first line."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    """As the gateway says; None where it does not."""
    deployment: str | None = None
    """The gateway's id of the deployment that answered, where it says."""
    deployment_model: str | None = None
    """The model of that deployment; a group of several shows by it who answered."""
    fallbacks: int | None = None
    """How many times the gateway fell back to another group for this answer, where it says."""
    gateway_retries: int | None = None
    """How many times the gateway tried again for this answer, where it says."""
    tries: int = 1
    """How many times this side asked."""
    trace_id: str | None = None
    span_id: str | None = None
    """The question's own span in that trace."""
    first_token_s: float | None = None
    """From the request to the first piece of the answer's text, in seconds; None where it was not streamed."""
