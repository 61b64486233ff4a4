"""An own function in the gateway's place: it gets the example and returns the answer, plain or to be awaited."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

from qa_eval.data.examples import Example
from qa_eval.targets.outcome import Attempt, Outcome, Reply

TaskFunction = Callable[[Example], str | Awaitable[str]]
THREADS: Final = 16
"""So many calls of a plain function are under way at once."""


class OwnTask:
    """Asks a function as the engine asks a gateway; an `Asker`, whose prompt is the example's id."""

    def __init__(self, function: TaskFunction, examples: Iterable[Example], timeout_s: float) -> None:
        """
        Args:
            function: Who answers. What it raises is the question's outcome, `task_error`.
            examples: All that may be asked.
            timeout_s: How long an answer may take. A plain function that takes longer goes on in its thread.
        """
        self._function = function
        self._examples = {example.id: example for example in examples}
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="task")

    async def ask(
        self,
        model: str,
        prompt: str,
        *,
        temperature: float,
        max_tokens: int,
        traceparent: str | None = None,
    ) -> Attempt:
        """Ask once; see `Asker`. The function decides for itself on temperature and length."""
        started_at, start, text = datetime.now(UTC), time.perf_counter(), ""
        limit = asyncio.timeout(self._timeout_s)
        try:
            async with limit:
                found = await self._call(self._examples[prompt])
            outcome, text, problem = _judged(found)
        except Exception as error:
            outcome, problem = Outcome.TASK_ERROR, f"{type(error).__name__}: {error}".splitlines()[0]
            if limit.expired():
                outcome, problem = Outcome.TIMEOUT, f"no answer within {self._timeout_s:g} s"
        return Attempt(Reply(outcome, text, started_at, time.perf_counter() - start, message=problem))

    async def _call(self, example: Example) -> Any:
        if inspect.iscoroutinefunction(self._function):
            return await self._function(example)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, self._function, example)
        return await found if inspect.isawaitable(found) else found


def _judged(found: Any) -> tuple[Outcome, str, str]:
    """Outcome, answer and problem of what the function returned."""
    if not isinstance(found, str):
        return Outcome.INVALID_RESPONSE, "", f"the task returned {type(found).__name__}, not text"
    text = found.strip()
    return (Outcome.ANSWERED, text, "") if text else (Outcome.EMPTY, "", "the task gave an empty answer")
