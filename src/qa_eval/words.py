"""How messages word numbers and paths."""

from __future__ import annotations

from pathlib import Path


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 question`, `2 questions`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def from_here(message: str) -> str:
    """A message with the paths below the current folder as they would be typed there."""
    return message.replace(f"{Path.cwd()}/", "") if Path.cwd() != Path.cwd().parent else message


def duration(seconds: float) -> str:
    """A time in its two largest units: `40 s`, `2 min 5 s`, `1 h 3 min`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
