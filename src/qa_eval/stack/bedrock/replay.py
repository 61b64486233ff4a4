"""Answers from a table, in place of the model's: for example the predictions of a published system.

The table is JSON Lines of `context`, `question` and `answer`. The answer to a message is that of the entry whose
context and question it contains; without such an entry it is empty.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from qa_eval.errors import InputError
from qa_eval.stack.bedrock.generation import End, Generation
from qa_eval.stack.bedrock.prompts import read_question


@dataclass(frozen=True, slots=True)
class ReplayEntry:
    """One answer. If a context and question occur twice, the last answer counts."""

    context: str
    question: str
    answer: str


class Replay:
    """A table of answers; a dictionary lookup for messages in the format of the default prompt."""

    def __init__(self, entries: Iterable[ReplayEntry]) -> None:
        self._by_context: dict[str, dict[str, str]] = {}
        for entry in entries:
            self._by_context.setdefault(entry.context.strip(), {})[entry.question.strip()] = entry.answer

    def answer(self, message: str) -> str:
        """The answer to a message; empty if the table has none."""
        if question := read_question(message):
            known = self._by_context.get(question.context, {}).get(question.question)
            if known is not None:
                return known
        return self._search(message)

    def _search(self, message: str) -> str:
        """For other messages: of the entries that it contains, the one with the longest question."""
        found = (
            (len(question), len(context), answer)
            for context, questions in self._by_context.items()
            if context in message
            for question, answer in questions.items()
            if question in message
        )
        return max(found, default=(0, 0, ""))[2]


def write_replay(path: Path, entries: Iterable[ReplayEntry]) -> None:
    """Write a table atomically."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(asdict(entry)) + "\n" for entry in entries)
    partial.replace(path)


def read_replay(path: Path) -> Replay:
    """Read a table.

    Raises:
        InputError: The file cannot be read, or a line of it is not an entry.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            return Replay(_entry(path, number, line) for number, line in enumerate(lines, 1))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise InputError(f"The replay table {path} cannot be read ({reason}): check the path.") from None


async def replay_answer(replay: Replay, message: str) -> Generation:
    """The table's answer as a stream. Token counts are estimates."""
    answer = replay.answer(message)
    if answer:
        yield answer
    yield End("end_turn", estimate_tokens(message), estimate_tokens(answer))


def estimate_tokens(text: str) -> int:
    """An estimate of a text's tokens: four characters for each, rounded up."""
    return -(-len(text) // 4)


def _entry(path: Path, number: int, line: str) -> ReplayEntry:
    try:
        entry = ReplayEntry(**json.loads(line))
    except (ValueError, TypeError):
        entry = None
    if entry is None or not all(isinstance(value, str) for value in asdict(entry).values()):
        wanted = 'a JSON object of the texts "context", "question" and "answer"'
        raise InputError(f"Line {number} of the replay table {path} is not {wanted}.")
    return entry
