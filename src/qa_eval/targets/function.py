"""A task: a function of the user's that gets the example and returns the answer, plain or to be awaited."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

from qa_eval.data.examples import Example
from qa_eval.targets.base import TIMEOUT_S, Attempt
from qa_eval.targets.outcome import Outcome, Reply
from qa_eval.tracing.context import TraceContext, within

TaskFunction = Callable[[Example], str | Awaitable[str]]
THREADS: Final = 16
"""Maximum number of concurrent calls of a plain function."""


class FunctionTarget:
    """Calls a function for each example; a `Target`."""

    def __init__(self, function: TaskFunction, timeout_s: float = TIMEOUT_S) -> None:
        """
        Args:
            function: Produces the answer. An exception is the question's outcome, `task_error`.
            timeout_s: How long an answer may take. A plain function that takes longer continues in its thread.
        """
        self._function = function
        self._timeout_s = timeout_s
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="task")

    async def generate(self, example: Example, trace: TraceContext | None = None) -> Attempt:
        """See `Target`."""
        started_at, start, text = datetime.now(UTC), time.perf_counter(), ""
        limit = asyncio.timeout(self._timeout_s)
        try:
            with within(trace):
                async with limit:
                    outcome, text, problem = _classify(await self._call(example))
        except Exception as error:
            outcome, problem = Outcome.TASK_ERROR, f"{type(error).__name__}: {error}".splitlines()[0]
            if limit.expired():
                outcome, problem = Outcome.TIMEOUT, f"no answer within {self._timeout_s:g} s"
        return Attempt(Reply(outcome, text, started_at, time.perf_counter() - start, message=problem))

    async def _call(self, example: Example) -> Any:
        if inspect.iscoroutinefunction(self._function):
            return await self._function(example)
        result = await asyncio.get_running_loop().run_in_executor(
            self._threads, contextvars.copy_context().run, self._function, example
        )
        return await result if inspect.isawaitable(result) else result


def _classify(result: Any) -> tuple[Outcome, str, str]:
    """Outcome, answer and problem of what the function returned."""
    if not isinstance(result, str):
        return Outcome.INVALID_RESPONSE, "", f"the task returned {type(result).__name__}, not text"
    text = result.strip()
    return (Outcome.ANSWERED, text, "") if text else (Outcome.EMPTY, "", "the task gave an empty answer")
