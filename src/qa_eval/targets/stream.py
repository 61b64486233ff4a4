"""A chat completion that comes as server-sent events: decoded, and put together again.

In: the bytes of the response as they arrive. Out: the completion as it would have come whole, and when its text began.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterable, Iterator, Mapping
from typing import Any, Final

from qa_eval.targets.completion import number

EVENT_STREAM: Final = "text/event-stream"
STREAMING: Final[Mapping[str, Any]] = {"stream": True, "stream_options": {"include_usage": True}}
"""What a request holds so that its answer is streamed, and its tokens are reported at the end."""
_DONE: Final = b"[DONE]"


class EventDecoder:
    """The data of server-sent events (WHATWG), however their bytes are cut. Comments and other fields are ignored."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of each event that this piece completes."""
        lines = (self._rest + piece).splitlines(keepends=True)
        # A line without its line feed is incomplete: one may still follow a carriage return.
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for line in (line.rstrip(b"\r\n") for line in lines):
            if line.startswith(b"data:"):
                self._data.append(line.removeprefix(b"data:").removeprefix(b" "))
            elif not line and self._data:
                data, self._data = b"\n".join(self._data), []
                yield data


class StreamedCompletion:
    """The chunks of one completion, added up. Only its first choice is read."""

    def __init__(self) -> None:
        self.is_complete = False
        """Whether the end was announced: by a finish reason or `[DONE]`."""
        self.is_done = False
        """Whether nothing follows."""
        self.error: bytes | None = None
        """An event with an error in place of a chunk, as JSON."""
        self._first_token_at: float | None = None
        self._text: list[str] = []
        self._choice: dict[str, Any] | None = None
        self._usage: Any = None

    @property
    def has_begun(self) -> bool:
        """Whether a piece of text has come."""
        return self._first_token_at is not None

    @property
    def cost_usd(self) -> float | None:
        """US dollars, as LiteLLM's gateway adds them to the tokens; None where they are not there."""
        usage = self._usage
        cost: float | None = number(usage.get("cost"), float) if isinstance(usage, Mapping) else None
        return cost

    def first_token_s(self, start: float) -> float | None:
        """Seconds from `start`, a `time.perf_counter()`, to the first piece of text; None where none has come."""
        return None if self._first_token_at is None else self._first_token_at - start

    async def read(self, pieces: AsyncIterable[bytes]) -> None:
        """Read events until one ends the answer, or until there are none.

        Raises:
            ValueError: An event is no chunk of a completion.
        """
        decoder = EventDecoder()
        async for piece in pieces:
            for data in decoder.feed(piece):
                self._add(data)
                if self.is_done:
                    return

    def to_json(self) -> dict[str, Any]:
        """The completion as it comes without streaming."""
        if self._choice is None:
            return {"choices": [], "usage": self._usage}
        message = {"role": "assistant", "content": "".join(self._text)}
        return {"choices": [{**self._choice, "message": message}], "usage": self._usage}

    def _add(self, data: bytes) -> None:
        if data.strip() == _DONE:
            self.is_complete = self.is_done = True
            return
        try:
            chunk = json.loads(data)
            if chunk.get("error"):
                self.error, self.is_done = data, True
                return
            self._usage = chunk.get("usage") or self._usage
            for choice in chunk.get("choices") or ():
                if choice.get("index", 0) == 0:
                    self._add_choice(choice)
        except (ValueError, TypeError, AttributeError):
            raise ValueError("an event of the stream is no chunk of a chat completion") from None

    def _add_choice(self, choice: Mapping[str, Any]) -> None:
        self._choice = self._choice or {"finish_reason": None}
        if reason := choice.get("finish_reason"):
            self._choice["finish_reason"] = reason
            self.is_complete = True
        text = (choice.get("delta") or {}).get("content") or ""
        if not isinstance(text, str):
            raise TypeError("a piece of an answer is text")
        if text and self._first_token_at is None:
            self._first_token_at = time.perf_counter()
        self._text.append(text)


def status_of(error: bytes) -> int:
    """The HTTP status that an error would have had before the stream: its code, or 500 where it names none."""
    code = json.loads(error)["error"]
    code = code.get("code") if isinstance(code, Mapping) else None
    if code == "content_filter":
        return 400
    try:
        status = int(code)  # type: ignore[arg-type]  # of None it raises too
    except (ValueError, TypeError):
        return 500
    return status if 400 <= status < 600 else 500


def first_event(body: bytes) -> bytes:
    """The data of the first event of a body: an error may come as an event, with an HTTP status of its own."""
    return next(EventDecoder().feed(body), body)
