"""How far one stage of a run is, so that the next one can wait for more."""

from __future__ import annotations

import asyncio
from contextlib import suppress

_GATHER_S = 0.1
"""What arrives within this time is scored, and recorded, together."""


class Stage:
    """How far a stage is: the one after it waits for more, or for the end."""

    def __init__(self, gather_s: float = _GATHER_S) -> None:
        self._gather_s = gather_s
        self._news, self._ended = asyncio.Event(), asyncio.Event()

    def advance(self) -> None:
        """There is more in the journal."""
        self._news.set()

    @property
    def has_ended(self) -> bool:
        """Whether there will be no more."""
        return self._ended.is_set()

    def end(self) -> None:
        """There will be no more."""
        self._ended.set()
        self._news.set()

    async def end_within(self, seconds: float) -> None:
        """Wait for the end, but no longer than this."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    async def more(self) -> None:
        """Wait until there is more or the end, and a moment longer, so that work comes in batches."""
        await self._news.wait()
        if not self.has_ended:
            await asyncio.sleep(self._gather_s)
            self._news.clear()
