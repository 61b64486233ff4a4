"""How requests are tried again, by tenacity: questions, and what goes to Phoenix.

The Hugging Face hub is not in here: `huggingface_hub` tries its own requests again. Embeddings through the gateway are
asked once: the gateway tries again.
"""

from __future__ import annotations

from typing import Any, Final

from tenacity import RetryCallState, retry_if_exception_type, stop_after_attempt, wait_exponential, wait_random

LONGEST_PAUSE_S: Final = 30.0


def while_raising(error: type[Exception], *, tries: int = 9) -> dict[str, Any]:
    """The policy for a request that raises while its server is unavailable; the last error is raised.

    Args:
        error: What is raised while another try may help.
        tries: The maximum number of tries. The first pause is 0.5 s, and each is twice as long as the one before, up to
            15 s.
    """
    return {
        "retry": retry_if_exception_type(error),
        "stop": stop_after_attempt(tries),
        "wait": wait_exponential(0.5, max=15.0),
        "reraise": True,
    }


def pause(state: RetryCallState, asked_s: float | None) -> float:
    """Seconds until the next try of a question: what the target asks for, else growing from 1 s, with jitter."""
    if asked_s is not None:
        return min(asked_s, LONGEST_PAUSE_S)
    return wait_exponential(1.0, max=LONGEST_PAUSE_S)(state) * (1 - wait_random(0, 0.5)(state))
