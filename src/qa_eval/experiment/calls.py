"""Paid calls, one by one: retried where that is right, waited for where the other side is away, paced by a limiter."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt

from qa_eval.retries import pause
from qa_eval.targets.base import Attempt
from qa_eval.targets.limiter import ConcurrencyLimiter, Slot
from qa_eval.targets.outcome import Outcome, Reply

TRIES = 4
PATIENCE_S = 60.0
"""How long a target that was there may be unreachable before the run stops; nothing is asked and nothing fails."""

Once = Callable[[], Awaitable[Attempt]]
"""One try."""


class Unreachable(Exception):
    """The other side was unreachable for longer than our patience."""


@dataclass
class Caller:
    """Calls one side: the systems of a run, or one judge's model."""

    limiter: ConcurrencyLimiter
    stopped: Callable[[], bool]
    """Whether the run has been stopped, so that nothing is waited for any more."""
    _unreachable_since: float | None = field(default=None, init=False)

    async def call(self, once: Once, slot: Slot) -> Reply:
        """Try until there is an answer, or a failure that another try does not help.

        Args:
            once: One try.
            slot: A slot of the limiter, which is held over all tries. Each try waits its turn.

        Raises:
            Unreachable: The other side stays away.
        """
        tries = AsyncRetrying(
            retry=retry_if_result(_may_retry), stop=stop_after_attempt(TRIES), wait=_pause, retry_error_callback=_last
        )
        attempt: Attempt = await tries(self._try, once, slot)
        return replace(attempt.reply, tries=tries.statistics["attempt_number"])

    async def _try(self, once: Once, slot: Slot) -> Attempt:
        """One try that reaches the other side."""
        while True:
            await slot.turn()
            attempt = await once()
            if not attempt.unreachable:
                break
            slot.failed()
            await self._wait(attempt.reply.message)
        self._unreachable_since = None
        if attempt.reply.outcome is Outcome.RATE_LIMITED:
            slot.throttled(attempt.retry_after_s)
        elif attempt.reply.outcome.is_error and attempt.reply.outcome is not Outcome.TIMEOUT:
            slot.failed()
        return attempt

    async def _wait(self, problem: str) -> None:
        now = time.monotonic()
        self._unreachable_since = self._unreachable_since or now
        if self.stopped() or now - self._unreachable_since > PATIENCE_S:
            raise Unreachable(f"the gateway was unreachable for {PATIENCE_S:g} s: {problem}.")
        await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311


def _may_retry(attempt: Attempt) -> bool:
    return attempt.retry


def _last(state: RetryCallState) -> Attempt:
    """The result of the last try."""
    assert state.outcome is not None, "there was a try"
    attempt: Attempt = state.outcome.result()
    return attempt


def _pause(state: RetryCallState) -> float:
    return pause(state, _last(state).retry_after_s)
